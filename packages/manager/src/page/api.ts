import type { Sample, State } from './types.ts'

/** What the server tells live. */
export interface Watcher {
  history: (samples: Sample[]) => void
  sample: (sample: Sample) => void
  state: (state: State) => void
  /** Whether news come in. */
  live: (state: 'live' | 'connecting' | 'refused') => void
}

/** ms before a stream that was refused is tried again. */
const RETRY = 3_000

/** Tokens allow changes; visitors that may only look have none. */
export async function readToken(): Promise<string | null> {
  const answer = await fetch('api/token')
  return answer.ok ? ((await answer.json()) as { token: string | null }).token : null
}

/** Asks for a change; a refusal throws what the server says. */
export async function change(action: string, body: object): Promise<{ changed: number }> {
  const token = await readToken()
  const answer = await fetch(`api/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-WS-Tunnel-Token': token ?? '' },
    body: JSON.stringify(body),
  })
  const told = (await answer.json().catch(() => ({ error: answer.statusText }))) as { changed: number; error?: string }
  if (!answer.ok) throw new Error(told.error ?? `The server answers ${answer.status}`)
  return told
}

/** Follows the server until it is called again, with another search. */
export function watch(watcher: Watcher): (search: string) => void {
  let source: EventSource | undefined
  let retry = 0
  const open = (search: string): void => {
    clearTimeout(retry)
    source?.close()
    watcher.live('connecting')
    const opened = new EventSource(`events${search === '' ? '' : `?search=${encodeURIComponent(search)}`}`)
    source = opened
    opened.addEventListener('open', () => watcher.live('live'))
    opened.addEventListener('error', () => {
      const refused = opened.readyState === EventSource.CLOSED
      watcher.live(refused ? 'refused' : 'connecting')
      if (refused) retry = setTimeout(open, RETRY, search)
    })
    const hear = (name: 'history' | 'sample' | 'state'): void =>
      opened.addEventListener(name, event => watcher[name](JSON.parse((event as MessageEvent<string>).data)))
    hear('history')
    hear('sample')
    hear('state')
  }
  return open
}
