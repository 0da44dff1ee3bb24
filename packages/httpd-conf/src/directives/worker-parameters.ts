/** A value of a worker parameter that was understood, or httpd's complaint. */
type Checked = string | undefined

/** C's atoi. */
export const atoi = (text: string): number => Number(/^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text)?.[1] ?? 0)

/**
 * Milliseconds of a duration with its unit: none or `s...` seconds, `ms...` milliseconds, `mi...` minutes, `h...` hours;
 * what follows the letters is ignored. httpd: ap_timeout_parameter_parse.
 *
 * @returns `undefined` for what httpd does not take.
 */
export function duration(text: string, unit: 's' | 'ms'): number | undefined {
  const [, digits = '', suffix = ''] = /^[ \t\n\v\f\r]*([+-]?\d*)(.*)$/s.exec(text) ?? []
  const value = Number(digits || 0)
  if (!(value >= 0) || value > Number.MAX_SAFE_INTEGER) return undefined
  const name = suffix === '' ? unit : suffix
  if (name.startsWith('s')) return value * 1_000
  if (name.startsWith('h')) return value * 3_600_000
  if (name.startsWith('ms')) return value
  if (name.startsWith('mi')) return value * 60_000
  return undefined
}

const onOff =
  (complaint: string) =>
  (value: string): Checked =>
    /^(?:on|off)$/i.test(value) ? undefined : complaint

const atLeast =
  (least: number, complaint: string) =>
  (value: string): Checked =>
    atoi(value) < least ? complaint : undefined

const shorterThan =
  (limit: number, name: string) =>
  (value: string): Checked =>
    value.length >= limit ? `${name} length must be < ${limit} characters` : undefined

const buffer =
  (name: string) =>
  (value: string): Checked =>
    atoi(value) < 512 && atoi(value) !== 0 ? `${name} must be >= 512 bytes, or 0 for system default.` : undefined

const timeout =
  (unit: 's' | 'ms', format: string, small: string) =>
  (value: string): Checked => {
    const ms = duration(value, unit)
    return ms === undefined ? format : ms < 1 ? small : undefined
  }

const factor = (value: string): Checked => {
  const hundredths = Math.trunc((Number.parseFloat(value) || 0) * 100)
  return hundredths < 100 || hundredths > 10_000 ? 'LoadFactor must be a number between 1..100' : undefined
}

/** Every key of a worker, lower-case, with the limits and the words of set_worker_param. */
const WORKER: Record<string, (value: string) => Checked> = {
  loadfactor: factor,
  retry: atLeast(0, 'Retry must be a positive value'),
  ttl: atLeast(1, 'TTL must be at least one second'),
  min: atLeast(0, 'Min must be a positive number'),
  max: atLeast(0, 'Max must be a positive number'),
  smax: atLeast(0, 'Smax must be a positive number'),
  acquire: timeout('ms', 'Acquire timeout has wrong format', 'Acquire must be at least one millisecond'),
  timeout: atLeast(1, 'Timeout must be at least one second'),
  iobuffersize: buffer('IOBufferSize'),
  receivebuffersize: buffer('ReceiveBufferSize'),
  keepalive: onOff('KeepAlive must be On|Off'),
  disablereuse: onOff('DisableReuse must be On|Off'),
  enablereuse: onOff('EnableReuse must be On|Off'),
  addressttl: value => {
    const ms = value === '-1' ? 0 : duration(value, 's')
    return ms === undefined || ms % 1_000 !== 0 || ms > (2 ** 31 - 1) * 1_000
      ? 'AddressTTL must be -1 or a number of seconds not exceeding (2147483647)'
      : undefined
  },
  route: shorterThan(64, 'Route'),
  redirect: shorterThan(64, 'Redirect'),
  status: value =>
    /^(?:[+-]?[indsehrcogufINDSEHRCOGUF])*$/.test(value) ? undefined : 'Unknown status parameter option',
  flushpackets: value => (/^(?:on|off|auto)$/i.test(value) ? undefined : 'flushpackets must be on|off|auto'),
  flushwait: value =>
    atoi(value) > 1_000 || atoi(value) < 0
      ? 'flushwait must be <= 1000, or 0 for system default of 10 millseconds.'
      : undefined,
  ping: timeout('s', 'Ping/Pong timeout has wrong format', 'Ping/Pong timeout must be at least one millisecond'),
  lbset: value => (atoi(value) < 0 || atoi(value) > 99 ? 'lbset must be between 0 and 99' : undefined),
  connectiontimeout: timeout(
    's',
    'Connectiontimeout has wrong format',
    'Connectiontimeout must be at least one millisecond.',
  ),
  flusher: shorterThan(16, 'flusher name'),
  upgrade: shorterThan(16, 'upgrade protocol'),
  responsefieldsize: atLeast(0, 'ResponseFieldSize must be greater than 0 bytes, or 0 for system default.'),
  secret: shorterThan(64, 'Secret'),
  hcmethod: () => undefined,
  hcinterval: () => undefined,
  hcpasses: () => undefined,
  hcfails: () => undefined,
  hcuri: () => undefined,
  hcexpr: () => undefined,
  hctemplate: () => undefined,
}

/** What a worker parameter is to us, where it is not honoured: why it may be left out. */
export const IDLE_PARAMETERS: Record<string, string> = {
  min: 'the pool of plain requests grows as it needs',
  smax: 'the pool of plain requests shrinks as it needs',
  ttl: 'the pool of plain requests closes idle connections by itself',
  retry: 'a worker outside a balancer is always tried again',
  iobuffersize: 'buffers are sized by Node',
  receivebuffersize: 'buffers are sized by Node',
  disablereuse: 'upgraded connections are never reused; those of plain requests are, which no backend can tell',
  enablereuse: 'upgraded connections are never reused; those of plain requests are',
  addressttl: 'names are looked up for every new connection',
  ping: 'a probe before requests with a body only',
  flushpackets: 'answers are sent on as they come',
  flushwait: 'answers are sent on as they come',
  flusher: 'for mod_proxy_fdpass',
  secret: 'for mod_proxy_ajp',
  responsefieldsize: "Node's own limit on header fields holds",
  loadfactor: 'counts in a balancer only',
  lbset: 'counts in a balancer only',
  route: 'counts in a balancer only',
  redirect: 'counts in a balancer only',
  hcmethod: 'health checks belong to balancer members',
  hcinterval: 'health checks belong to balancer members',
  hcpasses: 'health checks belong to balancer members',
  hcfails: 'health checks belong to balancer members',
  hcuri: 'health checks belong to balancer members',
  hcexpr: 'health checks belong to balancer members',
  hctemplate: 'health checks belong to balancer members',
}

/** httpd's complaint about `key=value` of a worker, or `undefined` where it has none. */
export function workerComplaint(key: string, value: string): Checked {
  const lower = key.toLowerCase()
  return Object.hasOwn(WORKER, lower) ? WORKER[lower]?.(value) : 'unknown Worker parameter'
}

export const WORKER_KEYS: readonly string[] = Object.keys(WORKER)
