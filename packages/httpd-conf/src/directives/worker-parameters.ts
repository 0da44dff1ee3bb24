import { duration } from '../syntax/values.ts'
import {
  anything,
  atLeast,
  between,
  buffer,
  complaintIn,
  onOff,
  type ParameterCheck,
  shorterThan,
  time,
} from './parameter-checks.ts'

const factor = (value: string): string | undefined => {
  const hundredths = Math.trunc((Number.parseFloat(value) || 0) * 100)
  return hundredths < 100 || hundredths > 10_000 ? 'LoadFactor must be a number between 1..100' : undefined
}

/** The largest number of seconds in httpd, a signed 32-bit integer. */
const MAX_SECONDS = 2 ** 31 - 1

/** Every parameter of a worker, lower-case, with the limits and the texts of httpd's set_worker_param. */
const WORKER: Readonly<Record<string, ParameterCheck>> = {
  loadfactor: factor,
  retry: atLeast(0, 'Retry must be a positive value'),
  ttl: atLeast(1, 'TTL must be at least one second'),
  min: atLeast(0, 'Min must be a positive number'),
  max: atLeast(0, 'Max must be a positive number'),
  smax: atLeast(0, 'Smax must be a positive number'),
  acquire: time('ms', 'Acquire timeout has wrong format', 'Acquire must be at least one millisecond'),
  timeout: atLeast(1, 'Timeout must be at least one second'),
  iobuffersize: buffer('IOBufferSize'),
  receivebuffersize: buffer('ReceiveBufferSize'),
  keepalive: onOff('KeepAlive must be On|Off'),
  disablereuse: onOff('DisableReuse must be On|Off'),
  enablereuse: onOff('EnableReuse must be On|Off'),
  addressttl: value => {
    const ms = value === '-1' ? 0 : duration(value, 's')
    return ms === undefined || ms % 1_000 !== 0 || ms > MAX_SECONDS * 1_000
      ? 'AddressTTL must be -1 or a number of seconds not exceeding (2147483647)'
      : undefined
  },
  route: shorterThan(64, 'Route'),
  redirect: shorterThan(64, 'Redirect'),
  status: value => (/^(?:[+-]?[indsehrcoguf])*$/i.test(value) ? undefined : 'Unknown status parameter option'),
  flushpackets: value => (/^(?:on|off|auto)$/i.test(value) ? undefined : 'flushpackets must be on|off|auto'),
  flushwait: between(0, 1_000, 'flushwait must be <= 1000, or 0 for system default of 10 millseconds.'),
  ping: time('s', 'Ping/Pong timeout has wrong format', 'Ping/Pong timeout must be at least one millisecond'),
  lbset: between(0, 99, 'lbset must be between 0 and 99'),
  connectiontimeout: time(
    's',
    'Connectiontimeout has wrong format',
    'Connectiontimeout must be at least one millisecond.',
  ),
  flusher: shorterThan(16, 'flusher name'),
  upgrade: shorterThan(16, 'upgrade protocol'),
  responsefieldsize: atLeast(0, 'ResponseFieldSize must be greater than 0 bytes, or 0 for system default.'),
  secret: shorterThan(64, 'Secret'),
  hcmethod: anything,
  hcinterval: anything,
  hcpasses: anything,
  hcfails: anything,
  hcuri: anything,
  hcexpr: anything,
  hctemplate: anything,
}

/** Parameters of a worker outside a balancer that have no effect here, each with the reason. */
export const IDLE_PARAMETERS: Record<string, string> = {
  min: 'the connection pool of plain requests grows on demand',
  smax: 'the connection pool of plain requests shrinks on demand',
  ttl: 'the connection pool of plain requests closes idle connections',
  retry: 'a worker outside a balancer is tried for every request',
  iobuffersize: 'Node chooses the size of buffers',
  receivebuffersize: 'Node chooses the size of buffers',
  disablereuse: 'connections of plain requests are reused, upgraded connections are not',
  enablereuse: 'connections of plain requests are reused, upgraded connections are not',
  addressttl: 'every new connection makes its own DNS lookup',
  ping: 'httpd uses it for requests with a body only',
  flushpackets: 'responses are forwarded without delay',
  flushwait: 'responses are forwarded without delay',
  flusher: 'only mod_proxy_fdpass uses it',
  secret: 'only mod_proxy_ajp uses it',
  responsefieldsize: 'the limit of Node on header fields applies',
  loadfactor: 'only members of a balancer use it',
  lbset: 'only members of a balancer use it',
  route: 'only members of a balancer use it',
  redirect: 'only members of a balancer use it',
  hcmethod: 'only members of a balancer have health checks',
  hcinterval: 'only members of a balancer have health checks',
  hcpasses: 'only members of a balancer have health checks',
  hcfails: 'only members of a balancer have health checks',
  hcuri: 'only members of a balancer have health checks',
  hcexpr: 'only members of a balancer have health checks',
  hctemplate: 'only members of a balancer have health checks',
}

/** httpd's error text for `key=value` of a worker; `undefined` if httpd accepts it. */
export const workerComplaint = (key: string, value: string): string | undefined =>
  complaintIn(WORKER, key, value, 'unknown Worker parameter')
