import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { NOT_OURS } from '../../../packages/httpd-conf/src/directives/not-ours.ts'
import { messagesOf } from '../support.ts'

test('ignores or refuses each directive that is not about proxying, with the reason in the table', () => {
  for (const [key, { kind, why }] of NOT_OURS) {
    const text = key.startsWith('<') ? `${key} x>\n${key.replace('<', '</')}>` : `${key} x`
    const [diagnostic] = compileHttpdConf({ text }).diagnostics
    assert.equal(diagnostic?.message, why, key)
    assert.equal(diagnostic?.severity, kind === 'ignored' ? 'ignored' : 'error', key)
  }
})

const PASS = 'ProxyPass / http://b.test/'

/**
 * The answer to one question for each directive that is left out: can a request get a 2xx that httpd would refuse, or pass
 * where httpd would not serve it? Each answer is no, for the reason given.
 */
const HARMLESS: readonly [why: string, names: string][] = [
  [
    'it says where the server listens, and how many processes, threads and buffers it has: connections past a limit wait in httpd',
    `Listen ListenBacklog NameVirtualHost Port StartServers ServerLimit ThreadLimit ThreadsPerChild ThreadStackSize MaxClients
    MaxRequestWorkers MaxConnectionsPerChild MaxRequestsPerChild MinSpareThreads MaxSpareThreads MaxMemFree
    AsyncRequestWorkerFactor ListenCoresBucketsRatio ListenTCPDeferAccept AcceptFilter Protocol EnableMMAP EnableSendfile
    SendBufferSize ReceiveBufferSize ReadBufferSize FlushMaxPipelined FlushMaxThreshold CoreDumpDirectory Mutex
    DefaultRuntimeDir ScoreBoardFile WatchdogInterval`,
  ],
  ['it names a folder or loads a module; the modules count for <IfModule>', 'ServerRoot LoadModule LoadFile'],
  [
    'it changes pages and fields that httpd makes',
    'ServerAdmin ServerSignature ServerTokens ContentDigest AddModuleInfo',
  ],
  [
    'it writes logs or statistics',
    `ErrorLog ErrorLogFormat CustomLog GlobalLog LogFormat LogLevel TransferLog BufferedLogs ForensicLog LogMessage
    LogIOTrackTTFB DumpIOInput DumpIOOutput ExtendedStatus SeeRequestTail IdentityCheck IdentityCheckTimeout
    HeartbeatAddress HeartbeatListen HeartbeatMaxServers HeartbeatStorage ProxyStatus`,
  ],
  [
    'it concerns CGI, WebDAV and subrequests, which are never proxied; internal redirects have a limit here too',
    'RLimitCPU RLimitMEM RLimitNPROC SuexecUserGroup Suexec LimitXMLRequestBody LimitInternalRecursion',
  ],
  ['it adds trailers to the fields after all checks', 'MergeTrailers'],
  [
    'it names a certificate or tunes the handshake; a key or a certificate that cannot be used stops the start',
    `SSLCertificateFile SSLCertificateKeyFile SSLCertificateChainFile SSLCompression SSLSessionCache SSLSessionCacheTimeout
    SSLSessionTicketKeyFile SSLRandomSeed SSLPassPhraseDialog SSLCryptoDevice SSLRenegBufferSize SSLLog SSLLogLevel
    SSLInsecureRenegotiation SSLUseStapling SSLStaplingCache SSLStaplingErrorCacheTimeout SSLStaplingFakeTryLater
    SSLStaplingForceURL SSLStaplingResponderTimeout SSLStaplingResponseMaxAge SSLStaplingResponseTimeSkew
    SSLStaplingReturnResponderErrors SSLStaplingStandardCacheTimeout`,
  ],
  [
    'httpd applies it to files, after ProxyPass and RewriteRule [P] have taken their requests; the app has the others',
    `DirectoryIndex DirectorySlash DirectoryIndexRedirect DirectoryCheckHandler FallbackResource AllowOverride
    AllowOverrideList AccessFileName Alias AliasMatch AliasPreservePath ScriptAlias ScriptAliasMatch UserDir
    VirtualDocumentRoot VirtualScriptAlias VirtualDocumentRootIP VirtualScriptAliasIP CheckSpelling CheckCaseOnly
    AcceptPathInfo MultiviewsMatch ModMimeUsePathInfo MimeMagicFile DAVLockDB`,
  ],
  [
    'it chooses a type, a language or a handler of files; a proxied request keeps its handler',
    `AddType AddHandler AddCharset AddDefaultCharset AddEncoding AddLanguage DefaultType DefaultLanguage ForceType
    TypesConfig RemoveType RemoveHandler RemoveCharset RemoveEncoding RemoveLanguage LanguagePriority
    ForceLanguagePriority CacheNegotiatedDocs FileETag`,
  ],
  [
    'it draws listings of folders, or runs CGI and SSI',
    `IndexOptions IndexIgnore IndexIgnoreReset IndexOrderDefault IndexStyleSheet IndexHeadInsert FancyIndexing HeaderName
    ReadmeName AddIcon AddIconByEncoding AddIconByType AddAlt AddAltByEncoding AddAltByType AddDescription DefaultIcon
    ScriptLog ScriptLogBuffer ScriptLogLength ScriptSock CGIDScriptTimeout CGIScriptTimeout CGIPassAuth CGIVar XBitHack
    SSIEndTag SSIStartTag SSIErrorMsg SSITimeFormat SSIUndefinedEcho SSIETag SSILastModified`,
  ],
  ['it concerns ranges and error pages of files', 'MaxRanges MaxRangeOverlaps MaxRangeReversals QualifyRedirectURL'],
  [
    'it belongs to another protocol of mod_proxy, whose URLs are refused',
    `ProxyFCGIBackendType ProxyFCGISetEnvIf ProxyFtpDirCharset ProxyFtpEscapeWildcards ProxyFtpListOnWildcard
    ProxySCGIInternalRedirect ProxySCGISendfile`,
  ],
  [
    'it compresses responses, or adds fields to them; the filters that change or limit are refused by their names',
    `AddInputFilter RemoveOutputFilter RemoveInputFilter DeflateCompressionLevel DeflateBufferSize DeflateMemLevel
    DeflateWindowSize DeflateFilterNote DeflateAlterETag DeflateInflateLimitRequestBody DeflateInflateRatioBurst
    DeflateInflateRatioLimit BrotliCompressionQuality BrotliCompressionWindow BrotliCompressionMaxInputBlock
    BrotliAlterETag BrotliFilterNote FilterChain FilterDeclare FilterProtocol FilterTrace ExpiresActive ExpiresByType
    ExpiresDefault CookieTracking CookieName CookieExpires CookieDomain CookieStyle CookieHTTPOnly CookieSameSite
    CookieSecure`,
  ],
  [
    'it gets and renews certificates; MDRequireHttps, which redirects, is refused',
    `MDomain MDCertificateAgreement MDCertificateAuthority MDContactEmail MDMember MDMembers MDPrivateKeys MDCAChallenges
    MDStoreDir MDRenewWindow MDRenewMode MDDriveMode MDBaseServer MDHttpProxy MDPortMap MDNotifyCmd MDMessageCmd
    MDMustStaple MDStapling MDStaplingKeepResponse MDStaplingRenewWindow MDStapleOthers MDCertificateCheck
    MDCertificateFile MDCertificateKeyFile MDCertificateMonitor MDCertificateProtocol MDCertificateStatus MDChallengeDns01
    MDChallengeDns01Version MDExternalAccountBinding MDActivationDelay MDCACertificateFile MDWarnWindow MDServerStatus
    MDRetryDelay MDRetryFailover MDStoreLocks MDMatchNames MDProfile MDProfileMandatory MDInitialDelay`,
  ],
  [
    'it tunes connections to backends, or the forward proxy, which is refused',
    'ProxyIOBufferSize ProxyReceiveBufferSize ProxyDomain NoProxy Proxy100Continue BalancerGrowth BalancerPersist',
  ],
]

/** HTTP/2 has its own settings. Each of its requests passes the same checks. */
const isOfHttp2 = (key: string): boolean => /^h2|^protocols/.test(key)

test('has an answer for each directive that is left out: no request passes that httpd refuses', () => {
  const answered = HARMLESS.flatMap(([, names]) => names.trim().toLowerCase().split(/\s+/)).toSorted()
  const ignored = [...NOT_OURS].flatMap(([key, { kind }]) => (kind === 'ignored' && !isOfHttp2(key) ? [key] : []))
  assert.deepEqual(answered, ignored.toSorted())
})

const protecting: [lines: string, directive: string][] = [
  ['SetOutputFilter RATE_LIMIT', 'SetOutputFilter'],
  ['AddOutputFilterByType DEFLATE;RATE_LIMIT text/html', 'AddOutputFilterByType'],
  ['BalancerInherit Off', 'BalancerInherit'],
  ['UseCanonicalPhysicalPort On', 'UseCanonicalPhysicalPort'],
  ['<MDomainSet a.test>\nMDRequireHttps permanent\n</MDomainSet>', 'MDRequireHttps'],
  ['ChrootDir /srv', 'ChrootDir'],
  ['RegexDefaultOptions +ICASE', 'RegexDefaultOptions'],
  ['ServerPath /one', 'ServerPath'],
  ['LoadModule remoteip_module x.so\n<IfModule mod_remoteip.c>\nRemoteIPHeader X\n</IfModule>', 'RemoteIPHeader'],
]

test('refuses a line that protects among lines that are left out', () => {
  for (const [lines, directive] of protecting) {
    assert.match(messagesOf(`${lines}\n${PASS}`, 'error').join(), new RegExp(`^${directive}: `), lines)
    assert.deepEqual(messagesOf(`${lines}\n${PASS}`, 'error', { allow: [directive] }), [], lines)
  }
  for (const line of ['SetOutputFilter DEFLATE', 'BalancerInherit On', 'UseCanonicalPhysicalPort Off'])
    assert.deepEqual(messagesOf(`${line}\n${PASS}`, 'error'), [], line)
})

test('warns of a module that protects, and that no LoadModule line names', () => {
  const section = '<IfModule mod_evasive20.c>\nDOSPageCount 2\n</IfModule>'
  assert.match(messagesOf(`${section}\n${PASS}`, 'warning').join(), /its lines are left out/)
  assert.deepEqual(messagesOf(`<IfModule mod_php.c>\nx\n</IfModule>\n${PASS}`, 'warning'), [])
})
