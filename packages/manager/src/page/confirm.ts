import { byId, setText } from './dom.ts'

let last: Promise<unknown> = Promise.resolve()

/** Asks before what cannot be taken back; one question after the other. */
export function confirmed(question: string, yes: string): Promise<boolean> {
  const answer = last.then(() => ask(question, yes))
  last = answer
  return answer
}

function ask(question: string, yes: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('confirm')
  setText(byId('confirm-text'), question)
  setText(byId('confirm-yes'), yes)
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise(resolve =>
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }),
  )
}
