import type { ClientRequest, IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http'
import { cut, type FinalHead, type HeaderList, isHttp2, writeHead } from '@ws-tunnel/core/engine'
import { linesOf } from './fields.ts'

type Fields = Record<string, OutgoingHttpHeader> | readonly OutgoingHttpHeader[]

/** Applies the header rules of the route to a head that a function of the app writes. */
export class ServedHeadEditor {
  readonly #res: ServerResponse
  readonly #message: IncomingMessage
  readonly #headers: (head: FinalHead) => HeaderList
  readonly #failed: (error: unknown) => void
  /** The fields that middleware has set before. The rules do not concern them. */
  readonly #before: NodeJS.Dict<OutgoingHttpHeader>
  /** The `writeHead` of middleware that has wrapped it. */
  readonly #wrapped: ServerResponse['writeHead'] | undefined
  readonly #statusCode: number

  constructor(
    res: ServerResponse,
    message: IncomingMessage,
    headers: (head: FinalHead) => HeaderList,
    failed: (error: unknown) => void,
  ) {
    this.#res = res
    this.#message = message
    this.#headers = headers
    this.#failed = failed
    this.#before = { ...res.getHeaders() }
    this.#statusCode = res.statusCode
    this.#wrapped = Object.hasOwn(res, 'writeHead') ? res.writeHead : undefined
    res.writeHead = this.#writeHead as ServerResponse['writeHead']
  }

  readonly #writeHead = (statusCode: number, ...given: unknown[]): ServerResponse => {
    const res = this.#res
    this.#unwrap()
    const reason = typeof given[0] === 'string' ? given[0] : res.statusMessage
    const fields = given.find(value => typeof value === 'object' && value !== null) as Fields | undefined
    try {
      setFields(res, fields)
      const rawHeaders = this.#takeChanged()
      const { httpVersion } = this.#message
      writeHead(res, statusCode, reason, this.#headers({ statusCode, httpVersion, rawHeaders }))
    } catch (error) {
      // An exception would go to the function, which does not expect one. Node needs a head before the body.
      if (!res.headersSent) res.writeHead(500)
      cut(res)
      this.#failed(error)
    }
    return res
  }

  /** Takes the fields that were set since the begin off `res`, and puts those of before back. */
  #takeChanged(): string[] {
    const res = this.#res
    const before = this.#before
    const taken: string[] = []
    const names = isHttp2(res.req) ? res.getHeaderNames() : (res as unknown as ClientRequest).getRawHeaderNames()
    for (const name of names) {
      const earlier = before[name.toLowerCase()]
      const value = res.getHeader(name)
      if (value === earlier) continue
      const known = linesOf(earlier)
      for (const line of linesOf(value)) if (!known.includes(line)) taken.push(name, line)
      if (earlier === undefined) res.removeHeader(name)
      else res.setHeader(name, earlier)
    }
    return taken
  }

  /** Leaves the app's error handler a response that has only what middleware has set. */
  undo(): void {
    const res = this.#res
    this.#unwrap()
    if (res.headersSent) return
    this.#takeChanged()
    res.statusCode = this.#statusCode
    res.statusMessage = ''
  }

  #unwrap(): void {
    const res = this.#res
    if (this.#wrapped === undefined) Reflect.deleteProperty(res, 'writeHead')
    else res.writeHead = this.#wrapped
  }
}

/** Sets the fields that are given to `writeHead`: an object, or name, value, name, value. */
function setFields(res: ServerResponse, fields: Fields | undefined): void {
  if (fields === undefined) return
  if (!Array.isArray(fields)) {
    for (const [name, value] of Object.entries(fields)) res.setHeader(name, value as OutgoingHttpHeader)
    return
  }
  for (let i = 0; i + 1 < fields.length; i += 2) res.removeHeader(String(fields[i]))
  for (let i = 0; i + 1 < fields.length; i += 2) {
    for (const line of linesOf(fields[i + 1])) res.appendHeader(String(fields[i]), line)
  }
}
