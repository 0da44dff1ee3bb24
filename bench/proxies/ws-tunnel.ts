import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import express from 'express'
import fastify from 'fastify'
import type { Front } from '../contestants.ts'
import { announce, BACKEND, createServer, LISTEN, SECURE, serve } from './serve.ts'

// Loads ws-tunnel from a checkout, so that this checkout and another one run in exactly the same way. The option is
// `async`, because an older checkout does not have `offload`.
const [engine, front, folder = ''] = process.argv.slice(3) as [string, Front, string]
const options = { target: `${SECURE ? 'wss' : 'ws'}://${BACKEND}`, async: engine === 'offloaded' }

const load = (name: string): Promise<unknown> =>
  import(pathToFileURL(join(folder, `packages/${name}/dist/index.js`)).href)

if (front === 'express') {
  const { wsTunnel } = (await load('express')) as typeof import('@ws-tunnel/express')
  serve(createServer(express().use(wsTunnel(options))))
} else if (front === 'fastify') {
  const { wsTunnelPlugin } = (await load('fastify')) as typeof import('@ws-tunnel/fastify')
  const app = fastify()
  await app.register(wsTunnelPlugin, options)
  await app.listen(LISTEN)
  announce((app.server.address() as AddressInfo).port)
} else {
  const { createTunnelProxy } = (await load('core')) as typeof import('@ws-tunnel/core')
  const proxy = createTunnelProxy(options)
  serve(createServer((req, res) => void proxy.handle(req, res).catch(() => res.writeHead(502).end())))
}
