import { type Channel, channel } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import type { HealthMessage, Member, MemberMessage } from '../balancer/balancer-member.ts'
import type { ResolveMessage } from '../balancer/discovered-members.ts'
import type { WsTunnelError } from '../errors.ts'
import type { Tunnel, TunnelEnd } from '../tunnel/tunnel.ts'
import type { TunnelProxy } from './types.ts'

/**
 * What `node:diagnostics_channel` carries, by channel. `proxy` is the one it happened in: middleware made of it has the same
 * `tunnels`.
 */
export interface DiagnosticsMessages {
  /** A tunnel has opened for this request. */
  'ws-tunnel:open': { readonly tunnel: Tunnel; readonly req: IncomingMessage; readonly proxy: TunnelProxy }
  /** It has ended. */
  'ws-tunnel:close': { readonly tunnel: Tunnel; readonly end: TunnelEnd; readonly proxy: TunnelProxy }
  /** A failure before the 101. */
  'ws-tunnel:error': { readonly error: WsTunnelError; readonly req: IncomingMessage; readonly proxy: TunnelProxy }
  /** A member of a balancer failed before it had anything of the request's body, and another is asked. */
  'ws-tunnel:failover': {
    readonly error: WsTunnelError
    readonly req: IncomingMessage
    readonly from: Member
    readonly to: Member
    readonly proxy: TunnelProxy
  }
  /** The state of a member of a balancer has changed. */
  'ws-tunnel:member': MemberMessage
  /** A member of a balancer was checked. */
  'ws-tunnel:health': HealthMessage
  /** A name that stands for members of a balancer was asked for. */
  'ws-tunnel:resolve': ResolveMessage
}

/** The channels that a proxy publishes on. Members publish on theirs. */
export const channels = {
  open: channel('ws-tunnel:open'),
  close: channel('ws-tunnel:close'),
  error: channel('ws-tunnel:error'),
  failover: channel('ws-tunnel:failover'),
}

/** Gives a message to the subscribers of a channel and to the callback of the options. */
export function notify<M>(to: Channel, callback: (message: M) => unknown, message: M): void {
  if (to.hasSubscribers) to.publish(message)
  try {
    Promise.resolve(callback(message)).catch(warn)
  } catch (error) {
    warn(error)
  }
}

/** A callback that throws or rejects must not stop what it observes. The process gets a warning. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), 'WsTunnelWarning')
}
