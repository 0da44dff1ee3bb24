/** A letter of a member's state, as the page shows it. */
export interface StateWord {
  /** Apache's letter; empty for a member that is ready. */
  readonly letter: string
  readonly word: string
  readonly kind: 'good' | 'bad' | ''
}

const WORDS: readonly StateWord[] = [
  { letter: 'I', word: 'ignores errors', kind: '' },
  { letter: 'N', word: 'draining', kind: '' },
  { letter: 'D', word: 'disabled', kind: '' },
  { letter: 'S', word: 'stopped', kind: 'bad' },
  { letter: 'E', word: 'in error', kind: 'bad' },
  { letter: 'H', word: 'standby', kind: '' },
  { letter: 'R', word: 'spare', kind: '' },
  { letter: 'C', word: 'fails its health checks', kind: 'bad' },
]

/** The letters that an operator may set, in the order of the form. `C` belongs to the health checks. */
export const SETTABLE: readonly StateWord[] = Array.from('INDSHRE', wordOf)

/** The letters that one button sets and clears. */
export const TOGGLES = [
  { letter: 'N', name: 'Drain', effect: 'it gets only requests of its sessions' },
  { letter: 'D', name: 'Disable', effect: 'it gets no requests' },
  { letter: 'H', name: 'Standby', effect: 'it gets requests only if no other member can' },
] as const

/** A word for each letter of a state; `ready` if there is none. */
export function stateWords(status: string): readonly StateWord[] {
  return status === '' ? [{ letter: '', word: 'ready', kind: 'good' }] : Array.from(status, wordOf)
}

function wordOf(letter: string): StateWord {
  return WORDS.find(word => word.letter === letter) ?? { letter, word: letter, kind: '' }
}

/** The letters that were switched, with signs as `member.change` reads them: `+N-H`. */
export function stateChanges(before: string, after: readonly string[]): string {
  return SETTABLE.filter(({ letter }) => before.includes(letter) !== after.includes(letter))
    .map(({ letter }) => (after.includes(letter) ? '+' : '-') + letter)
    .join('')
}

/** The class of a member's row: `dead` if it is broken, `out` if operators have taken it out. */
export function gradeOf({ status, usable }: { readonly status: string; readonly usable: boolean }): string {
  if (usable) return ''
  return /[ECS]/.test(status) ? 'dead' : 'out'
}
