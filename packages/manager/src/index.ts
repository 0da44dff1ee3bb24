export type { Change, ChangeResult, TunnelChange } from './changes.ts'
export { type Fleet, type FleetOptions, joinFleet } from './fleet.ts'
export { type ManagedRequest, type ManagerPage, managerPage } from './manager.ts'
export type { MemberChange } from './member-changes.ts'
export type { Access, AccessOptions, Authorize, ManagerOptions } from './options.ts'
export type {
  BalancerView,
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
export type { ManagedProxy, Proxies } from './proxies.ts'
export { type Entry, memoryStore, type OpenStore, type Store, type StoreEvents } from './store.ts'
