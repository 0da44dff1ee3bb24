import { WsTunnelError } from '../errors.ts'
import type { BalancerSettings } from '../options/balancer-options.ts'
import type { CancelSignal } from '../util/abort.ts'
import { MAX_DELAY } from '../util/countdown.ts'
import { WaitQueue } from '../util/wait-queue.ts'
import type { BalancerMember } from './balancer-member.ts'

/** A function as `lbMethod` is called this many times in `timeout`, because no event says that its result has changed. */
const LOOKS = 100

/** Shortest time between two such calls, ms. */
const MIN_PERIOD = 10

/**
 * The requests that wait for a member of one balancer: first come, first served. Events wake them: a member that becomes
 * usable, joins, or gets a free slot, and the end of a member's `retry` time.
 */
export class MemberWaits {
  readonly #name: string
  readonly #members: readonly BalancerMember[]
  readonly #timeout: number
  /** ms between two looks without an event; `undefined` if events are enough. */
  readonly #period: number | undefined
  readonly #queue: WaitQueue<BalancerMember>
  /** Requests that wait for the first members of the balancer. */
  readonly #newcomers: WaitQueue<true>
  /**
   * How many requests of this turn got each member. They acquire their slots after the turn; until then the slots seem to
   * be free.
   */
  readonly #given = new Map<BalancerMember, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(
    name: string,
    members: readonly BalancerMember[],
    { timeout, maxWaiting, lbMethod }: Pick<BalancerSettings, 'timeout' | 'maxWaiting' | 'lbMethod'>,
  ) {
    this.#name = name
    this.#members = members
    this.#timeout = timeout
    this.#period = typeof lbMethod === 'function' ? Math.max(MIN_PERIOD, timeout / LOOKS) : undefined
    const full = (): Error =>
      new WsTunnelError('WST_ERR_WAITING_LIMIT', { detail: `maxWaiting of balancer ${name} is ${maxWaiting}` })
    this.#queue = new WaitQueue({
      max: maxWaiting,
      full,
      isOpen: () => this.#members.some(member => member.available && !this.isGiven(member)),
      onTurnEnd: () => this.#given.clear(),
    })
    this.#newcomers = new WaitQueue({ max: maxWaiting, full, isOpen: () => true })
  }

  /** Whether requests that came first are being served now. */
  get isServing(): boolean {
    return this.#queue.isServing
  }

  /** Whether all free slots of the member were given to requests of this turn. */
  isGiven(member: BalancerMember): boolean {
    const given = this.#given.get(member)
    return given !== undefined && given >= member.slots.free
  }

  /**
   * Waits until `look` finds a member.
   *
   * @throws {WsTunnelError} `WST_ERR_NO_MEMBER` if the balancer does not wait.
   */
  wait(look: () => BalancerMember | undefined, signal: CancelSignal): Promise<BalancerMember> {
    const late = (): Error => new WsTunnelError('WST_ERR_NO_MEMBER', { detail: `in balancer ${this.#name}` })
    if (this.#timeout === 0) throw late()
    const give = (): BalancerMember | undefined => {
      const member = look()
      if (member !== undefined) this.#given.set(member, (this.#given.get(member) ?? 0) + 1)
      return member
    }
    const waiting = this.#queue.wait(give, signal, { ms: this.#timeout, late })
    if (this.#timer === undefined) this.#startTimer()
    return waiting
  }

  /** Waits until {@link wakeNewcomers} is called and `isThere` returns true. */
  async waitForFirst(isThere: () => boolean, signal: CancelSignal): Promise<void> {
    await this.#newcomers.wait(() => isThere() || undefined, signal)
  }

  /** The balancer has its first members, or their lookup has failed. */
  wakeNewcomers(): void {
    this.#newcomers.wake()
  }

  /** A member joined, changed, or has a free slot. */
  readonly memberOnChange = (): void => {
    if (this.#queue.size === 0) return
    this.#startTimer()
    this.#queue.wake()
  }

  /** Ends all waits with `WST_ERR_CLOSING`. */
  close(): void {
    clearTimeout(this.#timer)
    const closing = (): Error => new WsTunnelError('WST_ERR_CLOSING')
    this.#queue.close(closing)
    this.#newcomers.close(closing)
  }

  /** The timer runs while requests wait, until the next `retry` time ends. */
  #startTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#queue.size === 0) return
    let delay = this.#period ?? Number.POSITIVE_INFINITY
    for (const member of this.#members) delay = Math.min(delay, member.recoversIn)
    if (delay < Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(this.#timerOnDue, Math.min(Math.ceil(delay) + 1, MAX_DELAY))
  }

  readonly #timerOnDue = (): void => {
    for (const member of this.#members) member.recover()
    if (this.#period !== undefined) this.#queue.wake()
    this.#startTimer()
  }
}
