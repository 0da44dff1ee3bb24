/** What happens to a directive that is not about proxying. */
export interface NotOurs {
  readonly kind: 'ignored' | 'refused'
  readonly why: string
}

const group = (kind: NotOurs['kind'], why: string, names: string): [string, NotOurs][] =>
  names
    .trim()
    .split(/\s+/)
    .map(name => [name.toLowerCase(), { kind, why }])

/** Why lines about the responses of backends are left out. */
export const FORWARDED = 'responses are forwarded as the backend made them'

/** Why lines of mod_md are left out. */
export const CERTIFICATES =
  'certificates are a matter of your server; mod_md of httpd, or another ACME client, gets them'

const ignored = (why: string, names: string): [string, NotOurs][] => group('ignored', why, names)
const refused = (why: string, names: string): [string, NotOurs][] => group('refused', why, names)

/** Why access control is refused. */
export const ACCESS_CONTROL = 'access control of httpd is not applied; put a middleware in front of the proxy'

/**
 * Directives of httpd and its modules that do something other than proxying, lower-case. A directive that is refused
 * would change security or routing.
 */
export const NOT_OURS: ReadonlyMap<string, NotOurs> = new Map([
  ...ignored(
    'the server is your app: it listens, logs and manages its processes in Node',
    `Listen ListenBacklog NameVirtualHost Port CoreDumpDirectory Mutex DefaultRuntimeDir ServerRoot
    ServerAdmin ServerSignature ServerTokens StartServers ServerLimit ThreadLimit ThreadsPerChild ThreadStackSize
    MaxClients MaxRequestWorkers MaxConnectionsPerChild MaxRequestsPerChild MinSpareThreads MaxSpareThreads MaxMemFree
    AsyncRequestWorkerFactor ScoreBoardFile ExtendedStatus LoadModule LoadFile AcceptFilter Protocol
    EnableMMAP EnableSendfile SendBufferSize ReceiveBufferSize ReadBufferSize FlushMaxPipelined FlushMaxThreshold
    ListenCoresBucketsRatio ListenTCPDeferAccept WatchdogInterval RLimitCPU RLimitMEM RLimitNPROC SeeRequestTail
    ErrorLog ErrorLogFormat CustomLog GlobalLog LogFormat LogLevel TransferLog BufferedLogs ForensicLog LogMessage LogIOTrackTTFB
    IdentityCheck IdentityCheckTimeout DumpIOInput DumpIOOutput   
    SuexecUserGroup Suexec AddModuleInfo ContentDigest MergeTrailers
        LimitXMLRequestBody LimitInternalRecursion
    HeartbeatAddress HeartbeatListen HeartbeatMaxServers HeartbeatStorage`,
  ),
  ...ignored(
    'your server terminates the TLS of clients',
    `SSLCertificateFile SSLCertificateKeyFile SSLCertificateChainFile   
    SSLCompression SSLSessionCache SSLSessionCacheTimeout SSLSessionTicketKeyFile SSLRandomSeed
    SSLPassPhraseDialog SSLCryptoDevice SSLInsecureRenegotiation SSLUseStapling SSLStaplingCache
    SSLStaplingErrorCacheTimeout SSLStaplingFakeTryLater SSLStaplingForceURL SSLStaplingResponderTimeout
    SSLStaplingResponseMaxAge SSLStaplingResponseTimeSkew SSLStaplingReturnResponderErrors SSLStaplingStandardCacheTimeout
      SSLRenegBufferSize SSLLog SSLLogLevel`,
  ),
  ...ignored(
    'Node manages it in HTTP/2',
    `H2CopyFiles H2Direct H2EarlyHint H2EarlyHints H2MaxDataFrameLen H2MaxHeaderBlockLen
    H2MaxStreamErrors H2MaxWorkerIdleSeconds H2MaxWorkers H2MinWorkers H2ModernTLSOnly H2OutputBuffering
    H2Padding H2ProxyRequests H2Push H2PushDiarySize H2PushPriority H2PushResource H2SerializeHeaders H2SessionExtraFiles
    H2StreamMaxMemSize H2StreamTimeout H2TLSCoolDownSecs H2TLSWarmUpSize H2Upgrade`,
  ),
  ...ignored(
    'it concerns files and requests that are not proxied, which your app handles',
    ` DirectoryIndex DirectorySlash DirectoryIndexRedirect DirectoryCheckHandler FallbackResource 
    AllowOverride AllowOverrideList AccessFileName Alias AliasMatch AliasPreservePath ScriptAlias ScriptAliasMatch UserDir
    AddType AddHandler AddCharset AddDefaultCharset AddEncoding AddLanguage DefaultType DefaultLanguage ForceType TypesConfig
    RemoveType RemoveHandler RemoveCharset RemoveEncoding RemoveLanguage MimeMagicFile ModMimeUsePathInfo MultiviewsMatch
    AcceptPathInfo FileETag LanguagePriority ForceLanguagePriority CacheNegotiatedDocs IndexOptions IndexIgnore
    IndexIgnoreReset IndexOrderDefault IndexStyleSheet IndexHeadInsert FancyIndexing HeaderName ReadmeName AddIcon
    AddIconByEncoding AddIconByType AddAlt AddAltByEncoding AddAltByType AddDescription DefaultIcon CheckSpelling
    CheckCaseOnly ScriptLog ScriptLogBuffer ScriptLogLength ScriptSock CGIDScriptTimeout CGIScriptTimeout CGIPassAuth CGIVar
    XBitHack SSIEndTag SSIStartTag SSIErrorMsg SSITimeFormat SSIUndefinedEcho SSIETag SSILastModified  
    VirtualDocumentRoot VirtualScriptAlias VirtualDocumentRootIP VirtualScriptAliasIP MaxRanges MaxRangeOverlaps
    MaxRangeReversals QualifyRedirectURL DAVLockDB ProxyFCGIBackendType ProxyFCGISetEnvIf ProxyFtpDirCharset
    ProxyFtpEscapeWildcards ProxyFtpListOnWildcard ProxySCGIInternalRedirect ProxySCGISendfile`,
  ),
  ...ignored(
    FORWARDED,
    `AddInputFilter RemoveOutputFilter RemoveInputFilter
    DeflateCompressionLevel DeflateBufferSize DeflateMemLevel DeflateWindowSize DeflateFilterNote DeflateAlterETag
    DeflateInflateLimitRequestBody DeflateInflateRatioBurst DeflateInflateRatioLimit BrotliCompressionQuality
    BrotliCompressionWindow BrotliCompressionMaxInputBlock BrotliAlterETag BrotliFilterNote FilterChain FilterDeclare
    FilterProtocol FilterTrace ExpiresActive ExpiresByType ExpiresDefault  
    CookieTracking CookieName CookieExpires CookieDomain CookieStyle CookieHTTPOnly CookieSameSite CookieSecure`,
  ),
  ...ignored(
    CERTIFICATES,
    `MDomain MDCertificateAgreement MDCertificateAuthority MDContactEmail MDMember MDMembers MDPrivateKeys MDCAChallenges
    MDStoreDir MDRenewWindow MDRenewMode MDDriveMode MDBaseServer MDHttpProxy MDPortMap MDNotifyCmd MDMessageCmd
    MDMustStaple MDStapling MDStaplingKeepResponse MDStaplingRenewWindow MDStapleOthers MDCertificateCheck MDCertificateFile
    MDCertificateKeyFile MDCertificateMonitor MDCertificateProtocol MDCertificateStatus MDChallengeDns01 MDChallengeDns01Version
    MDExternalAccountBinding MDActivationDelay MDCACertificateFile MDWarnWindow MDServerStatus MDRetryDelay MDRetryFailover
    MDStoreLocks MDMatchNames MDProfile MDProfileMandatory MDInitialDelay`,
  ),
  ...ignored(
    'it tunes something that Node manages',
    `ProxyIOBufferSize ProxyReceiveBufferSize ProxyDomain NoProxy ProxyStatus Proxy100Continue BalancerGrowth
    BalancerPersist`,
  ),
  ...refused(
    ACCESS_CONTROL,
    ` AuthBasicFake
    AuthBasicUseDigestAlgorithm AuthDigestAlgorithm AuthDigestDomain AuthDigestNonceLifetime AuthDigestProvider AuthDigestQop
    AuthDigestShmemSize AuthDigestNcCheck AuthzSendForbiddenOnFailure AuthFormProvider AuthFormLocation
    AuthFormAuthoritative AuthFormMethod AuthFormUsername AuthFormPassword AuthFormBody AuthFormLoginRequiredLocation
    AuthFormLoginSuccessLocation AuthFormLogoutLocation AuthFormMimetype AuthFormSize AuthFormSitePassphrase
    AuthFormFakeBasicAuth AuthFormDisableNoStore AuthLDAPURL AuthLDAPBindDN AuthLDAPBindPassword AuthDBMUserFile
    AuthDBMGroupFile AuthDBDUserPWQuery AuthDBDUserRealmQuery Anonymous SSLRequire SSLUserName  
      SSLCACertificatePath SSLCADNRequestFile SSLCADNRequestPath 
     SSLCARevocationPath SSLOCSPEnable <AuthnProviderAlias
    <AuthzProviderAlias Session SessionCookieName SessionEnv SessionHeader`,
  ),
  ...refused('it limits what clients may send, which is not supported', 'ProxyBlock'),
  ...refused('it redirects requests to TLS, which is not supported', 'MDRequireHttps'),
  ...refused('it changes what patterns match, which is not supported', 'RegexDefaultOptions'),
  ...refused('the process is not confined to a folder; the service manager can do it (RootDirectory=)', 'ChrootDir'),
  ...refused('redirects always have a whole URL here', 'RedirectRelative'),
  ...refused(
    'it changes the address of clients and with it X-Forwarded-For, which is not supported',
    `RemoteIPHeader RemoteIPInternalProxy RemoteIPInternalProxyList RemoteIPProxiesHeader RemoteIPProxyProtocol
    RemoteIPProxyProtocolExceptions RemoteIPTrustedProxy RemoteIPTrustedProxyList`,
  ),
  ...refused(
    'it changes where requests go, which is not supported',
    `ServerPath ProxyRemote ProxyRemoteMatch Action ProxyExpressEnable ProxyExpressDBMFile
    ProxyExpressDBMType Use <Macro UndefMacro `,
  ),
  ...refused(
    'it changes bodies, which is not supported',
    `Substitute SubstituteInheritBefore SubstituteMaxLineLength ProxyHTMLEnable ProxyHTMLURLMap ProxyHTMLExtended
    ProxyHTMLLinks ProxyHTMLEvents ProxyHTMLInterp ProxyHTMLMeta ProxyHTMLFixups ProxyHTMLDocType ProxyHTMLStripComments
    ProxyHTMLCharsetOut ProxyHTMLBufSize InputSed OutputSed ExtFilterDefine ExtFilterOptions SetInputFilter CacheEnable
    CacheDisable CacheRoot CacheQuickHandler`,
  ),
  ...refused('its condition depends on the request, which is not supported', '<IfDirective <IfSection'),
])
