import assert from 'node:assert/strict'
import { test } from 'node:test'
import { propagation, SpanStatusCode } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { traceTunnels } from '../../examples/opentelemetry/spans.ts'
import { connect, openTunnel, upgradeRequest } from '../support/client.ts'
import { closedPort, eventually } from '../support/gate.ts'
import { startManaged } from './harness.ts'

test('a failover and a change of a member are spans', async t => {
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  t.after(traceTunnels(provider.getTracer('test')))
  const nowhere = `ws://127.0.0.1:${await closedPort()}`
  const managed = await startManaged(t, { unsafeOpen: true }, backend => ({
    balancers: { chat: { members: [{ url: nowhere }, { url: `ws://${backend}` }] } },
    target: 'balancer://chat/',
  }))
  await managed.tunnel()
  const spans = exporter.getFinishedSpans().filter(({ name }) => name === 'failover' || name === 'member')
  assert.deepEqual(
    spans.map(({ name, attributes }) => [name, attributes]),
    [
      [
        'member',
        { 'server.address': nowhere, 'ws_tunnel.before': '', 'ws_tunnel.after': 'E', 'ws_tunnel.change': 'status' },
      ],
      [
        'failover',
        {
          'error.type': 'WST_ERR_CONNECT',
          'ws_tunnel.from': nowhere,
          'ws_tunnel.to': `ws://${managed.backend.address}`,
        },
      ],
    ],
  )
})

test('handshakes, tunnels and failures are children of the span of the client', async t => {
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  t.after(traceTunnels(provider.getTracer('test')))
  const nowhere = `ws://127.0.0.1:${await closedPort()}/`
  const managed = await startManaged(t, { unsafeOpen: true }, backend => ({
    routes: [
      { path: '/gone', target: nowhere },
      { path: '/', target: `ws://${backend}/` },
    ],
  }))
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` }
  const { client } = await openTunnel(managed.port, '/room?token=secret', { headers })
  client.send('hello')
  await client.readExact(5)
  client.end()
  await client.readAll()
  const refused = await connect(managed.port)
  t.after(() => refused.destroy())
  await refused.send(upgradeRequest('/gone', { headers })).responseHead()
  await eventually(() => exporter.getFinishedSpans().length === 3)

  const spans = exporter.getFinishedSpans()
  const tunnel = spans.find(({ name }) => name === 'tunnel')
  const [handshake, failure] = spans.filter(({ name }) => name === 'handshake')
  for (const span of spans) {
    assert.equal(span.spanContext().traceId, traceId)
    assert.equal(span.parentSpanContext?.spanId, 'b7ad6b7169203331')
  }
  assert.deepEqual(tunnel?.attributes, {
    'client.address': '127.0.0.1',
    'url.path': '/room',
    'network.protocol.name': 'websocket',
    'server.address': managed.backend.address,
    'ws_tunnel.route': 1,
    'ws_tunnel.end.reason': 'finished',
    'ws_tunnel.bytes_from_client': 5,
    'ws_tunnel.bytes_from_backend': 5,
  })
  assert.deepEqual(
    tunnel?.links.map(({ context }) => context.spanId),
    [handshake?.spanContext().spanId],
  )
  assert.deepEqual(handshake?.endTime, tunnel?.startTime)
  assert.deepEqual(
    [failure?.status.code, failure?.attributes],
    [SpanStatusCode.ERROR, { 'error.type': 'WST_ERR_CONNECT', 'http.response.status_code': 503 }],
  )
})
