import { isExpired, type Setting } from './setting.ts'
import type { Entry } from './store.ts'

/** An entry of the store, and the setting in it. */
export interface Known {
  readonly key: string
  readonly text: string
  readonly setting: Setting
}

/** Whether the value of `member` is the settings of an added member. */
const isAddition = (value: unknown): boolean => typeof value === 'object' && value !== null

export const memberKey = ({ proxy, balancer, url }: Omit<Setting, 'name' | 'value'>): string =>
  JSON.stringify([proxy, balancer, url])

const oldestFirst = (a: Known, b: Known): number => (a.text < b.text ? -1 : 1)

/** The settings that count. A member that is added or removed clears its earlier settings. */
export class KnownSettings {
  /** By key. */
  readonly #known = new Map<string, Known>()
  /** The settings of each member, by their names. */
  readonly #members = new Map<string, Map<string, Known>>()
  /** Entries that no longer count. */
  readonly #outdated = new Map<string, string>()

  get all(): Iterable<Known> {
    return this.#known.values()
  }

  /** Key and one setting of each member. */
  *members(): Generator<[member: string, setting: Setting]> {
    for (const [member, settings] of this.#members) {
      const [{ setting } = { setting: undefined }] = settings.values()
      if (setting !== undefined) yield [member, setting]
    }
  }

  /** The number of members that operators have added and not removed. */
  get additions(): number {
    let count = 0
    for (const settings of this.#members.values()) if (isAddition(settings.get('member')?.setting.value)) count++
    return count
  }

  textOf(key: string): string {
    return this.#known.get(key)?.text ?? ''
  }

  /** Whether an operator has added the member. */
  wasAdded(member: string): boolean {
    return isAddition(this.#members.get(member)?.get('member')?.setting.value)
  }

  /** The settings of a member, oldest first. */
  of(member: string): Known[] {
    return [...(this.#members.get(member)?.values() ?? [])].sort(oldestFirst)
  }

  /** @returns whether the setting counts. */
  keep(known: Known): boolean {
    const { key, text, setting } = known
    const member = memberKey(setting)
    const settings = this.#members.get(member) ?? new Map<string, Known>()
    const base = settings.get('member')
    if (setting.name !== 'member' && base !== undefined && text < base.text) {
      this.#outdated.set(key, text)
      return false
    }
    this.#members.set(member, settings.set(setting.name, known))
    this.#known.set(key, known)
    if (setting.name === 'member')
      for (const each of [...settings.values()])
        if (each !== known && each.text < text) {
          this.#outdated.set(each.key, each.text)
          this.forget(each)
        }
    return true
  }

  forget({ key, setting }: Known): void {
    const member = memberKey(setting)
    const settings = this.#members.get(member)
    this.#known.delete(key)
    settings?.delete(setting.name)
    if (settings?.size === 0) this.#members.delete(member)
  }

  /** Takes the entries that a store needs no longer: those that a later one has cleared, and old removals of added members. */
  takeOutdated(): Entry[] {
    for (const known of this.#known.values())
      if (isExpired(known.setting, known.text)) {
        this.#outdated.set(known.key, known.text)
        this.forget(known)
      }
    const outdated = [...this.#outdated]
    this.#outdated.clear()
    return outdated
  }
}
