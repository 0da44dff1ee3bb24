import { html, render, type TemplateResult } from './lit-html/lit-html.js'

let last: Promise<unknown> = Promise.resolve()

/**
 * Shows a form in the dialog with this id. The dialog stays open, with what the visitor typed, until `submit` resolves. The reason of its
 * rejection is shown at the field that it names.
 *
 * A dialog is shown after the `close` event of the previous one, which the browser emits some time after it has closed.
 * Otherwise that event would count as the result of the new dialog.
 *
 * @returns whether the form was submitted. It was not if the visitor cancelled.
 */
export function showDialog(
  id: string,
  form: TemplateResult,
  submit: (data: FormData) => Promise<void> = async () => {},
): Promise<boolean> {
  const shown = last.then(() => show(document.getElementById(id) as HTMLDialogElement, form, submit))
  last = shown
  return shown
}

function show(
  dialog: HTMLDialogElement,
  template: TemplateResult,
  submit: (data: FormData) => Promise<void>,
): Promise<boolean> {
  render(template, dialog)
  const form = dialog.querySelector('form') as HTMLFormElement
  // Replaces what the visitor typed the last time by the values of the template.
  form.reset()
  clearObjection(form)
  dialog.returnValue = ''
  form.onsubmit = event => {
    if ((event.submitter as HTMLButtonElement | null)?.value !== 'yes') return
    event.preventDefault()
    clearObjection(form)
    submit(new FormData(form)).then(
      () => dialog.close('yes'),
      (error: Error) => showObjection(form, error.message),
    )
  }
  dialog.showModal()
  return new Promise(resolve =>
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }),
  )
}

function clearObjection(form: HTMLFormElement): void {
  for (const field of form.querySelectorAll('[aria-invalid]')) {
    field.removeAttribute('aria-invalid')
    field.removeAttribute('aria-describedby')
  }
  const text = form.querySelector<HTMLElement>('.objection')
  if (text === null) return
  text.hidden = true
  text.textContent = ''
}

/** Puts the objection below the field that it names first, or at the top of the form. */
function showObjection(form: HTMLFormElement, message: string): void {
  const text = form.querySelector<HTMLElement>('.objection')
  if (text === null) return
  const fields = Array.from(form.querySelectorAll<HTMLInputElement>('input[name]:not([type="checkbox"])'))
  const position = ({ name }: HTMLInputElement): number => message.search(new RegExp(`\\b${name}\\b`, 'i'))
  const [field] = fields.filter(field => position(field) !== -1).sort((a, b) => position(a) - position(b))
  text.id = 'objection'
  text.textContent = inWords(message)
  text.hidden = false
  if (field === undefined) {
    form.querySelector('h2')?.after(text)
    return
  }
  field.parentElement?.after(text)
  field.ariaInvalid = 'true'
  field.setAttribute('aria-describedby', 'objection')
  field.focus()
}

/** The message without the code and the place in the options, which do not help who fills in a form. */
const inWords = (message: string): string =>
  message
    .replace(/^(?:WST_ERR_\w+: )?An option is wrong[:.] ?/, '')
    .replace(/\s*\(?WST_ERR_\w+\)?:?\s*/, ' ')
    .replace(/balancers\.[^\s`]*?\.members\[\d+\]\./g, '')
    .trim()

/** Whether the visitor confirms an action that cannot be undone. */
export const confirmed = (text: string, yes: string): Promise<boolean> =>
  showDialog(
    'confirm',
    html`
    <form method="dialog">
      <p id="confirm-text">${text}</p>
      <div class="actions dialog-actions">
        <button type="submit" value="cancel">Cancel</button>
        <button type="submit" value="yes" class="danger">${yes}</button>
      </div>
    </form>`,
  )
