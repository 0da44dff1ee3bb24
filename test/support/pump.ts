import { addon, unavailable } from '@ws-tunnel/native'
import { peer } from './peers.ts'

/** Which pump the tunnels of this run are on: `PUMP=js` keeps them in JavaScript. */
export const pump: 'js' | 'native' = process.env['PUMP'] === 'js' || addon === undefined ? 'js' : 'native'

/** The option `async` of a test's tunnels, unless the test sets it. */
export const async: boolean = pump === 'native'

/** Options of a test that needs the native addon. */
export const native: { skip: string | false } = peer(
  `@ws-tunnel/native (${unavailable?.message ?? 'here'})`,
  () => addon !== undefined,
)
