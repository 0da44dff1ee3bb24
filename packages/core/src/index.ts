import './util/supported-node.ts'

export { acceptProxyProtocol, type ProxyProtocolOptions } from './client/accept-proxy-protocol.ts'
export { createHttp2Server, serveHttp2Connection } from './client/http2-server.ts'
export {
  WsTunnelError,
  type WsTunnelErrorCode,
  type WsTunnelErrorDetails,
  type WsTunnelErrorSubject,
} from './errors.ts'
export type { HandoverReport } from './handover/giver.ts'
export { handOver } from './handover/hand-over.ts'
export { Handover, type HandoverOptions } from './handover/handover.ts'
export { type Kept, keepThroughHandover } from './handover/kept-state.ts'
export { type ListenOptions, listenForUpgrades } from './handover/listen-for-upgrades.ts'
export { requestField } from './http/app-fields.ts'
export { type HeaderList, requestHeaders } from './http/header-list.ts'
export { isExtendedConnect, protocolOf } from './http/http2.ts'
export type { SharedOptions, WorkerOptions } from './options/backend-options.ts'
export type {
  Balancer,
  BalancerChoice,
  BalancerOptions,
  HashOptions,
  Health,
  LbFunction,
  LbMethod,
  Member,
  MemberChanges,
  MemberOptions,
  MemberState,
  RequestSession,
  SessionCookieOptions,
  StickySessionOptions,
} from './options/balancer-options.ts'
export type {
  AdoptedMessage,
  CloseMessage,
  DiagnosticsMessages,
  ErrorMessage,
  FailoverMessage,
  HandoverMessage,
  HealthMessage,
  Logger,
  MemberMessage,
  OpenMessage,
  ResolveMessage,
  ResponseMessage,
} from './options/events.ts'
export { fromViteProxy, type ViteProxyOptions } from './options/from-vite-proxy.ts'
export type { HealthCheckOptions, HealthMethod, HealthResponse } from './options/health-options.ts'
export type { CommonOptions, Only, Rewrite, RewrittenUrl, TrustProxy, WsTunnelOptions } from './options/options.ts'
export { checkMemberChanges } from './options/read-balancer.ts'
export type { NameResolver, ResolvedBackend, ResolveOptions, ResolveType } from './options/resolve-options.ts'
export type {
  Captures,
  Condition,
  ConditionGroups,
  ExactTarget,
  FallbackEngine,
  FallbackFunction,
  Guard,
  HeaderContext,
  HeaderEditing,
  HeaderEdits,
  LocalResponse,
  OffloadOptions,
  RouteDefaults,
  RouteOptions,
  Target,
  TargetResult,
} from './options/route-options.ts'
export type { CloseOptions, HandleContext, RouteStatus, TunnelProxy } from './options/tunnel-proxy.ts'
export { withRequests } from './options/with-requests.ts'
export { checkOptions } from './proxy/check-options.ts'
export {
  type ExplainedBackend,
  type ExplainedOutcome,
  type ExplainedRoute,
  type Explanation,
  explain,
} from './proxy/explain.ts'
export type { ExplainRequest } from './proxy/explain-request.ts'
export { createTunnelProxy } from './proxy/proxy.ts'
export type { StayReason } from './tunnel/engine.ts'
export type { EndReason, Tunnel, TunnelEnd, TunnelInfo } from './tunnel/tunnel.ts'
export { boundedPattern } from './util/bounded-pattern.ts'
export { MAX_DELAY } from './util/countdown.ts'
export { type DescriptorLimit, descriptorLimit, tunnelsLeft } from './util/descriptors.ts'
export { patternDegree } from './util/pattern-degree.ts'
export { plainAddress } from './util/plain-address.ts'
