import { createRequire } from 'node:module'
import type { Client as UndiciClient } from 'undici'

/**
 * undici's client for one connection, from its own file: the main file of undici takes twice the time to load, and replaces
 * the dispatcher of the app's global `fetch`.
 */
export const Client: typeof UndiciClient = createRequire(import.meta.url)('undici/lib/dispatcher/client.js')
