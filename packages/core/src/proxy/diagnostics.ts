import { channel } from 'node:diagnostics_channel'

/** The channels of a proxy; those of members and DNS lookups are in balancer/. */
export const channels = {
  open: channel('ws-tunnel:open'),
  close: channel('ws-tunnel:close'),
  error: channel('ws-tunnel:error'),
  failover: channel('ws-tunnel:failover'),
}
