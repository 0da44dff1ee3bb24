import { describe } from 'node:test'
import type { Start } from '../support/frameworks.ts'
import { setUpOn } from '../support/harness.ts'
import { appsTheme } from './apps.ts'
import { fallbackTheme } from './fallback.ts'
import { guardsTheme } from './guards.ts'
import { headersTheme } from './headers.ts'
import { limitsTheme } from './limits.ts'
import { listeningTheme } from './listening.ts'
import { pathsTheme } from './paths.ts'
import { responsesTheme } from './responses.ts'
import { spellingsTheme } from './spellings.ts'
import type { Theme } from './theme.ts'
import { tunnelsTheme } from './tunnels.ts'
import { upgradeTheme } from './upgrade.ts'

const themes: Record<string, Theme> = {
  'upgrade requests': upgradeTheme,
  responses: responsesTheme,
  'paths and targets': pathsTheme,
  'spellings of paths': spellingsTheme,
  headers: headersTheme,
  tunnels: tunnelsTheme,
  limits: limitsTheme,
  'guards and own fields': guardsTheme,
  'HTTP fallback': fallbackTheme,
  'the app': appsTheme,
  listening: listeningTheme,
}

/** All behaviour that is visible from outside and the same on every framework, tested over raw sockets on both sides. */
export function contract(name: string, start: Start): void {
  for (const [title, theme] of Object.entries(themes)) {
    // Tests of time limits spend their time waiting, so they run at the same time.
    const concurrency = theme === limitsTheme
    describe(`${name}: ${title}`, { timeout: 60_000, concurrency }, () => theme(setUpOn(start), start))
  }
}
