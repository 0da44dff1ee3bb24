import { repeat } from './lit-html/directives/repeat.js'
import { html, nothing, type TemplateResult } from './lit-html/lit-html.js'

/** A column of a table. */
export interface Column {
  readonly name: string
  /** The class of its cells. The heading of a `number` column is on the right as well. */
  readonly kind?: 'number' | 'code' | 'traffic' | 'actions'
  /** What the table is sorted by with this column; a column without it is not sorted by. */
  readonly sort?: string
}

/** The column of menus. Only screen readers read its heading. */
export const ACTIONS: Column = { name: 'Actions', kind: 'actions' }

/** How a table is sorted. */
export interface Sorting {
  readonly by: string
  readonly reverse: boolean
  readonly onSort: (by: string) => void
}

/** How a table shows its items. */
export interface Rows<T> {
  readonly id?: string
  readonly columns: readonly Column[]
  /** A row keeps its elements, and so the focus, as long as its key stays the same. */
  readonly keyOf: (item: T) => unknown
  /** The contents of the cells, one for each column. */
  readonly cellsOf: (item: T) => readonly unknown[]
  readonly rowId?: (item: T) => string
  readonly rowClass?: (item: T) => string
}

/**
 * A table, which narrow screens show as cards.
 *
 * The roles are explicit because browsers drop those of table elements that have `display: block`.
 */
export const table = <T>(items: readonly T[], rows: Rows<T>): TemplateResult => html`
  <table role="table">
    ${tableHead(rows.columns)}
    <tbody role="rowgroup" id=${rows.id ?? nothing}>${tableRows(items, rows)}</tbody>
  </table>`

export const tableHead = (columns: readonly Column[], sorting?: Sorting): TemplateResult =>
  html`<thead role="rowgroup"><tr role="row">${columns.map(column => heading(column, sorting))}</tr></thead>`

export const tableRows = <T>(items: readonly T[], { columns, keyOf, cellsOf, rowId, rowClass }: Rows<T>): unknown =>
  repeat(
    items,
    keyOf,
    item =>
      html`<tr role="row" id=${rowId?.(item) ?? nothing} class=${rowClass?.(item) || nothing} tabindex=${
        rowId === undefined ? nothing : '-1'
      }>${cellsOf(item).map((content, i) => cell(columns[i] as Column, content))}</tr>`,
  )

function heading({ name, kind, sort }: Column, sorting: Sorting | undefined): TemplateResult {
  const isSorted = sorting !== undefined && sort === sorting.by
  const order = isSorted ? (sorting.reverse ? 'descending' : 'ascending') : nothing
  const text = kind === 'actions' ? html`<span class="hidden">${name}</span>` : name
  const content =
    sorting === undefined || sort === undefined
      ? text
      : html`<button type="button" class="sort" @click=${() => sorting.onSort(sort)}>${name}<span aria-hidden="true">${
          isSorted ? (sorting.reverse ? ' ▼' : ' ▲') : ''
        }</span></button>`
  return html`<th role="columnheader" scope="col" aria-sort=${order} class=${
    kind === 'number' || kind === 'traffic' || kind === 'actions' ? kind : nothing
  }>${content}</th>`
}

/** Narrow screens show `data-label` beside the content. */
const cell = ({ name, kind }: Column, content: unknown): TemplateResult =>
  html`<td role="cell" class=${kind ?? nothing} data-label=${kind === 'actions' ? '' : name}>${content}</td>`

/** What a button does beside its text. */
export interface ButtonOptions {
  /** The text for screen readers. */
  readonly label: string
  readonly onClick: () => unknown
}

export const button = (text: string, { label, onClick }: ButtonOptions): TemplateResult =>
  html`<button type="button" aria-label=${label} @click=${onClick}>${text}</button>`
