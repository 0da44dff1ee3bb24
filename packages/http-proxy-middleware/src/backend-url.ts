import type { PlainTrip } from '@ws-tunnel/core/engine'

/** The URL of a request at its backend. */
export const backendUrl = ({ worker: { origin }, path }: PlainTrip): URL =>
  new URL(path, `${origin.secure ? 'https' : 'http'}://${origin.authority}`)
