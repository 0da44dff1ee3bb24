/**
 * Every failure before the 101, by its stable code: the HTTP status it answers with and the sentence that says what
 * happened. docs/errors.md has a heading per code.
 */
const ERRORS = {
  WST_ERR_OPTION: [500, 'An option is wrong'],
  WST_ERR_BAD_REQUEST: [400, 'The request is malformed'],
  WST_ERR_BAD_HANDSHAKE: [400, 'The request is not a valid upgrade'],
  WST_ERR_FORBIDDEN_TARGET: [403, 'The path cannot be sent to the backend'],
  WST_ERR_ORIGIN: [403, 'The Origin is not allowed to open a tunnel here'],
  WST_ERR_ENCODED_SLASH: [404, 'The path holds an encoded slash or NUL'],
  WST_ERR_PATH_TOO_LONG: [414, 'The path is too long to be matched'],
  WST_ERR_UPGRADE_REQUIRED: [426, 'This path is served only over an upgraded connection'],
  WST_ERR_CLIENT_GONE: [499, 'The client left before the backend answered'],
  WST_ERR_CALLBACK: [500, 'A function of the options failed'],
  WST_ERR_BODY_CONSUMED: [500, 'The request body was read before it could be forwarded'],
  WST_ERR_NOT_IMPLEMENTED: [501, 'This kind of request is not supported'],
  WST_ERR_DNS: [502, 'The name of the backend could not be resolved'],
  WST_ERR_TLS: [502, 'The TLS connection to the backend could not be trusted'],
  WST_ERR_BAD_RESPONSE: [502, 'The backend did not answer with valid HTTP'],
  WST_ERR_BAD_SWITCH: [502, 'The backend switched protocols in a way that was not asked for'],
  WST_ERR_BACKEND_STATUS: [502, 'The backend answered with an error'],
  WST_ERR_NO_RESPONSE: [502, 'The backend closed the connection without an answer'],
  WST_ERR_CONNECT: [503, 'The backend could not be reached'],
  WST_ERR_NO_MEMBER: [503, 'No member of the balancer is usable'],
  WST_ERR_TUNNEL_LIMIT: [503, 'The route or backend has as many open tunnels as it may have'],
  WST_ERR_CLOSING: [503, 'The proxy is shutting down'],
  WST_ERR_CONNECT_TIMEOUT: [504, 'The backend did not accept the connection in time'],
  WST_ERR_HANDSHAKE_TIMEOUT: [504, 'The backend did not answer in time'],
} as const satisfies Record<string, readonly [number, string]>

/** The stable codes; match on these, never on messages. */
export type WsTunnelErrorCode = keyof typeof ERRORS

/** What an error may carry beside its code. */
export interface WsTunnelErrorDetails {
  /** What was expected, what came and where; added to the message. */
  detail?: string
  /** The error underneath, from Node or from a function of the options. */
  cause?: unknown
  /** Header fields the answer must carry, such as `Upgrade` on a 426 (RFC 9110 15.5.22). */
  headers?: Record<string, string>
  /** Instead of the code's own. */
  statusCode?: number
}

/**
 * The one error class. It reaches the app's error handler (`next(err)`, Fastify's error handler, or the rejection of
 * `handle`) before any byte was answered.
 */
export class WsTunnelError extends Error {
  override readonly name = 'WsTunnelError'
  readonly code: WsTunnelErrorCode
  /** The status the failure answers with; Express, Connect and Fastify read it. */
  readonly statusCode: number
  /** The same as `statusCode`, the name finalhandler reads first. */
  readonly status: number
  /** Whether the message may be shown to the client: only where it speaks of the client's own request. */
  readonly expose: boolean
  readonly headers: Record<string, string>

  constructor(code: WsTunnelErrorCode, { detail, cause, headers = {}, statusCode: given }: WsTunnelErrorDetails = {}) {
    const [usual, sentence] = ERRORS[code]
    const statusCode = given ?? usual
    super(detail === undefined ? `${code}: ${sentence}` : `${code}: ${sentence}: ${detail}`, { cause })
    this.code = code
    this.statusCode = statusCode
    this.status = statusCode
    this.expose = statusCode < 500
    this.headers = headers
  }
}
