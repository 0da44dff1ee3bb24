export type { Balancer } from './balancer.ts'
export {
  type BalancerChoice,
  type BalancerOptions,
  checkMemberChanges,
  type HashOptions,
  type LbFunction,
  type LbMethod,
  type MemberChanges,
  type MemberOptions,
  type RequestSession,
  type SessionCookieOptions,
  type StickySessionOptions,
  type WorkerOptions,
} from './balancer-options.ts'
export type { DiagnosticsMessages } from './diagnostics.ts'
export { WsTunnelError, type WsTunnelErrorCode, type WsTunnelErrorDetails } from './errors.ts'
export {
  type ExplainedBackend,
  type ExplainedOutcome,
  type ExplainedRoute,
  type ExplainRequest,
  type Explanation,
  explain,
} from './explain.ts'
export type { HeaderList } from './headers.ts'
export type { HealthAnswer, HealthCheckOptions, HealthMethod } from './health-options.ts'
export { type ListenOptions, listenForUpgrades } from './listener.ts'
export type { Health, HealthMessage, Member, MemberMessage } from './member.ts'
export type {
  CommonOptions,
  Condition,
  ExactTarget,
  HeaderEditing,
  HeaderEdits,
  LocalAnswer,
  Only,
  Rewrite,
  RewrittenUrl,
  RouteDefaults,
  RouteOptions,
  Target,
  TargetResult,
  TrustProxy,
  WsTunnelOptions,
} from './options.ts'
export { createTunnelProxy, type HandleContext, type TunnelProxy } from './proxy.ts'
export type { NameResolver, ResolvedBackend, ResolveOptions, ResolveType } from './resolve-options.ts'
export type { ResolveMessage } from './resolved-members.ts'
export type { RouteStatus } from './route.ts'
export type { Captures } from './target.ts'
export type { EndReason, Tunnel, TunnelEnd, TunnelFacts } from './tunnel.ts'
