import { fromViteProxy } from '@ws-tunnel/express'
import { wsTunnelVite } from '@ws-tunnel/express/vite'
import { createServer, preview } from 'vite'

const [, , backend, mode] = process.argv
const table = {
  '/chat': { target: `ws://${backend}`, rewrite: url => url.replace(/^\/chat/, '') },
}
const config = {
  configFile: false,
  logLevel: 'silent',
  root: import.meta.dirname,
  plugins: [wsTunnelVite({ routes: fromViteProxy(table), onClose: ({ end }) => console.log(`tunnel ${end.reason}`) })],
  server: { port: 0, host: '127.0.0.1' },
  preview: { port: 0, host: '127.0.0.1' },
  build: { outDir: import.meta.dirname },
}
const server = mode === 'preview' ? await preview(config) : await createServer(config)
if (mode !== 'preview') {
  await server.listen()
  console.log(`token ${server.config.webSocketToken}`)
}
process.once('SIGUSR2', async () => {
  if (mode === 'restart') await server.restart()
  else await server.close()
  console.log('done')
})
