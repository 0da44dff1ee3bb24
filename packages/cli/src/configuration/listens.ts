import { isIP } from 'node:net'
import type { CompiledHost } from '@ws-tunnel/httpd-conf'
import type { HostReader, Subject } from './host-reader.ts'
import type { Address, Listen } from './virtual-hosts.ts'

/** Splits an address and a port, as Listen and `<VirtualHost>` write them. */
function readAddress(text: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  const colon = text.lastIndexOf(':')
  if (bracketed !== null) return { host: bracketed[1] as string, port: bracketed[2] }
  return colon === -1 ? { host: text, port: undefined } : { host: text.slice(0, colon), port: text.slice(colon + 1) }
}

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535

/** An address of `<VirtualHost>`. A host name is not looked up, and stands for every address. */
export function readHostAddress(reader: HostReader, text: string, place: Subject['place']): Address {
  const { host, port } = readAddress(text)
  const isEvery = host === '*' || host === '_default_'
  if (!isEvery && isIP(host) === 0) {
    const message = `${host} is not an IP address and is read as *`
    reader.report('warning', { place, name: '<VirtualHost' }, message, 'an IP address or *')
  }
  return {
    host: isEvery || isIP(host) === 0 ? undefined : host,
    port: port === undefined || port === '*' ? undefined : Number(port),
  }
}

/** The Listen lines of the main server. `unix:/path` listens at a unix socket, as httpd 2.5 does. */
export function readListens(reader: HostReader, main: CompiledHost): Listen[] {
  return main.directives
    .filter(({ key }) => key === 'listen')
    .flatMap((directive): Listen[] => {
      const [text = ''] = directive.words
      const path = /^unix:(.+)$/i.exec(text)?.[1]
      if (path !== undefined)
        return [{ id: text, host: undefined, port: 0, filePort: undefined, path: reader.absolute(path) }]
      const { host, port } = /^\d+$/.test(text) ? { host: '*', port: text } : readAddress(text)
      if (port === undefined || !isPort(port)) {
        reader.report('error', directive, 'Port must be specified', '[address:]port or unix:/path')
        return []
      }
      const any = host === '*'
      return [{ id: any ? port : text, host: any ? undefined : host, port: Number(port), filePort: Number(port) }]
    })
}
