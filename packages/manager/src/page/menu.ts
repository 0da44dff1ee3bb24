import { html, nothing, render, type TemplateResult } from './lit-html/lit-html.js'

/** One action of a menu. */
export interface MenuItem {
  readonly text: string
  /** What it does, in small print. */
  readonly hint?: string
  /** Makes it a toggle. */
  readonly checked?: boolean
  readonly danger?: boolean
  readonly onSelect: () => unknown
}

/** A button that opens a menu. The items are made when it opens. */
export const menuButton = (label: string, items: () => readonly MenuItem[]): TemplateResult => html`
  <button type="button" class="menu-button" aria-haspopup="menu" aria-expanded="false" aria-label=${label} title=${label}
    @click=${({ currentTarget }: Event) => open(currentTarget as HTMLElement, label, items())}
    @keydown=${(event: KeyboardEvent) => {
      if (event.key !== 'ArrowDown') return
      event.preventDefault()
      open(event.currentTarget as HTMLElement, label, items())
    }}><span aria-hidden="true">⋯</span></button>`

/** Pixels between the menu and the edge of the window. */
const MARGIN = 8

/** Shows the one menu of the page below its button. The browser closes it on Escape and on a click elsewhere. */
function open(opener: HTMLElement, label: string, items: readonly MenuItem[]): void {
  const menu = document.getElementById('menu') as HTMLElement
  render(html`${items.map(item => itemButton(item, menu))}`, menu)
  menu.ariaLabel = label
  menu.onkeydown = event => moveFocus(event, menu)
  menu.ontoggle = ({ newState }) => {
    opener.ariaExpanded = String(newState === 'open')
    if (newState === 'closed' && (menu.contains(document.activeElement) || document.activeElement === document.body))
      opener.focus()
  }
  menu.showPopover()
  opener.ariaExpanded = 'true'
  const { left, right, top, bottom } = opener.getBoundingClientRect()
  const { offsetWidth, offsetHeight } = menu
  const below = bottom + offsetHeight + MARGIN <= innerHeight
  menu.style.left = `${Math.max(MARGIN, Math.min(left, right - offsetWidth))}px`
  menu.style.top = `${Math.max(MARGIN, below ? bottom + 4 : top - offsetHeight - 4)}px`
  itemsOf(menu)[0]?.focus({ preventScroll: true })
}

const itemButton = ({ text, hint, checked, danger, onSelect }: MenuItem, menu: HTMLElement): TemplateResult => html`
  <button type="button" tabindex="-1" role=${checked === undefined ? 'menuitem' : 'menuitemcheckbox'}
    aria-checked=${checked ?? nothing} class=${danger ? 'danger' : nothing} @click=${() => {
      menu.hidePopover()
      onSelect()
    }}><span>${text}</span>${hint === undefined ? nothing : html`<small>${hint}</small>`}</button>`

const itemsOf = (menu: HTMLElement): HTMLElement[] => Array.from(menu.querySelectorAll<HTMLElement>('button'))

function moveFocus(event: KeyboardEvent, menu: HTMLElement): void {
  if (event.key === 'Tab') menu.hidePopover()
  const items = itemsOf(menu)
  const at = items.indexOf(document.activeElement as HTMLElement)
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key]
  if (next === undefined) return
  event.preventDefault()
  items.at(next % items.length)?.focus()
}
