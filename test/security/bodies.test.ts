import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { suite, type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { wsTunnel } from '@ws-tunnel/express'
import { wsTunnelHandler } from '@ws-tunnel/fastify'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import Fastify, { type FastifyInstance } from 'fastify'
import { type Backend, responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { sendRequest, startBackend, type WholeResponse } from '../support/harness.ts'
import { closerOf, listen, portOf } from '../support/server.ts'

/** Whether the parsers keep the bytes in `rawBody`. */
type Start = (t: TestContext, options: WsTunnelOptions, keepsRaw: boolean, errors: Error[]) => Promise<number>

interface App {
  (...args: never[]): void
  use: (...args: unknown[]) => unknown
}

type Verify = (req: object, res: unknown, bytes: Buffer) => void

/** The parsers of Express are those of body-parser, which Connect uses too. */
const startApp =
  (createApp: () => unknown, parsers: Pick<typeof express5, 'json' | 'urlencoded' | 'text' | 'raw'>): Start =>
  async (t, options, keepsRaw, errors) => {
    const app = createApp() as App
    const verify: Verify = (req, _res, bytes) => Object.assign(req, { rawBody: bytes })
    const keep = keepsRaw ? { verify } : {}
    app.use(parsers.json({ strict: false, ...keep }))
    app.use(parsers.urlencoded({ extended: true, ...keep }))
    app.use(parsers.text({ ...keep }))
    app.use(parsers.raw({ ...keep }))
    const tunnel = wsTunnel(options)
    app.use(tunnel)
    app.use((error: Error & { statusCode: number }, _req: unknown, res: never, _next: unknown) => {
      errors.push(error)
      Object.assign(res, { statusCode: error.statusCode })
      ;(res as { end: (text: string) => void }).end('failed')
    })
    const server = createServer(app as never)
    const close = closerOf(server)
    t.after(async () => {
      await tunnel.close({ drainTimeout: 0 })
      await close()
    })
    return listen(server)
  }

const startFastify: Start = async (t, options, keepsRaw, errors) => {
  const app = Fastify({ forceCloseConnections: true }) as unknown as FastifyInstance
  const keep = (request: object, bytes: Buffer): void => {
    if (keepsRaw) Object.assign(request, { rawBody: bytes })
  }
  const parse = (type: string, parser: (bytes: Buffer) => unknown): void => {
    app.addContentTypeParser(type, { parseAs: 'buffer' }, (request, bytes, done) => {
      keep(request, bytes as Buffer)
      try {
        done(null, parser(bytes as Buffer))
      } catch (error) {
        done(error as Error)
      }
    })
  }
  app.removeContentTypeParser(['application/json', 'text/plain'])
  parse('application/json', bytes => JSON.parse(String(bytes)))
  parse('application/x-www-form-urlencoded', bytes => Object.fromEntries(new URLSearchParams(String(bytes))))
  parse('text/plain', bytes => String(bytes))
  parse('application/octet-stream', bytes => bytes)
  app.setErrorHandler((error: Error & { statusCode: number }, _request, reply) => {
    errors.push(error)
    reply.status(error.statusCode).send('failed')
  })
  app.route({
    method: ['POST'],
    url: '/*',
    handler: wsTunnelHandler({ drainTimeout: 0, ...(options as WsTunnelOptions<object>) }),
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  return portOf(app.server)
}

const FRAMEWORKS: [name: string, start: Start][] = [
  ['Express 5', startApp(() => express5(), express5)],
  ['Express 4', startApp(() => express4(), express4 as never)],
  ['Connect', startApp(() => connect(), express5)],
  ['Fastify 5', startFastify],
]

interface Sent {
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: string[]
  readonly isChunked?: boolean
}

interface Outcome {
  readonly backend: Backend
  readonly errors: Error[]
  readonly response: WholeResponse
}

async function post(t: TestContext, start: Start, sent: Sent, keepsRaw = false): Promise<Outcome> {
  const body = Buffer.from(sent.body)
  const backend = await startBackend(t, responding({ body: (_request, bytes) => bytes.toString('latin1') }))
  const errors: Error[] = []
  const port = await start(t, { target: `http://${backend.address}/` }, keepsRaw, errors)
  const framing = sent.isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`
  const headers = [`Content-Type: ${sent.type}`, framing, ...(sent.headers ?? [])]
  const client = await sendRequest(t, port, plainRequest('/x', { method: 'POST', headers }))
  if (sent.isChunked)
    client.send(Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]))
  else client.send(body)
  return { backend, errors, response: await client.whole() }
}

const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'

/** What a parser loses or changes. */
const CHANGED: (Sent & { skip?: RegExp })[] = [
  { type: JSON_TYPE, body: '{"id":12345678901234567890}' },
  { type: JSON_TYPE, body: '{"a":1e400}' },
  { type: JSON_TYPE, body: '{"a":1.00000000000000000001}' },
  { type: JSON_TYPE, body: '{"a":3.14159265358979323846}', isChunked: true },
  { type: JSON_TYPE, body: gzipSync('{"a":3.14159265358979323846}'), headers: ['Content-Encoding: gzip'] },
  { type: JSON_TYPE, body: Buffer.from('{"a":"\xff"}', 'latin1') },
  { type: FORM_TYPE, body: 'rows[0][id]=1&rows[0][n]=x&rows[1][id]=2', skip: /Fastify/ },
  { type: FORM_TYPE, body: 'ids[5]=7', skip: /Fastify/ },
  { type: FORM_TYPE, body: 'a=1&a=2&a[]=3', skip: /Fastify/ },
  { type: FORM_TYPE, body: 'a=1&__proto__=2', skip: /Fastify/ },
  { type: FORM_TYPE, body: 'a=%ff' },
  { type: 'text/plain', body: Buffer.from('caf\xe9', 'latin1') },
]

/** What reads back the same. */
const SAME: (Sent & { skip?: RegExp; as?: string })[] = [
  { type: JSON_TYPE, body: '{"id":7,"name":"x"}' },
  { type: JSON_TYPE, body: '{ "id": 7 }', as: '{"id":7}' },
  { type: JSON_TYPE, body: '"text"' },
  { type: FORM_TYPE, body: 'a=1&b=2' },
  { type: FORM_TYPE, body: 'ids[]=7', as: 'ids%5B%5D=7' },
  { type: FORM_TYPE, body: 'ids=7&ids=8', skip: /Fastify/ },
  { type: 'text/plain', body: 'text' },
  { type: 'text/plain; charset=utf-8', body: 'caf\u00e9', as: 'caf\xc3\xa9' },
  { type: 'text/plain; charset=iso-8859-1', body: Buffer.from('caf\xe9', 'latin1'), as: 'caf\xe9', skip: /Fastify/ },
  { type: 'application/octet-stream', body: Buffer.from([0, 255, 128]), as: '\0\xff\x80' },
]

const named = ({ type, body, isChunked = false, headers = [] }: Sent): string =>
  `${JSON.stringify(headers.length > 0 ? '(gzip)' : Buffer.from(body).toString('latin1'))} of the type ${type}${isChunked ? ' in chunks' : ''}`

for (const [framework, start] of FRAMEWORKS)
  suite(`a body that a parser has read, on ${framework}`, { concurrency: true }, () => {
    for (const sent of CHANGED) {
      if (sent.skip?.test(framework)) continue
      test(`refuses ${named(sent)}`, async t => {
        // Fastify's own parsers do not decompress.
        const coded = sent.headers !== undefined
        if (coded && framework.startsWith('Fastify')) return
        const { backend, errors, response } = await post(t, start, sent)
        assert.equal(response.statusCode, 500, response.body)
        const [error] = errors as (Error & { code: string })[]
        const { code } = error ?? {}
        // Fastify gives the operator's message as the cause.
        const { message = '' } = (error?.cause as Error | undefined) ?? error ?? {}
        assert.equal(code, 'WST_ERR_BODY_CONSUMED')
        assert.match(
          message,
          /mount the tunnel before the body parser, or let the parser keep the bytes in req\.rawBody/,
        )
        assert.equal(backend.connections.length, 0)
      })

      test(`sends the bytes of ${named(sent)} if the parser has kept them`, async t => {
        if (sent.headers !== undefined && framework.startsWith('Fastify')) return
        const { backend, response } = await post(t, start, sent, true)
        assert.equal(response.statusCode, 200)
        const isCoded = sent.headers !== undefined
        const expected = isCoded ? '{"a":3.14159265358979323846}' : Buffer.from(sent.body).toString('latin1')
        assert.equal(response.body, expected)
        const request = await backend.request()
        assert.equal(request.header('content-type'), sent.type)
        assert.equal(request.header('content-length'), String(expected.length))
        assert.deepEqual([...request.headers('transfer-encoding'), ...request.headers('content-encoding')], [])
      })
    }

    for (const sent of SAME) {
      if (sent.skip?.test(framework)) continue
      test(`sends what ${named(sent)} means`, async t => {
        const { backend, response } = await post(t, start, sent)
        assert.equal(response.statusCode, 200, response.body)
        assert.equal(response.body, sent.as ?? String(sent.body))
        assert.equal((await backend.request()).header('content-type'), sent.type)
      })
    }
  })
