export type { Change, ChangeResult, TunnelChange } from './changes.ts'
export { type ManagedRequest, type ManagerPage, managerPage } from './manager.ts'
export type { MemberChange } from './member-changes.ts'
export type { Access, AccessOptions, Authorize, ManagerOptions } from './options.ts'
export type {
  BalancerView,
  MemberView,
  ProxyView,
  RouteView,
  Sample,
  State,
  StatusChange,
  Traffic,
  TunnelList,
  TunnelView,
} from './page/types.ts'
export type { ManagedProxy, Proxies } from './proxies.ts'
