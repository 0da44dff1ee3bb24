export type { Change, ChangeResult, TunnelChange } from './api/changes.ts'
export type { AddedMembersOptions } from './fleet/added-members.ts'
export { joinFleet } from './fleet/fleet.ts'
export type { Fleet, FleetOptions } from './fleet/fleet-options.ts'
export type { MemberChange } from './fleet/member-changes.ts'
export { type Entry, memoryStore, type OpenStore, type Store, type StoreEvents } from './fleet/store.ts'
export type { Access, AccessOptions, Authorize } from './http/access.ts'
export { type ManagedRequest, type ManagerPage, managerPage } from './manager.ts'
export type { ManagerOptions } from './options.ts'
export type {
  BalancerKey,
  BalancerView,
  Failure,
  FleetView,
  HealthView,
  MemberView,
  PastCheck,
  ProxyView,
  RouteView,
  Sample,
  State,
  StatusChange,
  Traffic,
  TunnelList,
  TunnelView,
} from './page/types.ts'
export type { ManagedProxy, Proxies } from './util/proxies.ts'
