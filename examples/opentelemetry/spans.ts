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

/** Calls the listener with every message of a channel of ws-tunnel. */
function hear<Name extends keyof DiagnosticsMessages>(
  name: Name,
  listener: (message: DiagnosticsMessages[Name]) => void,
): () => void {
  const heard = (message: unknown): void => listener(message as DiagnosticsMessages[Name])
  subscribe(name, heard)
  return () => void unsubscribe(name, heard)
}

/**
 * Two spans for each tunnel: the handshake, whose parent is the span that the client names in `traceparent`, and the tunnel
 * below it. A request that fails before the 101 is a span with its error, and so is each failover from one
 * member of a balancer to another. A change of a member's state is a span of its own.
 *
 * @returns the function that stops it.
 */
export function traceTunnels(tracer: Tracer): () => void {
  const open = new Map<Tunnel, Span>()
  const stops = [
    hear('ws-tunnel:open', ({ tunnel, req }) => {
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
    hear('ws-tunnel:close', ({ tunnel, end }) => {
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
    hear('ws-tunnel:error', ({ error, req }) => {
      const caller = propagation.extract(context.active(), req.headers)
      const attributes = { 'error.type': error.code, 'http.response.status_code': error.statusCode }
      const span = tracer.startSpan('handshake', { kind: SpanKind.SERVER, attributes }, caller)
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message })
      span.end()
    }),
    hear('ws-tunnel:failover', ({ error, req, from, to }) => {
      const attributes = { 'error.type': error.code, 'ws_tunnel.from': from.url, 'ws_tunnel.to': to.url }
      tracer.startSpan('failover', { attributes }, propagation.extract(context.active(), req.headers)).end()
    }),
    hear('ws-tunnel:member', ({ member, before, after, change }) => {
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
