import { addon, unavailable } from '@ws-tunnel/native'
import { peer } from './peers.ts'

/** Which pump the tunnels of this run are on: `PUMP=js` keeps them in JavaScript. */
export const pump: 'js' | 'native' = process.env['PUMP'] === 'js' || addon === undefined ? 'js' : 'native'

/** What `async` a test's tunnels have unless it says otherwise. */
export const async: boolean = pump === 'native'

/** Options of a test that is of the offloaded pump alone. */
export const native: { skip: string | false } = peer(
  `@ws-tunnel/native (${unavailable?.message ?? 'here'})`,
  () => addon !== undefined,
)
