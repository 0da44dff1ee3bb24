/** The element with this id, which the page has. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`The page has no #${id}`)
  return found as T
}

/** An element with attributes; strings among the children become text, never markup. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Changes the text only where it differs, so that selections and screen readers are left in peace. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text
}

/** A piece of the page that follows one item. */
export interface Part<T> {
  node: HTMLElement
  update: (item: T) => void
}

/** Keeps one part per item below a parent. Parts of items that stay are kept, with focus and all. */
export class Parts<T, P extends Part<T> = Part<T>> {
  readonly #parent: HTMLElement
  readonly #keyOf: (item: T) => string
  readonly #create: (item: T) => P
  #parts = new Map<string, P>()

  constructor(parent: HTMLElement, keyOf: (item: T) => string, create: (item: T) => P) {
    this.#parent = parent
    this.#keyOf = keyOf
    this.#create = create
  }

  get all(): Iterable<P> {
    return this.#parts.values()
  }

  show(items: readonly T[]): void {
    const before = this.#parts
    this.#parts = new Map()
    for (const item of items) {
      const key = this.#keyOf(item)
      const part = before.get(key) ?? this.#create(item)
      before.delete(key)
      this.#parts.set(key, part)
      part.update(item)
    }
    for (const { node } of before.values()) node.remove()
    let next = this.#parent.firstElementChild
    for (const { node } of this.#parts.values()) {
      if (node === next) next = node.nextElementSibling
      else this.#parent.insertBefore(node, next)
    }
  }
}

const ROLES = { table: 'table', 'thead, tbody': 'rowgroup', tr: 'row', th: 'columnheader' }

/** Narrow screens show tables as cards, for which browsers would forget that they are tables. */
export function keepTableRoles(parent: ParentNode): void {
  for (const [selector, role] of Object.entries(ROLES))
    for (const found of parent.querySelectorAll(selector)) found.setAttribute('role', role)
}

/** A row that stays one to screen readers where narrow screens show it as a card. */
export const row = (...cells: HTMLElement[]): HTMLTableRowElement => el('tr', { role: 'row' }, ...cells)

/** A cell that tells its column on narrow screens. */
export function cell(label: string, kind = ''): HTMLTableCellElement {
  return el('td', { role: 'cell', 'data-label': label, ...(kind === '' ? {} : { class: kind }) })
}

export function button(text: string, label: string, kind: string, act: () => void): HTMLButtonElement {
  const made = el('button', { type: 'button', 'aria-label': label, ...(kind === '' ? {} : { class: kind }) }, text)
  made.addEventListener('click', act)
  return made
}
