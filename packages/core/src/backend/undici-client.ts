import type { Client as UndiciClient } from 'undici'
// @ts-expect-error undici has no types for its files.
import client from 'undici/lib/dispatcher/client.js'

/**
 * undici's client for one connection, from its own file: the main file of undici takes twice the time and memory to load, and
 * sets the dispatcher of the app's global `fetch` if there is none.
 */
export const Client: typeof UndiciClient = client
