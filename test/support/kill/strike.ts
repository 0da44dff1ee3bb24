import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../gate.ts'
import { now } from './clock.ts'
import type { BackendProcess, Cluster } from './cluster.ts'
import type { Attempt, Crowd } from './crowd.ts'

/** Longest wait for a member to get requests again, ms. */
const TIMEOUT = 15_000

/** A failure of a backend, and its recovery. */
export interface Blow {
  hit: (victim: BackendProcess) => void | Promise<void>
  /** Resolves when the backend could serve. */
  heal: (victim: BackendProcess) => void | Promise<void>
  /** ms between the two. */
  down: number
}

/** The results; times in ms. */
export interface Figures {
  victim: string
  /** Tunnels before, all and the victim's. */
  open: [all: number, own: number]
  /** From the failure until the gateway took the member out; `undefined` if it never did. */
  marked: number | undefined
  connects: number
  /** Connects that failed: `marked` if the gateway had taken the member out when it selected it, `unmarked` otherwise. */
  failed: { unmarked: Attempt[]; marked: Attempt[] }
  /** Of all connects that succeeded. */
  slowest: number
  cut: { own: number; others: number }
  /** From the moment the backend could serve until it has served a new connect. */
  recovered: number
}

export const SIGKILL: Omit<Blow, 'down'> = {
  hit: victim => victim.stop('SIGKILL'),
  heal: victim => victim.start(),
}

export const SIGSTOP: Omit<Blow, 'down'> = {
  hit: victim => victim.signal('SIGSTOP'),
  heal: victim => victim.signal('SIGCONT'),
}

/** The backend is ended by SIGTERM, and started again at once. */
export const RESTART: Blow = {
  hit: victim => victim.stop('SIGTERM'),
  heal: victim => victim.start(),
  down: 0,
}

/** Lets one backend fail, and waits until everything is as before, which must happen without help. */
export async function strike(
  cluster: Cluster,
  crowd: Crowd,
  victim: BackendProcess,
  { hit, heal, down }: Blow,
): Promise<Figures> {
  const open: Figures['open'] = [crowd.openAt(), crowd.openAt(victim.name)]
  const [firstAttempt, firstCut] = [crowd.attempts.length, crowd.cuts.length]
  const hitAt = now()
  await hit(victim)
  await sleep(down)
  await heal(victim)
  const healedAt = now()
  const served = await eventually(() => {
    const found = crowd.attempts.find(({ begunAt, backend }) => begunAt >= healedAt && backend === victim.name)
    if (found === undefined) throw new Error(`${victim.name} gets no request again`)
    return found
  }, TIMEOUT)
  await eventually(() => crowd.openAt() >= crowd.clients, TIMEOUT)

  const attempts = crowd.attempts.slice(firstAttempt)
  const cuts = crowd.cuts.slice(firstCut)
  const failed: Figures['failed'] = { unmarked: [], marked: [] }
  for (const attempt of attempts) {
    if (attempt.failure === undefined) continue
    failed[cluster.wasOut(victim, attempt.failure.selectedAt) ? 'marked' : 'unmarked'].push(attempt)
  }
  const marked = cluster.changes.find(change => change.url === victim.url && !change.usable && change.at >= hitAt)
  const own = cuts.filter(({ backend }) => backend === victim.name).length
  return {
    victim: victim.name,
    open,
    marked: marked && marked.at - hitAt,
    connects: attempts.length,
    failed,
    slowest: Math.max(...attempts.filter(({ failure }) => failure === undefined).map(({ took }) => took)),
    cut: { own, others: cuts.length - own },
    recovered: served.begunAt + served.took - healedAt,
  }
}
