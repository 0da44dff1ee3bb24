import type { ConnectionOptions } from 'node:tls'
import type { Report } from '../diagnostics.ts'
import type { Server } from '../directives/reader.ts'
import type { Files } from '../syntax/files.ts'

const VERSIONS: Record<string, string> = {
  tlsv1: 'TLSv1',
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
}

/**
 * SSLProxy* as options of `tls.connect`; `undefined` where SSLProxyEngine is not on.
 *
 * @param preserveHost with ProxyPreserveHost httpd compares the certificate with the client's Host.
 */
export function compileTls(
  { tls }: Server,
  files: Files,
  absolute: (name: string) => string,
  report: Report,
): ConnectionOptions | undefined {
  const options: ConnectionOptions = {}
  const word = (key: string): string => tls.get(key)?.words[0]?.toLowerCase() ?? ''
  const isOn = (key: string, otherwise: boolean): boolean => {
    const entry = tls.get(key)
    if (entry === undefined) return otherwise
    if (!/^(?:on|off)$/.test(word(key))) {
      const message = `${entry.name} must be On or Off`
      report.error(entry.place, entry.name, message, { httpd: message })
    }
    return word(key) === 'on'
  }
  const engine = tls.get('sslproxyengine')
  if (engine === undefined || !isOn('sslproxyengine', false)) return undefined

  const read = (key: string): string | undefined => {
    const entry = tls.get(key)
    if (entry === undefined) return undefined
    const name = absolute(entry.words[0] as string)
    const text = files.read(name)
    if (text === undefined) {
      const message = `${entry.name}: file '${name}' does not exist or is empty`
      report.error(entry.place, entry.name, message, { httpd: message, at: entry.words[0] })
    }
    return text
  }

  const verify = word('sslproxyverify') || 'none'
  const verifyEntry = tls.get('sslproxyverify') ?? engine
  const checksName = isOn('sslproxycheckpeername', true)
  const checksExpiry = isOn('sslproxycheckpeerexpire', true)
  if (verify === 'require') options.rejectUnauthorized = true
  else if (verify === 'none') {
    options.rejectUnauthorized = false
    if (checksName || checksExpiry) {
      report.refuse(
        verifyEntry.place,
        'SSLProxyVerify',
        'without a verified chain Node checks neither the name nor the dates of a certificate, which httpd still does',
        {
          expected:
            'SSLProxyVerify require with SSLProxyCACertificateFile, or SSLProxyCheckPeerName off and SSLProxyCheckPeerExpire off',
        },
      )
    }
  } else if (verify === 'optional' || verify === 'optional_no_ca') {
    report.refuse(verifyEntry.place, 'SSLProxyVerify', `${verify} is not honoured`, { expected: 'require or none' })
  } else {
    const message = `SSLProxyVerify: Invalid argument '${verify}'`
    report.error(verifyEntry.place, 'SSLProxyVerify', message, { httpd: message })
  }
  if (!checksName) options.checkServerIdentity = () => undefined

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
  compileVersions(tls.get('sslproxyprotocol'), options, report)
  for (const key of [
    'sslproxycacertificatepath',
    'sslproxycarevocationpath',
    'sslproxymachinecertificatepath',
    'sslproxymachinecertificatechainfile',
    'sslproxyverifydepth',
  ]) {
    const entry = tls.get(key)
    if (entry !== undefined)
      report.refuse(entry.place, entry.name, 'it is not honoured', {
        expected: key.endsWith('path') ? 'the file of the same name' : undefined,
      } as { expected: string })
  }
  for (const key of ['sslproxycheckpeercn', 'sslproxycarevocationcheck']) {
    const entry = tls.get(key)
    if (entry !== undefined)
      report.ignore(entry.place, entry.name, 'SSLProxyCheckPeerName and SSLProxyCARevocationFile say it')
  }
  return options
}

function compileVersions(
  entry: { words: string[]; place: Parameters<Report['error']>[0]; name: string } | undefined,
  options: ConnectionOptions,
  report: Report,
): void {
  if (entry === undefined) return
  const all = Object.keys(VERSIONS)
  let set = new Set<string>()
  for (const word of entry.words) {
    const sign = /^[+-]/.exec(word)?.[0] ?? ''
    const name = word.slice(sign.length).toLowerCase()
    const names = name === 'all' ? ['tlsv1.2', 'tlsv1.3', 'tlsv1', 'tlsv1.1'] : [name]
    if (name === 'sslv3' || name === 'sslv2') {
      if (sign === '-') continue
      report.refuse(entry.place, entry.name, `${word} is not honoured`, { at: word })
      continue
    }
    if (!names.every(each => all.includes(each))) {
      const message = `${entry.name}: Illegal protocol '${word}'`
      report.error(entry.place, entry.name, message, { httpd: message, at: word })
      return
    }
    if (sign === '-') for (const each of names) set.delete(each)
    else set = sign === '+' ? new Set([...set, ...names]) : new Set(names)
  }
  const chosen = all.filter(name => set.has(name))
  const first = all.indexOf(chosen[0] ?? '')
  if (chosen.length === 0 || all.indexOf(chosen.at(-1) as string) - first + 1 !== chosen.length) {
    report.refuse(entry.place, entry.name, 'the versions are no unbroken range')
    return
  }
  options.minVersion = VERSIONS[chosen[0] as string] as NonNullable<ConnectionOptions['minVersion']>
  options.maxVersion = VERSIONS[chosen.at(-1) as string] as NonNullable<ConnectionOptions['maxVersion']>
}
