import { html, render, type TemplateResult } from './lit-html/lit-html.js'

let last: Promise<unknown> = Promise.resolve()

/**
 * Shows a form in the dialog with this id.
 *
 * A dialog waits for the `close` event of the one before, which arrives some time after it closed. Otherwise the event would
 * close the new question.
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
  // What a visitor typed the last time gives way to the values of the template.
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
export async function confirmed(question: string, yes: string): Promise<boolean> {
  const form = html`
    <form method="dialog">
      <p id="confirm-text">${question}</p>
      <div class="actions dialog-actions">
        <button type="submit" value="cancel">Cancel</button>
        <button type="submit" value="yes" class="danger">${yes}</button>
      </div>
    </form>`
  return (await showDialog('confirm', form)) !== undefined
}
