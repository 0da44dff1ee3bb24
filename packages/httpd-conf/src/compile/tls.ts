import { type ConnectionOptions, checkServerIdentity, type PeerCertificate, type SecureVersion } from 'node:tls'
import type { Report } from '../diagnostics.ts'
import type { Server, TlsLine } from '../directives/model.ts'
import type { Files } from '../syntax/files.ts'

/** Versions of TLS, oldest first, as httpd names them in lower case and as Node names them. */
const VERSIONS: readonly (readonly [httpd: string, node: SecureVersion])[] = [
  ['tlsv1', 'TLSv1'],
  ['tlsv1.1', 'TLSv1.1'],
  ['tlsv1.2', 'TLSv1.2'],
  ['tlsv1.3', 'TLSv1.3'],
]

/** Directives that are not supported, and what to write instead. */
const UNSUPPORTED: readonly (readonly [key: string, expected: string | undefined])[] = [
  ['sslproxycacertificatepath', 'SSLProxyCACertificateFile'],
  ['sslproxycarevocationpath', 'SSLProxyCARevocationFile'],
  ['sslproxymachinecertificatepath', 'SSLProxyMachineCertificateFile'],
  ['sslproxymachinecertificatechainfile', undefined],
  ['sslproxyverifydepth', undefined],
]

/** Directives without an effect, and why. */
const IDLE: readonly (readonly [key: string, why: string])[] = [
  ['sslproxycheckpeercn', 'SSLProxyCheckPeerName decides which names are checked'],
  ['sslproxycarevocationcheck', 'SSLProxyCARevocationFile decides whether revocation is checked'],
]

/** SSLProxy* as options of `tls.connect`; `undefined` unless SSLProxyEngine is on. */
export function compileTls(
  { tls }: Server,
  files: Files,
  absolute: (name: string) => string,
  report: Report,
): ConnectionOptions | undefined {
  const engine = tls.get('sslproxyengine')
  if (engine === undefined || !isOn(engine, false, report)) return undefined
  const options: ConnectionOptions = {}
  compileVerification(tls, engine, options, report)

  const read = (key: string): string | undefined => {
    const line = tls.get(key)
    if (line === undefined) return undefined
    const [word = ''] = line.words
    const file = absolute(word)
    const text = files.read(file)
    if (text === undefined) report.fail(line, `${line.name}: file '${file}' does not exist or is empty`, { at: word })
    return text
  }
  const authorities = read('sslproxycacertificatefile')
  if (authorities !== undefined) options.ca = authorities
  const machine = read('sslproxymachinecertificatefile')
  if (machine !== undefined) {
    options.cert = machine
    options.key = machine
  }
  const revocations = read('sslproxycarevocationfile')
  if (revocations !== undefined) options.crl = revocations

  const ciphers = tls.get('sslproxyciphersuite')
  if (ciphers !== undefined) options.ciphers = ciphers.words.at(-1) as string
  const protocol = tls.get('sslproxyprotocol')
  if (protocol !== undefined) compileVersions(protocol, options, report)
  for (const [key, expected] of UNSUPPORTED) {
    const line = tls.get(key)
    if (line !== undefined) report.refuse(line, 'it is not supported', { expected })
  }
  for (const [key, why] of IDLE) {
    const line = tls.get(key)
    if (line !== undefined) report.ignore(line, why)
  }
  return options
}

function isOn(line: TlsLine | undefined, byDefault: boolean, report: Report): boolean {
  if (line === undefined) return byDefault
  const word = line.words[0]?.toLowerCase()
  if (word !== 'on' && word !== 'off') report.fail(line, `${line.name} must be On or Off`)
  return word === 'on'
}

/** SSLProxyVerify, SSLProxyCheckPeerName and SSLProxyCheckPeerExpire. */
function compileVerification(tls: Server['tls'], engine: TlsLine, options: ConnectionOptions, report: Report): void {
  const line = { name: 'SSLProxyVerify', place: (tls.get('sslproxyverify') ?? engine).place }
  const verify = tls.get('sslproxyverify')?.words[0]?.toLowerCase() || 'none'
  const checksName = isOn(tls.get('sslproxycheckpeername'), true, report)
  const checksExpiry = isOn(tls.get('sslproxycheckpeerexpire'), true, report)
  if (verify === 'require') options.rejectUnauthorized = true
  else if (verify === 'none') {
    options.rejectUnauthorized = false
    // The core calls this also without a verified chain.
    options.checkServerIdentity = (host, certificate) =>
      (checksName ? checkServerIdentity(host, certificate) : undefined) ??
      (checksExpiry ? checkDates(certificate) : undefined)
    return
  } else if (verify === 'optional' || verify === 'optional_no_ca') {
    report.refuse(line, `${verify} is not supported`, { expected: 'require or none' })
  } else report.fail(line, `SSLProxyVerify: Invalid argument '${verify}'`)
  if (!checksName) options.checkServerIdentity = () => undefined
}

/** SSLProxyCheckPeerExpire. */
function checkDates({ valid_from, valid_to }: PeerCertificate): Error | undefined {
  const now = Date.now()
  const isValid = Date.parse(valid_from) <= now && now <= Date.parse(valid_to)
  return isValid ? undefined : new Error(`the certificate is valid from ${valid_from} to ${valid_to}`)
}

/** SSLProxyProtocol. */
function compileVersions(line: TlsLine, options: ConnectionOptions, report: Report): void {
  const range = readVersions(line, report)
  if (range !== undefined) Object.assign(options, range)
}

/** Reads versions of TLS. Node takes a range of them, so they must be consecutive. @returns `undefined` after an error. */
export function readVersions(
  line: TlsLine,
  report: Report,
): { minVersion: SecureVersion; maxVersion: SecureVersion } | undefined {
  const all = VERSIONS.map(([name]) => name)
  let chosen = new Set<string>()
  for (const word of line.words) {
    const sign = /^[+-]/.exec(word)?.[0] ?? ''
    const name = word.slice(sign.length).toLowerCase()
    const names = name === 'all' ? all : [name]
    if (name === 'sslv3' || name === 'sslv2') {
      if (sign !== '-') report.refuse(line, `${word} is not supported`, { at: word })
      continue
    }
    if (!names.every(each => all.includes(each)))
      return report.fail(line, `${line.name}: Illegal protocol '${word}'`, { at: word })
    if (sign === '-') for (const each of names) chosen.delete(each)
    else chosen = new Set(sign === '+' ? [...chosen, ...names] : names)
  }
  const first = all.findIndex(name => chosen.has(name))
  const last = all.findLastIndex(name => chosen.has(name))
  const [oldest, newest] = [VERSIONS[first], VERSIONS[last]]
  if (oldest === undefined || newest === undefined || last - first + 1 !== chosen.size)
    return report.refuse(line, 'the versions must be consecutive')
  return { minVersion: oldest[1], maxVersion: newest[1] }
}
