import type { IncomingMessage } from 'node:http'
import { simulatedRequest } from '../../packages/core/src/http/simulated-request.ts'

/** A request as Node parses it, which no client sent. */
export const requestOf = (url: string, rawHeaders: readonly string[] = [], method = 'GET'): IncomingMessage =>
  simulatedRequest({ url, method, rawHeaders: [...rawHeaders] })
