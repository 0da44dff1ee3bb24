import { describe } from 'node:test'
import type { Start } from '../support/frameworks.ts'
import { setUpOn } from '../support/harness.ts'
import { answersTheme } from './answers.ts'
import { appsTheme } from './apps.ts'
import { fallbackTheme } from './fallback.ts'
import { headersTheme } from './headers.ts'
import { limitsTheme } from './limits.ts'
import { listeningTheme } from './listening.ts'
import { pathsTheme } from './paths.ts'
import type { Theme } from './theme.ts'
import { tunnelsTheme } from './tunnels.ts'
import { upgradeTheme } from './upgrade.ts'

const themes: Record<string, Theme> = {
  'what is an upgrade': upgradeTheme,
  'what comes back': answersTheme,
  'paths and targets': pathsTheme,
  headers: headersTheme,
  tunnels: tunnelsTheme,
  'time and number': limitsTheme,
  'HTTP fallback': fallbackTheme,
  'the app around it': appsTheme,
  listening: listeningTheme,
}

/** Everything that can be seen from outside, over raw sockets on both sides, the same on every framework. */
export function contract(name: string, start: Start): void {
  for (const [title, theme] of Object.entries(themes)) {
    // Tests of time spend theirs waiting, so they wait together.
    const concurrency = theme === limitsTheme
    describe(`${name}: ${title}`, { timeout: 60_000, concurrency }, () => theme(setUpOn(start), start))
  }
}
