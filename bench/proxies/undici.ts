import { createServer } from 'node:http'
import express from 'express'
import { Pool } from 'undici'
import { BACKEND_PORT, serve } from './serve.ts'

// Plain HTTP with undici: no limits, and only the header rules that undici requires.
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'expect'])
const pool = new Pool(`http://127.0.0.1:${BACKEND_PORT}`, { connections: 64, headersTimeout: 60_000 })

const app = express()
app.use((req, res, next) => {
  const headers: string[] = []
  for (let i = 0; i + 1 < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i] as string
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, req.rawHeaders[i + 1] as string)
  }
  const { method } = req
  const body = method === 'GET' || method === 'HEAD' ? null : req
  pool
    .stream(
      { path: req.url, method, headers, body, responseHeaders: 'raw' } as never,
      (({ statusCode, headers: fields }: { statusCode: number; headers: Buffer[] }) =>
        res.writeHead(statusCode, fields.map(String))) as never,
    )
    .catch(next)
})
serve(createServer(app))
