import type { IncomingMessage } from 'node:http'
import type { PeerCertificate, TLSSocket } from 'node:tls'

type TlsReader = (socket: TLSSocket) => string

/** The fields of a name in a certificate. httpd gives them in the order of RFC 2253, the last one first. */
function nameOf(fields: PeerCertificate['subject'] | undefined): string {
  return Object.entries(fields ?? {})
    .flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map(each => `${key}=${each}`))
    .toReversed()
    .join(',')
}

const peerOf = (socket: TLSSocket): Partial<PeerCertificate> => socket.getPeerCertificate() ?? {}

/** The result of the check of a client's certificate. httpd: ssl_var_lookup_ssl_cert_verify. */
function verification(socket: TLSSocket): string {
  if (peerOf(socket).raw === undefined) return 'NONE'
  return socket.authorized ? 'SUCCESS' : `FAILED:${socket.authorizationError}`
}

function pemOf(socket: TLSSocket): string {
  const { raw } = peerOf(socket)
  if (raw === undefined) return ''
  const lines = raw.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

const READERS: Readonly<Record<string, TlsReader>> = {
  SSL_PROTOCOL: socket => socket.getProtocol() ?? '',
  SSL_CIPHER: socket => socket.getCipher().name,
  SSL_TLS_SNI: socket => ('servername' in socket ? String(socket.servername || '') : ''),
  SSL_SESSION_RESUMED: socket => (socket.isSessionReused() ? 'Resumed' : 'Initial'),
  SSL_SECURE_RENEG: () => 'true',
  SSL_COMPRESS_METHOD: () => 'NULL',
  SSL_CLIENT_VERIFY: verification,
  SSL_CLIENT_S_DN: socket => nameOf(peerOf(socket).subject),
  SSL_CLIENT_I_DN: socket => nameOf(peerOf(socket).issuer),
  SSL_CLIENT_M_SERIAL: socket => peerOf(socket).serialNumber ?? '',
  SSL_CLIENT_V_START: socket => peerOf(socket).valid_from ?? '',
  SSL_CLIENT_V_END: socket => peerOf(socket).valid_to ?? '',
  SSL_CLIENT_CERT: pemOf,
}

/**
 * Sets the variables that mod_ssl gives to requests over TLS: `HTTPS` and `SSL_TLS_SNI`, and the others with
 * `SSLOptions +StdEnvVars`. httpd: ssl_hook_Fixup.
 */
export function setTlsVariables(
  env: Map<string, string>,
  { socket }: IncomingMessage,
  { standard = false, certificates = false }: TlsVariableSets,
): void {
  if (!('encrypted' in socket)) return
  env.set('HTTPS', 'on')
  const set = (name: string, value: string): void => {
    if (value !== '') env.set(name, value)
  }
  for (const [name, read] of Object.entries(READERS)) {
    const isWanted = name === 'SSL_TLS_SNI' || (name === 'SSL_CLIENT_CERT' ? certificates : standard)
    if (isWanted) set(name, read(socket as TLSSocket))
  }
  if (!standard) return
  const { subject, issuer } = peerOf(socket as TLSSocket)
  for (const [letter, fields] of [['S', subject] as const, ['I', issuer] as const])
    for (const [key, value] of Object.entries(fields ?? {})) set(`SSL_CLIENT_${letter}_DN_${key}`, String(value))
}

/** Which variables SSLOptions requests. */
export interface TlsVariableSets {
  /** StdEnvVars */
  readonly standard?: boolean
  /** ExportCertData */
  readonly certificates?: boolean
}

/** The reader of a variable of mod_ssl, by its name in upper case; `undefined` for one that is not supported. It is `''` without TLS. */
export function tlsVariable(name: string): ((req: IncomingMessage) => string) | undefined {
  const [, of, part = ''] = /^SSL_CLIENT_([SI])_DN_(\w+)$/.exec(name) ?? []
  const reader: TlsReader | undefined =
    of === undefined
      ? READERS[name]
      : socket => String((of === 'S' ? peerOf(socket).subject : peerOf(socket).issuer)?.[part as 'CN'] ?? '')
  return reader && (({ socket }) => ('encrypted' in socket ? reader(socket as TLSSocket) : ''))
}
