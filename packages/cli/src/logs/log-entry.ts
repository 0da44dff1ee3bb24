import type { IncomingMessage, ServerResponse } from 'node:http'

/** Environment variables of a request, as SetEnvIf and RewriteRule set them. */
export type RequestVariables = ReadonlyMap<string, string>

/** A request that is complete, a tunnel that has ended, or a request that Node's parser refused. */
export interface LogEntry {
  /** `undefined` if the parser refused the request. */
  readonly req: IncomingMessage | undefined
  readonly res: ServerResponse | undefined
  /** The variables of mod_ssl that the format writes. */
  readonly tls: ReadonlyMap<string, string>
  /** The request line as it came; `-` if there is none. */
  readonly requestLine: string
  readonly clientAddress: string
  readonly clientPort: number
  readonly localAddress: string
  readonly localPort: number
  /** The ServerName of the virtual host. */
  readonly serverName: string
  readonly startedAt: Date
  /** The time from the head of the request to the end, µs. */
  readonly duration: number
  /** The time from the head of the request to the first byte of the response, µs. */
  readonly timeToFirstByte: number | undefined
  readonly status: number
  /** Bytes from the client, including the head. */
  readonly bytesIn: number
  /** Bytes to the client, including the head. */
  readonly bytesOut: number
  /** Bytes to the client without the head. */
  readonly bodyBytes: number
  /** Requests on the same connection before this one. */
  readonly keptAlive: number
  /** The id of the request in the error log; `undefined` if the error log has no line about it. */
  readonly errorId: string | undefined
  readonly variables: () => RequestVariables
}
