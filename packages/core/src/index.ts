export type { Captures } from './backend/target.ts'
export type { Balancer } from './balancer/balancer.ts'
export type { Health, HealthMessage, Member, MemberMessage } from './balancer/balancer-member.ts'
export type { ResolveMessage } from './balancer/discovered-members.ts'
export { type ListenOptions, listenForUpgrades } from './client/listener.ts'
export { WsTunnelError, type WsTunnelErrorCode, type WsTunnelErrorDetails } from './errors.ts'
export type { HeaderList } from './http/header-list.ts'
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
} from './options/balancer-options.ts'
export type { HealthAnswer, HealthCheckOptions, HealthMethod } from './options/health-options.ts'
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
} from './options/options.ts'
export type { NameResolver, ResolvedBackend, ResolveOptions, ResolveType } from './options/resolve-options.ts'
export type { DiagnosticsMessages } from './proxy/diagnostics.ts'
export {
  type ExplainedBackend,
  type ExplainedOutcome,
  type ExplainedRoute,
  type ExplainRequest,
  type Explanation,
  explain,
} from './proxy/explain.ts'
export { createTunnelProxy, type HandleContext, type TunnelProxy } from './proxy/proxy.ts'
export type { RouteStatus } from './routing/route.ts'
export type { EndReason, Tunnel, TunnelEnd, TunnelInfo } from './tunnel/tunnel.ts'
