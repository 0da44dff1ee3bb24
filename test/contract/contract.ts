import { describe } from 'node:test'
import { engine } from '../support/engine.ts'
import type { Start } from '../support/frameworks.ts'
import { setUpOn } from '../support/harness.ts'
import { appsTheme } from './apps.ts'
import { bytesTheme } from './bytes.ts'
import { closingTheme } from './closing.ts'
import { fallbackTheme } from './fallback.ts'
import { fallbackFunctionsTheme } from './fallback-functions.ts'
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
import { viteProxyTheme } from './vite-proxy.ts'

const themes: Record<string, Theme> = {
  'upgrade requests': upgradeTheme,
  responses: responsesTheme,
  'paths and targets': pathsTheme,
  'spellings of paths': spellingsTheme,
  headers: headersTheme,
  'the bytes of heads': bytesTheme,
  tunnels: tunnelsTheme,
  limits: limitsTheme,
  'ends by the proxy': closingTheme,
  'guards and own fields': guardsTheme,
  'HTTP fallback': fallbackTheme,
  'functions in fallback': fallbackFunctionsTheme,
  'the app': appsTheme,
  listening: listeningTheme,
  'a table of Vite': viteProxyTheme,
}

/** The themes without plain requests. A run for another engine leaves them out, because no engine has a part in them. */
const ENGINELESS: readonly Theme[] = [upgradeTheme, tunnelsTheme, closingTheme, listeningTheme, fallbackFunctionsTheme]

/** All behaviour that is visible from outside and the same on every framework, tested over raw sockets on both sides. */
export function contract(name: string, start: Start): void {
  for (const [title, theme] of Object.entries(themes)) {
    if (engine !== 'core' && ENGINELESS.includes(theme)) continue
    // Tests of time limits spend their time waiting, so they run at the same time.
    const concurrency = theme === limitsTheme || theme === closingTheme
    describe(`${name}: ${title}`, { timeout: 60_000, concurrency }, () => theme(setUpOn(start), start))
  }
}
