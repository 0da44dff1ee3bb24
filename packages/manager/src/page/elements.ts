import { repeat } from './lit-html/directives/repeat.js'
import { html, nothing, type TemplateResult } from './lit-html/lit-html.js'

/** A column of a table. */
export interface Column {
  readonly name: string
  /** The class of its cells. The heading of a `number` column is on the right as well. */
  readonly kind?: 'number' | 'code' | 'traffic' | 'actions'
}

/** The column of buttons. Only screen readers read its heading. */
export const ACTIONS: Column = { name: 'Actions', kind: 'actions' }

/** How a table shows its items. */
export interface Rows<T> {
  readonly id?: string
  readonly columns: readonly Column[]
  /** A row keeps its elements, and so the focus, as long as its key stays the same. */
  readonly keyOf: (item: T) => unknown
  /** The contents of the cells, one for each column. */
  readonly cellsOf: (item: T) => readonly unknown[]
}

/**
 * A table, which narrow screens show as cards.
 *
 * The roles are explicit because browsers drop those of table elements that have `display: block`.
 */
export const table = <T>(items: readonly T[], { id, columns, keyOf, cellsOf }: Rows<T>): TemplateResult => html`
  <table role="table">
    <thead role="rowgroup"><tr role="row">${columns.map(heading)}</tr></thead>
    <tbody role="rowgroup" id=${id ?? nothing}>${repeat(
      items,
      keyOf,
      item => html`<tr role="row">${cellsOf(item).map((content, i) => cell(columns[i] as Column, content))}</tr>`,
    )}</tbody>
  </table>`

const heading = ({ name, kind }: Column): TemplateResult =>
  html`<th role="columnheader" scope="col" class=${kind === 'number' ? kind : nothing}>${
    kind === 'actions' ? html`<span class="hidden">${name}</span>` : name
  }</th>`

/** Narrow screens show `data-label` beside the content. */
const cell = ({ name, kind }: Column, content: unknown): TemplateResult =>
  html`<td role="cell" class=${kind ?? nothing} data-label=${kind === 'actions' ? '' : name}>${content}</td>`

/** What a button does beside its text. */
export interface ButtonOptions {
  /** The text for screen readers. */
  readonly label: string
  readonly onClick: () => unknown
  readonly danger?: boolean
  readonly disabled?: boolean
  /** Makes it a toggle. */
  readonly pressed?: boolean
}

export const button = (
  text: string,
  { label, onClick, danger = false, disabled = false, pressed }: ButtonOptions,
): TemplateResult =>
  html`<button type="button" aria-label=${label} aria-pressed=${pressed ?? nothing} class=${
    danger ? 'danger' : nothing
  } ?disabled=${disabled} @click=${onClick}>${text}</button>`
