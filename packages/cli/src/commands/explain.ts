import { explain, type WsTunnelOptions } from '@ws-tunnel/core'
import { type Compiled, compileHttpdConf, compileVirtualHosts, type HttpdConf } from '@ws-tunnel/httpd-conf'
import { diagnosticsText, isError } from '../configuration/diagnostics-text.ts'
import { hostName, nameTest } from '../configuration/virtual-hosts.ts'
import { readingFrom, UsageError } from '../errors.ts'
import { explanationText } from './explain-text.ts'

/** The request that `ws-tunnel explain` explains. */
export interface ExplainedRequest {
  readonly method: string
  readonly url: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly remoteAddress: string
  readonly encrypted: boolean
}

/**
 * `ws-tunnel explain`: prints which route a request takes and what the backend receives.
 *
 * @returns the exit code.
 * @throws {FileError} when the file cannot be read.
 * @throws {UsageError} for a request that HTTP does not allow.
 */
export async function explainRequest(
  file: string,
  conf: HttpdConf,
  request: ExplainedRequest,
  json: boolean,
): Promise<number> {
  const hostField = request.headers.find(([name]) => name.toLowerCase() === 'host')?.[1]
  const { options, diagnostics } = readingFrom(file, () =>
    conf.serverName === undefined ? compileForHost(conf, hostField) : compileHttpdConf(conf),
  )
  if (options === undefined) {
    process.stderr.write(diagnosticsText(diagnostics.filter(isError)))
    return 1
  }
  const headers = request.headers.map(([name, value]): [string, string] => [name, value])
  if (hostField === undefined) headers.unshift(['Host', String(conf.serverName ?? options.serverName)])
  try {
    const explanation = await explain(options, { ...request, headers })
    process.stdout.write(json ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(explanation))
    return 0
  } catch (error) {
    // `explain` throws a TypeError for a request that cannot be sent, such as one with a space in its URL.
    if (error instanceof TypeError) throw new UsageError(error.message)
    throw error
  }
}

/** Compiles the virtual host that the Host field names, or else the first one. */
function compileForHost(
  conf: HttpdConf,
  hostField = '',
): Pick<Compiled, 'diagnostics'> & { options?: WsTunnelOptions } {
  const { servers, diagnostics } = compileVirtualHosts(conf)
  const name = hostName(hostField)
  const named = servers?.hosts.find(host => nameTest(host)(name))
  return { options: (named ?? servers?.hosts[0] ?? servers?.main)?.options, diagnostics }
}
