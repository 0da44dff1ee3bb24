import type { IncomingMessage, ServerResponse } from 'node:http'
import { WsTunnelError } from '@ws-tunnel/core'
import { responseInterceptor as theirs } from 'http-proxy-middleware'
import { failServing } from './self-handled-response.ts'

/** Gets the whole body, decoded, and returns the one for the client. */
export type Interceptor<Req, Res> = (
  body: Buffer,
  proxyRes: IncomingMessage,
  req: Req,
  res: Res,
) => Promise<Buffer | string>

/**
 * The `responseInterceptor` of http-proxy-middleware, for `on.proxyRes` with `selfHandleResponse: true`. If the function fails,
 * the failure reaches the app's error handler as `WST_ERR_CALLBACK`; theirs leaves an unhandled rejection.
 */
export function responseInterceptor<
  Req extends IncomingMessage = IncomingMessage,
  Res extends ServerResponse = ServerResponse,
>(interceptor: Interceptor<Req, Res>): (proxyRes: IncomingMessage, req: Req, res: Res) => Promise<void> {
  return theirs<Req, Res>(async (body, proxyRes, req, res) => {
    try {
      return await interceptor(body, proxyRes, req, res)
    } catch (cause) {
      const error = new WsTunnelError('WST_ERR_CALLBACK', {
        detail: `the response interceptor failed: ${cause}`,
        cause,
      })
      if (!failServing(res, error)) throw cause
      // The app's error handler responds. Theirs must not go on with the response.
      return new Promise<never>(() => {})
    }
  })
}
