import type { Gateway, Start } from '../support/frameworks.ts'
import type { SetUpFunction } from '../support/harness.ts'

/** One subject of the contract: its tests on one framework. */
export type Theme = (setUp: SetUpFunction, start: Start<Gateway>) => void
