import { isRecord } from './checks.ts'
import type { WsTunnelOptions } from './options.ts'

type Unknown = Record<string, unknown>
type Callback = (...args: unknown[]) => unknown
/** Replaces the request in the arguments of a callback. */
type Replace = (args: unknown[]) => unknown[]

/**
 * Options whose functions get another object for a request. An adapter passes the request of its framework to the functions
 * of its users. What is not a function is copied as it is, wrong values too: `createTunnelProxy` refuses those.
 *
 * @param requestOf what a function gets in place of the request
 */
export function withRequests<From extends object, To extends object>(
  options: WsTunnelOptions<From>,
  requestOf: (req: To) => From,
): WsTunnelOptions<To> {
  const inContext = (context: unknown): unknown => ({
    ...(context as object),
    req: requestOf((context as { req: To }).req),
  })
  const first: Replace = ([req, ...rest]) => [requestOf(req as To), ...rest]
  const second: Replace = ([other, req]) => [other, requestOf(req as To)]
  const ofMessage: Replace = ([message]) => [inContext(message)]
  const ofHeaders: Replace = ([headers, context]) => [headers, inContext(context)]

  const condition = (value: unknown): unknown => {
    if (!isRecord(value)) return value
    return Array.isArray(value['any'])
      ? { ...value, any: value['any'].map(condition) }
      : replaced(value, { test: first })
  }
  const route = (value: unknown): unknown => {
    if (!isRecord(value)) return value
    const { when } = value
    return {
      ...replaced(value, ROUTE_CALLBACKS),
      ...(Array.isArray(when) ? { when: when.map(condition) } : {}),
    }
  }
  const ROUTE_CALLBACKS = {
    target: first,
    guard: first,
    requestHeaders: ofHeaders,
    responseHeaders: ofHeaders,
    localHeaders: ofHeaders,
  }
  if (!isRecord(options)) return options as never
  const { routes, balancers } = options as Unknown
  return {
    ...replaced(route(options) as Unknown, { rewrite: first, onOpen: ofMessage, onError: ofMessage }),
    ...(Array.isArray(routes) ? { routes: routes.map(route) } : {}),
    ...(isRecord(balancers)
      ? {
          balancers: Object.fromEntries(
            Object.entries(balancers).map(([name, balancer]) => [
              name,
              isRecord(balancer) ? replaced(balancer, { lbMethod: second, failoverUnanswered: first }) : balancer,
            ]),
          ),
        }
      : {}),
  } as WsTunnelOptions<To>
}

/** A copy of the object in which the named functions get other arguments. They keep their names, which `explain` shows. */
function replaced(object: Unknown, callbacks: Record<string, Replace>): Unknown {
  const copy = { ...object }
  for (const [key, replace] of Object.entries(callbacks)) {
    const callback = object[key]
    if (typeof callback !== 'function') continue
    const wrapper: Callback = (...args) => callback(...replace(args))
    copy[key] = Object.defineProperty(wrapper, 'name', { value: callback.name })
  }
  return copy
}
