import { html, render, type TemplateResult } from './lit-html/lit-html.js'

let last: Promise<unknown> = Promise.resolve()

/**
 * Shows a form in the dialog with this id.
 *
 * A dialog is shown after the `close` event of the previous one, which the browser emits some time after it has closed.
 * Otherwise that event would count as the result of the new dialog.
 *
 * @returns what the form holds, or `undefined` if the visitor cancelled.
 */
export function showDialog(id: string, form: TemplateResult): Promise<FormData | undefined> {
  const shown = last.then(() => show(document.getElementById(id) as HTMLDialogElement, form))
  last = shown
  return shown
}

function show(dialog: HTMLDialogElement, template: TemplateResult): Promise<FormData | undefined> {
  render(template, dialog)
  const form = dialog.querySelector('form') as HTMLFormElement
  // Replaces what the visitor typed the last time by the values of the template.
  form.reset()
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise(resolve =>
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes' ? new FormData(form) : undefined), {
      once: true,
    }),
  )
}

/** Whether the visitor confirms an action that cannot be undone. */
export async function confirmed(text: string, yes: string): Promise<boolean> {
  const form = html`
    <form method="dialog">
      <p id="confirm-text">${text}</p>
      <div class="actions dialog-actions">
        <button type="submit" value="cancel">Cancel</button>
        <button type="submit" value="yes" class="danger">${yes}</button>
      </div>
    </form>`
  return (await showDialog('confirm', form)) !== undefined
}
