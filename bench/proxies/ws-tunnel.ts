import { createServer } from 'node:http'
import { wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { BACKEND_PORT, serve } from './serve.ts'

const app = express()
app.use(wsTunnel({ target: `ws://127.0.0.1:${BACKEND_PORT}`, async: process.argv[3] === 'offloaded' }))
serve(createServer(app))
