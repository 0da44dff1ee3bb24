import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  type Attributes,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import type { DiagnosticsMessages, Tunnel } from '@ws-tunnel/core'

/** Calls the listener with every message of a diagnostics channel. Returns the function that unsubscribes it. */
function listen<Name extends keyof DiagnosticsMessages>(
  name: Name,
  listener: (message: DiagnosticsMessages[Name]) => void,
): () => void {
  const onMessage = (message: unknown): void => listener(message as DiagnosticsMessages[Name])
  subscribe(name, onMessage)
  return () => void unsubscribe(name, onMessage)
}

/**
 * Creates spans from the diagnostics channels. Each tunnel has two: one for its handshake, and one for the tunnel that
 * links to the handshake. The parent of both is the span that the client names in `traceparent`. A request that fails
 * before the 101 has a span with the error. A failover between members has a span with the error that caused it. Each
 * change of a member has a span.
 *
 * @returns a function that stops this.
 */
export function traceTunnels(tracer: Tracer): () => void {
  const open = new Map<Tunnel, Span>()
  const stops = [
    listen('ws-tunnel:open', ({ tunnel, req }) => {
      const { openedAt, info } = tunnel
      const attributes: Attributes = {
        'client.address': info.clientAddress,
        'url.path': info.url.replace(/\?.*$/, ''),
        'network.protocol.name': info.protocol,
        'server.address': info.target,
        'ws_tunnel.route': info.route,
      }
      const caller = propagation.extract(context.active(), req.headers)
      const handshake = tracer.startSpan(
        'handshake',
        { kind: SpanKind.SERVER, attributes, startTime: openedAt - info.handshakeTime },
        caller,
      )
      handshake.end(openedAt)
      const links = [{ context: handshake.spanContext() }]
      open.set(tunnel, tracer.startSpan('tunnel', { attributes, links, startTime: openedAt }, caller))
    }),
    listen('ws-tunnel:close', ({ tunnel, end }) => {
      const span = open.get(tunnel)
      open.delete(tunnel)
      span?.setAttributes({
        'ws_tunnel.end.reason': end.reason,
        'ws_tunnel.bytes_from_client': end.bytesFromClient,
        'ws_tunnel.bytes_from_backend': end.bytesFromBackend,
      })
      if (end.error !== undefined) span?.setStatus({ code: SpanStatusCode.ERROR, message: end.error.message })
      span?.end(tunnel.openedAt + end.duration)
    }),
    listen('ws-tunnel:error', ({ error, req }) => {
      const caller = propagation.extract(context.active(), req.headers)
      const attributes = { 'error.type': error.code, 'http.response.status_code': error.statusCode }
      const span = tracer.startSpan('handshake', { kind: SpanKind.SERVER, attributes }, caller)
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message })
      span.end()
    }),
    listen('ws-tunnel:failover', ({ error, req, from, to }) => {
      const attributes = { 'error.type': error.code, 'ws_tunnel.from': from.url, 'ws_tunnel.to': to.url }
      tracer.startSpan('failover', { attributes }, propagation.extract(context.active(), req.headers)).end()
    }),
    listen('ws-tunnel:member', ({ member, before, after, change }) => {
      const attributes = {
        'server.address': member.url,
        'ws_tunnel.before': before,
        'ws_tunnel.after': after,
        'ws_tunnel.change': change,
      }
      tracer.startSpan('member', { attributes }).end()
    }),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}
