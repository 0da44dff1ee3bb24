import { channel } from 'node:diagnostics_channel'
import type { MemberRecord } from '../balancer/member-record.ts'
import type { HandoverMessage } from '../options/events.ts'
import type { TunnelRecord } from '../proxy/tunnel-record.ts'

/** Processes of another version do not hand over to each other. To be raised with each change of the messages. */
export const VERSION = 1

/** What a process knows in addition to its tunnels. */
export interface State {
  readonly proxies: readonly { readonly proxy: string; readonly members: readonly MemberRecord[] }[]
  /** What other packages keep, by their keys. */
  readonly kept: Readonly<Record<string, unknown>>
}

/** A socket that a process listens on. */
export type ListenerAddress = { readonly path: string } | { readonly host: string; readonly port: number }

/** From the process that takes. */
export type TakerMessage =
  | { readonly type: 'hello'; readonly version: number; readonly pid: number }
  /** The first message of the second connection, through which the descriptors come. */
  | { readonly type: 'descriptors'; readonly token: string }
  /** Wants the listener with this number. */
  | { readonly type: 'listener'; readonly index: number }
  /** Serves, and wants the tunnels. */
  | { readonly type: 'tunnels' }
  /** Which tunnels of the offer it has adopted. It does not touch them yet. */
  | { readonly type: 'accepted'; readonly tunnels: readonly boolean[] }

/** From the process that gives. */
export type GiverMessage =
  | { readonly type: 'refused'; readonly reason: string }
  | {
      readonly type: 'welcome'
      readonly version: number
      readonly pid: number
      readonly token: string
      readonly listeners: readonly ListenerAddress[]
      readonly state: State
    }
  /** The second connection has come. */
  | { readonly type: 'connected' }
  /** The descriptor of the listener was sent. */
  | { readonly type: 'listener' }
  /** The descriptors of these tunnels were sent, the client's and the backend's of each. No process touches them. */
  | { readonly type: 'offer'; readonly tunnels: readonly TunnelRecord[] }
  /** Which of the offered tunnels belong to the other process from now on. */
  | { readonly type: 'commit'; readonly tunnels: readonly boolean[] }
  /** No more tunnels will come. */
  | { readonly type: 'done' }

const steps = channel('ws-tunnel:handover')

/** Publishes a step of the hand-over. */
export function publishStep(role: HandoverMessage['role'], step: HandoverMessage['step']): void {
  if (steps.hasSubscribers) steps.publish({ role, step } satisfies HandoverMessage)
}
