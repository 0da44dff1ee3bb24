import type { IncomingMessage } from 'node:http'
import type { WsTunnelError } from '../errors.ts'
import type { Tunnel, TunnelEnd } from '../tunnel/tunnel.ts'
import type { Balancer, BalancerChoice, Health, Member } from './balancer-options.ts'
import type { TunnelProxy } from './tunnel-proxy.ts'

/** What the option `logger` needs: `console`, a logger of pino and most others have it. */
export interface Logger {
  /** Gets a line for a failover, and for a tunnel that its backend broke off. */
  warn(line: string): void
  /** Gets a line for a failure with a status of 500 or more. */
  error(line: string): void
}

/** A tunnel opened for this request. */
export interface OpenMessage<Req = IncomingMessage> {
  readonly tunnel: Tunnel
  readonly req: Req
  readonly proxy: TunnelProxy
}

/** A tunnel of another process was taken over. */
export interface AdoptedMessage {
  readonly tunnel: Tunnel
  readonly proxy: TunnelProxy
}

/** A process hands over to the next one. Both publish their steps. */
export interface HandoverMessage {
  /** `giver` is the old process, `taker` the new one. */
  readonly role: 'giver' | 'taker'
  /**
   * The step that the process has made: `connected`: both know each other. `listener`: a listener was passed. `offer`: tunnels are stopped,
   * and their descriptors passed. `accepted`: the taker has adopted them. `commit`: they are the taker's. `moved`: the giver has closed its
   * descriptors, the taker has started them. `stopped`: the giver accepts no more connections. `done`: no more tunnels will come. `ready`: the
   * process is the giver of the next hand-over.
   */
  readonly step: 'connected' | 'listener' | 'offer' | 'accepted' | 'commit' | 'moved' | 'stopped' | 'done' | 'ready'
}

/** A tunnel ended. */
export interface CloseMessage {
  readonly tunnel: Tunnel
  readonly end: TunnelEnd
  readonly proxy: TunnelProxy
}

/** A request failed before the 101, or before its response. */
export interface ErrorMessage<Req = IncomingMessage> {
  readonly error: WsTunnelError
  readonly req: Req
  readonly proxy: TunnelProxy
}

/** A backend has responded, with a 101 or another status. Nothing of the response has been sent to the client yet. */
export interface ResponseMessage {
  readonly req: IncomingMessage
  readonly statusCode: number
  /** `host:port` of the backend, or its socket path. */
  readonly target: string
  /** The member that was selected; `undefined` for a route without a balancer. */
  readonly choice: BalancerChoice | undefined
  readonly proxy: TunnelProxy
}

/** A member failed before it got any of the request's body, and the request is retried on another member. */
export interface FailoverMessage {
  readonly error: WsTunnelError
  readonly req: IncomingMessage
  readonly from: Member
  readonly to: Member
  readonly proxy: TunnelProxy
}

/** A member changed. */
export interface MemberMessage {
  readonly member: Member
  /** Letters of its status before the change. */
  readonly before: string
  /** Letters of its status after the change. */
  readonly after: string
  /** What changed: the letters, other settings, or whether it belongs to its balancer. */
  readonly change: 'status' | 'settings' | 'added' | 'removed'
}

/** A health check of a member ended. */
export interface HealthMessage {
  readonly member: Member
  readonly health: Health
}

/** A DNS lookup for the members of a balancer ended. */
export interface ResolveMessage {
  readonly balancer: Balancer
  readonly hostname: string
  /** URLs of the discovered members; after a failed lookup, of those known before. */
  readonly urls: readonly string[]
  /** Why the lookup failed. */
  readonly error: Error | undefined
}

/**
 * The messages of `node:diagnostics_channel`, by channel. `proxy` is the proxy of the event. The middleware of an adapter is a different
 * object with the same `tunnels`.
 */
export interface DiagnosticsMessages {
  'ws-tunnel:open': OpenMessage
  'ws-tunnel:adopted': AdoptedMessage
  'ws-tunnel:handover': HandoverMessage
  'ws-tunnel:close': CloseMessage
  'ws-tunnel:error': ErrorMessage
  'ws-tunnel:response': ResponseMessage
  'ws-tunnel:failover': FailoverMessage
  'ws-tunnel:member': MemberMessage
  'ws-tunnel:health': HealthMessage
  'ws-tunnel:resolve': ResolveMessage
}
