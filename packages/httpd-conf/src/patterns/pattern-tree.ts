import { type AST, RegExpParser } from '@eslint-community/regexpp'

const parser = new RegExpParser()

/** Parses a pattern that `RegExp` accepts without the flag `u`. */
export const parsePattern = (source: string): AST.Pattern => parser.parsePattern(source)

/** A look-ahead or a look-behind. */
export const isLookaround = (node: AST.Element): node is AST.LookaroundAssertion =>
  node.type === 'Assertion' && (node.kind === 'lookahead' || node.kind === 'lookbehind')

/** Whether a node can match the empty text. */
export function isNullable(node: AST.Element): boolean {
  switch (node.type) {
    case 'Assertion':
    case 'Backreference':
      return true
    case 'Group':
    case 'CapturingGroup':
      return node.alternatives.some(({ elements }) => elements.every(isNullable))
    case 'Quantifier':
      return node.min === 0 || isNullable(node.element)
    default:
      return false
  }
}

/** Whether each alternative begins with `^`. */
export const isAnchored = (alternatives: readonly AST.Alternative[]): boolean =>
  alternatives.every(({ elements: [first] }) => first?.type === 'Assertion' && first.kind === 'start')
