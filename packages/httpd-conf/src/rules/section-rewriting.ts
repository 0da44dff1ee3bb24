import type { RewriteRule } from './apply-rewrite.ts'

/** The RewriteRule lines of a section. */
export interface SectionRules {
  /** RewriteEngine; `undefined` without such a line. */
  readonly engine: boolean | undefined
  /** The path of the section. */
  readonly directory: string
  readonly rules: RewriteRule[]
  /** RewriteBase. */
  readonly base: string | undefined
}
