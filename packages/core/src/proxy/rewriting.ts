import type { IncomingMessage } from 'node:http'
import type { ParsedBody } from '../backend/parsed-body.ts'
import { appLines } from '../http/app-fields.ts'
import { peerAddress, trustsPeer } from '../http/client-address.ts'
import { addVia, type Forwarding, requestHeaders } from '../http/forwarded.ts'
import {
  endToEndHeaders,
  firstLine,
  type HeaderList,
  headerLines,
  headerValue,
  listMembers,
  removeHopByHop,
} from '../http/header-list.ts'
import { isHttp2 } from '../http/http2.ts'
import { hasReversible, passReverse, type ReverseMapping } from '../http/pass-reverse.ts'
import type { PlainResponse } from '../http/plain-response.ts'
import type { InterimResponse, ResponseHead } from '../http/response-head.ts'
import type { FinalHead } from '../http/served-response.ts'
import { acceptsTrailers, allowedTrailers, announcedTrailers, requestsTrailers } from '../http/trailers.ts'
import { trimBlanks } from '../http/trim-blanks.ts'
import { allowedToken, announcesBody } from '../http/upgrade.ts'
import type { Settings } from '../options/options.ts'
import type { RouteSettings } from '../options/route-options.ts'
import type { Candidate, Selection } from '../routing/candidates.ts'
import { editHeaders } from './edit-headers.ts'
import { checkVia, countRound } from './loops.ts'

/** The header fields of one request on one route: those for the worker, and those of the response for the client. */
export class Rewriting {
  readonly #req: IncomingMessage
  readonly #route: RouteSettings
  readonly #settings: Settings
  readonly #mount: string
  readonly #encrypted: boolean
  readonly #clientAddress: string
  readonly #host: string

  constructor(req: IncomingMessage, route: RouteSettings, settings: Settings, mount: string) {
    this.#req = req
    this.#route = route
    this.#settings = settings
    this.#mount = mount
    this.#encrypted = 'encrypted' in req.socket
    this.#clientAddress = peerAddress(req)
    this.#host = firstLine(req, isHttp2(req) ? ':authority' : 'host') ?? ''
  }

  /** For an upgrade: end-to-end fields, then exactly `Connection: Upgrade` and the one token. */
  upgradeRequest(candidate: Candidate, token: string): HeaderList {
    const headers = this.#request(candidate).unset('content-length')
    return headers.append('Connection', 'Upgrade').append('Upgrade', token)
  }

  /**
   * For plain HTTP: end-to-end fields and the framing of the body. No edit can remove the framing, because the backend
   * would read a body without framing as the next request.
   *
   * @param parsed the body, if a body parser has read it.
   */
  plainRequest(candidate: Candidate, parsed?: ParsedBody): HeaderList {
    const headers = this.#request(candidate).unset('content-length')
    const req = this.#req
    if (requestsTrailers(req)) headers.append('TE', 'trailers')
    if (parsed !== undefined) {
      if (parsed.rewritten) headers.unset('content-encoding')
      return headers.append('Content-Length', String(parsed.bytes.length))
    }
    const length = firstLine(req, 'content-length')
    if (length !== undefined) return headers.append('Content-Length', length)
    if (!announcesBody(req)) return headers
    const trailers = announcedTrailers(headerLines(req, 'trailer'))
    if (trailers.length > 0) headers.append('Trailer', trailers.join(', '))
    return headers.append('Transfer-Encoding', 'chunked')
  }

  #request(candidate: Candidate): HeaderList {
    const headers = requestHeaders(this.#req, this.#forwarding(candidate))
    const { requestHeaders: editing, via } = this.#route
    if (via === 'on' || via === 'full') checkVia(headers, this.#settings.serverName)
    if (editing !== undefined)
      removeHopByHop(editHeaders(headers, editing, { req: this.#req, choice: candidate.selection?.choice }))
    countRound(headers, this.#req, candidate.worker.origin)
    return headers
  }

  #forwarding({ worker }: Candidate): Forwarding {
    const { preserveHost, addHeaders, via } = this.#route
    return {
      clientAddress: this.#clientAddress,
      encrypted: this.#encrypted,
      host: this.#host,
      targetHost: worker.origin.authority,
      trusted: this.#isPeerTrusted(),
      appends: this.#settings.appends,
      serverName: this.#settings.serverName,
      httpVersion: this.#req.httpVersion,
      addHeaders,
      preserveHost,
      via,
    }
  }

  /** For a 101: the backend's end-to-end fields without framing, and its own spelling of the token. */
  switchResponse(response: ResponseHead, candidate: Candidate): HeaderList {
    const token = headerValue(response, 'upgrade')
    const headers = this.#response(response, candidate).unset('content-length')
    return headers.append('Connection', 'Upgrade').append('Upgrade', token)
  }

  /** For an ordinary response. A 426 keeps its `Upgrade` if the route allows one of its tokens (RFC 9110 15.5.22). */
  plainResponse(response: FinalHead, candidate: Candidate): HeaderList {
    const headers = this.#response(response, candidate)
    const { statusCode } = response
    // A 204 has no length (RFC 9110 8.6). HTTP/2 of Node sends a 205 without its body.
    if (statusCode === 204 || (statusCode === 205 && isHttp2(this.#req))) headers.unset('content-length')
    if (this.#passesTrailers(response)) {
      const names = announcedTrailers(headerLines(response, 'trailer'))
      if (names.length > 0) headers.append('Trailer', names.join(', '))
    }
    if (statusCode !== 426 || isHttp2(this.#req)) return headers
    const token = allowedToken(candidate.settings.upgrade, listMembers(headerLines(response, 'upgrade')))
    return token === undefined ? headers : headers.append('Upgrade', token).append('Connection', 'Upgrade, close')
  }

  #response(response: ResponseHead, candidate: Candidate): HeaderList {
    const headers = endToEndHeaders(response)
    if (headerValue(response, 'transfer-encoding') !== '') headers.unset('content-length')
    if (hasReversible(headers)) passReverse(headers, this.#reverseMapping(candidate))
    addVia(headers, { via: this.#route.via, httpVersion: response.httpVersion, serverName: this.#settings.serverName })
    const cookie = this.#sessionCookie(candidate.selection)
    if (cookie !== undefined) headers.append('Set-Cookie', cookie)
    return this.#edited(headers, candidate)
  }

  /** Applies `responseHeaders`. */
  #edited(headers: HeaderList, { selection }: Candidate): HeaderList {
    const { responseHeaders: editing } = this.#route
    if (editing === undefined) return headers
    return removeHopByHop(editHeaders(headers, editing, { req: this.#req, choice: selection?.choice }))
  }

  #sessionCookie(selection: Selection | undefined): string | undefined {
    return selection?.balancer.cookie(selection.choice, this.#publicScheme() === 'https')
  }

  /** For an interim response: it has no body, so it has no framing. */
  interimResponse({ rawHeaders }: InterimResponse, candidate: Candidate): HeaderList {
    return this.#edited(endToEndHeaders({ rawHeaders }), candidate).unset('content-length')
  }

  /** The trailer section for the client: only a chunked body has one, and only a client that asks for it gets it. */
  trailers(response: PlainResponse, raw: readonly string[]): readonly string[] {
    return this.#passesTrailers(response) ? allowedTrailers(raw, headerLines(response, 'connection')) : []
  }

  #passesTrailers(response: FinalHead): boolean {
    const isChunked = headerValue(response, 'transfer-encoding') !== ''
    return isChunked && this.#req.method !== 'HEAD' && this.#req.httpVersion !== '1.0' && acceptsTrailers(this.#req)
  }

  #reverseMapping({ worker, template, selection }: Candidate): ReverseMapping {
    const { passReverse: locations, passReverseCookiePath, passReverseCookieDomain, path } = this.#route
    const own = (): [string, string][] => {
      const base = template.path.every(part => typeof part === 'string') ? template.path.join('') : ''
      const prefix = typeof path === 'string' ? path : ''
      const from = `${worker.origin.secure ? 'https' : 'http'}://${worker.origin.authority}${base}`
      return [[from.replace(/\/$/, ''), (this.#mount + prefix).replace(/\/+$/, '')]]
    }
    return {
      locations:
        locations === true
          ? own()
          : locations === false
            ? []
            : Object.entries(locations).flatMap(([from, to]) => ofMembers(from, to, selection)),
      cookiePaths: Object.entries(passReverseCookiePath),
      cookieDomains: Object.entries(passReverseCookieDomain),
      publicOrigin: this.#host === '' ? '' : `${this.#publicScheme()}://${this.#host}`,
    }
  }

  /** The scheme that the client used: by the word of the app, else of a trusted peer, else of the connection. */
  #publicScheme(): string {
    const own = this.#encrypted ? 'https' : 'http'
    const name = 'x-forwarded-proto'
    let lines = appLines(this.#req, name)
    if (lines === undefined || lines.length === 0) {
      if (this.#settings.appends || !this.#isPeerTrusted()) return own
      lines = headerLines(this.#req, name)
    }
    const [forwarded = ''] = lines.join(',').split(',', 1)
    const scheme = trimBlanks(forwarded).toLowerCase()
    return scheme === 'http' || scheme === 'https' ? scheme : own
  }

  #isPeerTrusted(): boolean {
    return trustsPeer(this.#req, this.#settings.trusts)
  }
}

/** `balancer://name/path` stands for that path on each of its members. httpd: ap_proxy_location_reverse_map. */
function ofMembers(from: string, to: string, selection: Selection | undefined): [string, string][] {
  const [, name, path = ''] = /^balancer:\/\/([^/]+)(.*)$/s.exec(from) ?? []
  if (name === undefined) return [[from, to]]
  if (selection?.balancer.name !== name) return []
  return selection.balancer.members.map(({ url }) => [url.replace(/\/$/, '') + path, to])
}
