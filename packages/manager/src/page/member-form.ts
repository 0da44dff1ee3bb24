import { byId, el, setText } from './dom.ts'
import type { Place } from './member-row.ts'
import type { Act } from './tunnel-row.ts'
import type { MemberView } from './types.ts'

/** What each of Apache's letters says, and whether it is bad. */
const LETTERS: Record<string, { word: string; kind: 'bad' | '' }> = {
  I: { word: 'ignores errors', kind: '' },
  N: { word: 'draining', kind: '' },
  D: { word: 'disabled', kind: '' },
  S: { word: 'stopped', kind: 'bad' },
  E: { word: 'in error', kind: 'bad' },
  H: { word: 'standby', kind: '' },
  R: { word: 'spare', kind: '' },
  C: { word: 'fails its health checks', kind: 'bad' },
}

/** Letters that are an operator's to set. */
const SETTABLE = ['I', 'N', 'D', 'S', 'H', 'R', 'E']

/** Badges of a state: a word for each letter. */
export function stateWords(status: string): { letter: string; word: string; kind: string }[] {
  const words = [...status].map(letter => ({ letter, ...(LETTERS[letter] ?? { word: letter, kind: '' }) }))
  return words.length === 0 ? [{ letter: '', word: 'ready', kind: 'good' }] : words
}

/** The dialog that adds and edits members. */
export class MemberForm {
  readonly #dialog = byId<HTMLDialogElement>('member')
  readonly #url = byId<HTMLInputElement>('member-url')
  readonly #routeId = byId<HTMLInputElement>('member-route')
  readonly #redirect = byId<HTMLInputElement>('member-redirect')
  readonly #loadFactor = byId<HTMLInputElement>('member-factor')
  readonly #lbSet = byId<HTMLInputElement>('member-set')
  readonly #retry = byId<HTMLInputElement>('member-retry')
  readonly #boxes = SETTABLE.map(letter => {
    const box = el('input', { type: 'checkbox' })
    byId('member-status').append(el('label', {}, box, ` ${LETTERS[letter]?.word ?? ''} (${letter})`))
    return { letter, box }
  })

  readonly #act: Act

  constructor(act: Act) {
    this.#act = act
  }

  /** Asks for a new member. */
  async add(place: Place): Promise<void> {
    if (!(await this.#open(`Add member to ${place.balancer}`, undefined))) return
    const status = this.#boxes.map(({ letter, box }) => (box.checked ? `+${letter}` : '')).join('')
    const given = Object.entries({ ...this.#values(), status }).filter(([, value]) => value !== '')
    const member = { url: this.#url.value.trim(), ...Object.fromEntries(given) }
    await this.#act('add-member', { ...place, member })
  }

  /** Asks for changes of one. */
  async edit(place: Place, member: MemberView): Promise<void> {
    if (!(await this.#open(`Edit ${member.url}`, member))) return
    const status = this.#boxes
      .filter(({ letter, box }) => box.checked !== member.status.includes(letter))
      .map(({ letter, box }) => (box.checked ? '+' : '-') + letter)
      .join('')
    // What stays as it is may have been set elsewhere meanwhile.
    const changed = Object.entries(this.#values()).filter(([name, value]) => value !== member[name as keyof MemberView])
    const settings = { ...Object.fromEntries(changed), ...(status === '' ? {} : { status }) }
    if (Object.keys(settings).length > 0) await this.#act('set-member', { ...place, member: member.url, settings })
  }

  #values(): object {
    return {
      routeId: this.#routeId.value.trim(),
      redirect: this.#redirect.value.trim(),
      loadFactor: this.#loadFactor.valueAsNumber,
      lbSet: this.#lbSet.valueAsNumber,
      retry: this.#retry.valueAsNumber,
    }
  }

  #open(title: string, member: MemberView | undefined): Promise<boolean> {
    setText(byId('member-title'), title)
    this.#url.value = member?.url ?? ''
    this.#url.disabled = member !== undefined
    this.#routeId.value = member?.routeId ?? ''
    this.#redirect.value = member?.redirect ?? ''
    this.#loadFactor.valueAsNumber = member?.loadFactor ?? 1
    this.#lbSet.valueAsNumber = member?.lbSet ?? 0
    this.#retry.valueAsNumber = member?.retry ?? 60_000
    for (const { letter, box } of this.#boxes) box.checked = member?.status.includes(letter) ?? false
    this.#dialog.returnValue = ''
    this.#dialog.showModal()
    return new Promise(resolve =>
      this.#dialog.addEventListener('close', () => resolve(this.#dialog.returnValue === 'yes'), { once: true }),
    )
  }
}
