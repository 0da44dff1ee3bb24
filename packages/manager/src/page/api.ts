import type { Failure, Sample, State } from './types.ts'

/** Listens to what the server sends live. */
export interface LiveListener {
  history: (samples: Sample[]) => void
  sample: (sample: Sample) => void
  failures: (failures: Failure[]) => void
  state: (state: State) => void
  connection: (connection: Connection) => void
}

/** The state of the live stream. */
export type Connection = 'live' | 'connecting' | 'refused'

/** Sends a change to the server, and shows the reason if the server refuses it. */
export type Act = (action: string, body: object) => Promise<void>

/** Milliseconds until a stream that the server refused is opened again. */
const RETRY = 3_000

/** The token that changes need; `null` for a visitor who may only view. */
export async function readToken(): Promise<string | null> {
  const response = await fetch('api/token')
  return response.ok ? ((await response.json()) as { token: string | null }).token : null
}

/**
 * Sends a change to the server.
 *
 * @throws {Error} with the reason of the server, if it refuses the change.
 */
export async function sendChange(action: string, body: object): Promise<void> {
  const response = await fetch(`api/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-WS-Tunnel-Token': (await readToken()) ?? '' },
    body: JSON.stringify(body),
  })
  if (response.ok) return
  const { error } = (await response.json().catch(() => ({}))) as { error?: string }
  throw new Error(error ?? `The server responded with ${response.status} ${response.statusText}`)
}

/** Opens the live stream, and opens it again after a failure. It has no tunnels, because the page lists them itself. */
export function watch(listener: LiveListener): void {
  listener.connection('connecting')
  const source = new EventSource('events?limit=1')
  source.addEventListener('open', () => listener.connection('live'))
  source.addEventListener('error', () => {
    const refused = source.readyState === EventSource.CLOSED
    listener.connection(refused ? 'refused' : 'connecting')
    if (refused) setTimeout(watch, RETRY, listener)
  })
  for (const name of ['history', 'sample', 'failures', 'state'] as const)
    source.addEventListener(name, ({ data }) => listener[name](JSON.parse(data)))
}
