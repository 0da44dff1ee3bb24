import 'reflect-metadata'
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { WsAdapter } from '@nestjs/platform-ws'
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets'

const [, , backend, platform] = process.argv

/** Decorates as TypeScript does, without a compiler. */
function decorate(target, key, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(target, key)
  for (const decorator of decorators) decorator(target, key, descriptor)
}

class Home {
  index() {
    return 'app'
  }
}
decorate(Home.prototype, 'index', Get())
Controller()(Home)

class Gateway {
  say(_client, text) {
    return { event: 'said', data: `gateway ${text}` }
  }
}
decorate(Gateway.prototype, 'say', SubscribeMessage('say'))
WebSocketGateway({ path: '/own' })(Gateway)

class AppModule {}
Module({ controllers: [Home], providers: [Gateway] })(AppModule)

if (platform === 'express') {
  const { wsTunnel } = await import('@ws-tunnel/express')
  const app = await NestFactory.create(AppModule, { logger: false })
  app.useWebSocketAdapter(new WsAdapter(app))
  app.use('/chat', wsTunnel({ target: `ws://${backend}/` }))
  await app.listen(0)
} else {
  const { FastifyAdapter } = await import('@nestjs/platform-fastify')
  const { wsTunnelPlugin } = await import('@ws-tunnel/fastify')
  const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false })
  app.useWebSocketAdapter(new WsAdapter(app))
  await app.register(wsTunnelPlugin, { prefix: '/chat', target: `ws://${backend}/` })
  await app.listen(0)
}
