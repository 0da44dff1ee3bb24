import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { CompiledHost, PlainDirective } from '@ws-tunnel/httpd-conf'
import type { HostReader } from './host-reader.ts'
import type { Host } from './virtual-hosts.ts'

/** TLS towards the clients of a host: SSLEngine, certificate and key, and the settings of protocol and client certificates. */
export function readTls(reader: HostReader, host: CompiledHost): Host['tls'] {
  const engine = reader.find(host, 'sslengine')
  const on = engine?.words[0]?.toLowerCase() ?? 'off'
  if (engine === undefined || on === 'off') return undefined
  if (on !== 'on') {
    reader.report('error', engine, `${engine.name} ${on} is not supported`, 'On or Off')
    return undefined
  }
  const file = reader.find(host, 'sslcertificatefile')
  if (file === undefined) {
    reader.report('error', engine, 'Server should be SSL-aware but has no certificate configured', 'SSLCertificateFile')
    return undefined
  }
  const keyFile = reader.find(host, 'sslcertificatekeyfile') ?? file
  const chainFile = reader.find(host, 'sslcertificatechainfile')
  const cert = readPem(reader, file)
  const key = readPem(reader, keyFile)
  const chain = chainFile === undefined ? '' : readPem(reader, chainFile)
  if (cert === undefined || key === undefined || chain === undefined) return undefined
  const { requestCert = false, rejectUnauthorized: _, ...protocol } = host.settings.tls
  const options: SecureContextOptions = { ...protocol, cert: `${cert}\n${chain}`, key }
  try {
    return {
      options,
      requestCert,
      context: createSecureContext(options),
      identity: JSON.stringify([options, requestCert]),
    }
  } catch (error) {
    reader.report('error', keyFile, `certificate and key cannot be used: ${(error as Error).message}`)
    return undefined
  }
}

function readPem(reader: HostReader, directive: PlainDirective): string | undefined {
  const name = reader.absolute(directive.words[0] ?? '')
  try {
    return readFileSync(name, 'utf8')
  } catch {
    reader.report('error', directive, `${directive.name}: file '${name}' does not exist or is empty`)
    return undefined
  }
}
