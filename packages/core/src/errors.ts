import { inspect } from 'node:util'

/**
 * The status and the sentence of each code. The sentence says what happened. docs/errors.md has a heading for each
 * code.
 */
const ERRORS = {
  WST_ERR_OPTION: [500, 'An option is wrong'],
  WST_ERR_BAD_REQUEST: [400, 'The request is malformed'],
  WST_ERR_PATH_SPELLING: [400, 'The request target is not spelled in its normal form'],
  WST_ERR_BAD_HANDSHAKE: [400, 'The request is not a valid upgrade'],
  WST_ERR_FORBIDDEN_TARGET: [403, 'The path cannot be sent to the backend'],
  WST_ERR_ORIGIN: [403, 'The Origin is not allowed to open a tunnel here'],
  WST_ERR_ACCESS: [403, 'The request is not allowed here'],
  WST_ERR_ENCODED_SLASH: [404, 'The path contains an encoded slash or NUL'],
  WST_ERR_STALLED: [408, 'The client stopped sending the body of its request'],
  WST_ERR_PATH_TOO_LONG: [414, 'The path is too long to be matched'],
  WST_ERR_FIELD_TOO_LONG: [431, 'A header field is too long to be matched'],
  WST_ERR_UPGRADE_REQUIRED: [426, 'This path is served only over an upgraded connection'],
  WST_ERR_CLIENT_GONE: [499, 'The client closed the connection before the response'],
  WST_ERR_APP_HEADERS: [500, 'The app set a malformed field in req.headers'],
  WST_ERR_CALLBACK: [500, 'A function in the options failed'],
  WST_ERR_HANDOVER: [500, 'The running process does not hand over'],
  WST_ERR_BODY_CONSUMED: [500, 'The request body was read before it could be forwarded'],
  WST_ERR_NOT_IMPLEMENTED: [501, 'This kind of request is not supported'],
  WST_ERR_DNS: [502, 'The host name of the backend could not be resolved'],
  WST_ERR_TLS: [502, 'The TLS connection to the backend failed'],
  WST_ERR_BAD_RESPONSE: [502, 'The response of the backend is not valid HTTP'],
  WST_ERR_BAD_SWITCH: [502, 'The backend switched to a protocol that was not requested'],
  WST_ERR_BACKEND_STATUS: [502, 'The backend responded with an error'],
  WST_ERR_NO_RESPONSE: [502, 'The backend closed the connection without a response'],
  WST_ERR_CONNECT: [503, 'The backend could not be reached'],
  WST_ERR_NO_MEMBER: [503, 'No member of the balancer is usable'],
  WST_ERR_WAITING_LIMIT: [503, 'Too many requests wait for a member of the balancer'],
  WST_ERR_PENDING_LIMIT: [503, 'Too many upgrades wait for their responses'],
  WST_ERR_EXHAUSTED: [503, 'This process has run out of descriptors, ports or memory'],
  WST_ERR_TUNNEL_LIMIT: [503, 'The route or backend has reached its limit of open tunnels'],
  WST_ERR_CLOSING: [503, 'The proxy is shutting down'],
  WST_ERR_CONNECT_TIMEOUT: [504, 'The backend did not accept the connection in time'],
  WST_ERR_HANDSHAKE_TIMEOUT: [504, 'The backend did not respond in time'],
  WST_ERR_LOOP: [508, 'The request has come back to this proxy too often'],
  WST_ERR_HTTP_VERSION: [505, 'The HTTP version of the request is not supported'],
} as const satisfies Record<string, readonly [number, string]>

/** The stable code of a {@link WsTunnelError}. Match on the code, never on the message. */
export type WsTunnelErrorCode = keyof typeof ERRORS

/** What a failure was about. */
export interface WsTunnelErrorSubject {
  /** Host and port of the backend, or its unix socket. */
  target?: string | undefined
  /** URL of the balancer's member. */
  member?: string | undefined
  /** Index of the route. */
  route?: number | undefined
}

/** What an error may have in addition to its code. */
export interface WsTunnelErrorDetails extends WsTunnelErrorSubject {
  /** What was expected, what was found, and where. It is appended to the message. */
  detail?: string
  /** The underlying error, from Node or from a function in the options. */
  cause?: unknown
  /** Header fields that the response must have, such as `Upgrade` on a 426 (RFC 9110 15.5.22). */
  headers?: Record<string, string>
  /** Replaces the status of the code. */
  statusCode?: number
}

/**
 * A failure before the 101, or before the response to a plain request starts. It reaches the app's error handler
 * (`next(err)`, Fastify's error handler, or the rejection of `handle`) before any byte of a response is sent.
 *
 * `message` is for the operator. From a status of 500 on it may have the backend's address and the text of an exception, and
 * `expose` is false. `stack` has neither, and no frames of the proxy, because default error handlers print it for each client, and
 * send it to the client in development.
 */
export class WsTunnelError extends Error {
  override readonly name = 'WsTunnelError'
  readonly code: WsTunnelErrorCode
  /** The HTTP status for the response. Express, Connect and Fastify read it. */
  readonly statusCode: number
  /** The same as `statusCode`: finalhandler reads this name first. */
  readonly status: number
  /**
   * Whether the client may see the message: true for a status below 500, where the message is about the client's own
   * request. False for `WST_ERR_PATH_SPELLING`, whose message has the path that the client did not write.
   */
  readonly expose: boolean
  /** Header fields that the response must have. */
  readonly headers: Record<string, string>
  /** Host and port of the backend, or its unix socket; `undefined` if the failure is not about one. */
  readonly target: string | undefined
  /** URL of the balancer's member; `undefined` if the failure is not about one. */
  readonly member: string | undefined
  /** Index of the route; `undefined` if no route took the request. */
  readonly route: number | undefined

  constructor(code: WsTunnelErrorCode, details: WsTunnelErrorDetails = {}) {
    const { detail, cause, headers = {}, statusCode: given, target, member, route } = details
    const [usual, sentence] = ERRORS[code]
    const statusCode = given ?? usual
    super(detail === undefined ? `${code}: ${sentence}` : `${code}: ${sentence}: ${detail}`, { cause })
    this.code = code
    this.statusCode = statusCode
    this.status = statusCode
    this.expose = statusCode < 500 && code !== 'WST_ERR_PATH_SPELLING'
    this.headers = headers
    this.target = undefined
    this.member = undefined
    this.route = undefined
    // The frames of a wrong option lead to the code that gave it.
    if (code !== 'WST_ERR_OPTION') setStack(this)
    locate(this, { target, member, route })
  }

  /** What `console.error(error)` prints: for the operator, without frames of the proxy and of Node. */
  [inspect.custom](): string {
    const { name, message, stack = '', cause } = this
    const at = stack.search(FRAMES)
    const frames = at === -1 ? '' : stack.slice(at)
    const reason = cause instanceof Error && !message.includes(cause.message) ? `\n  cause: ${cause.message}` : ''
    return `${name}: ${message}${reason}${frames}`
  }
}

const FRAMES = /\n {4}at /

type Writable = { -readonly [Key in keyof WsTunnelError]: WsTunnelError[Key] }

/** Says what an error was about, unless that is known. Only the message for the operator has it. */
export function locate(error: WsTunnelError, { target, member, route }: WsTunnelErrorSubject): void {
  if (error.route !== undefined || (route ?? target) === undefined) return
  const writable = error as Writable
  writable.target = target
  writable.member = member
  writable.route = route
  if (error.statusCode < 500) return
  const parts = [target && `target ${target}`, member && `member ${member}`, route !== undefined && `route ${route}`]
  error.message += ` (${parts.filter(Boolean).join(', ')})`
  if (error.code !== 'WST_ERR_OPTION') setStack(error)
}

/** Of the frames, only those of a function in the options are of use. */
function setStack(error: WsTunnelError): void {
  const { name, code, expose, message, route, cause } = error
  const safe = expose ? message : `${code}: ${ERRORS[code][1]}${route === undefined ? '' : ` (route ${route})`}`
  const frames = code === 'WST_ERR_CALLBACK' ? framesOf(cause) : ''
  error.stack = `${name}: ${safe}${frames}`
}

function framesOf(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? '') : ''
  const at = text.search(FRAMES)
  return at === -1 ? '' : text.slice(at)
}
