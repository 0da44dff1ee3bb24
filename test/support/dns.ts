import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'

/** An address, or a service. */
export type DnsRecord = string | { name: string; port: number; priority?: number; weight?: number }

/** The records of a name by type, or a failure. */
export interface Zone {
  A?: DnsRecord[] | 'SERVFAIL' | 'silence'
  AAAA?: DnsRecord[] | 'SERVFAIL' | 'silence'
  SRV?: DnsRecord[] | 'SERVFAIL' | 'silence'
}

/** A name server for one test. */
export interface NameServer {
  /** `127.0.0.1:port`, for `setServers`. */
  readonly address: string
  /** By name in lower case. Other names do not exist. */
  readonly zones: Map<string, Zone>
  /** The queries that arrived, as `type name`. */
  readonly queries: string[]
  close(): Promise<void>
}

const TYPES: Record<number, keyof Zone> = { 1: 'A', 28: 'AAAA', 33: 'SRV' }
const SERVFAIL = 2
const NXDOMAIN = 3

/** Responds to queries over UDP (RFC 1035, 2782, 3596), with a TTL of 0. */
export async function startNameServer(): Promise<NameServer> {
  const socket: Socket = createSocket('udp4')
  const zones = new Map<string, Zone>()
  const queries: string[] = []
  socket.on('message', (message, from) => {
    const { name, end } = readName(message, 12)
    const type = TYPES[message.readUInt16BE(end)]
    queries.push(`${type} ${name}`)
    const zone = zones.get(name.toLowerCase())
    const records = type === undefined ? [] : (zone?.[type] ?? [])
    if (records === 'silence') return
    const failure = records === 'SERVFAIL' ? SERVFAIL : zone === undefined ? NXDOMAIN : 0
    const answers = typeof records === 'string' ? [] : records.map(record => encode(message.readUInt16BE(end), record))
    const head = Buffer.alloc(12)
    message.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8580 | failure, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(answers.length, 6)
    socket.send(Buffer.concat([head, message.subarray(12, end + 4), ...answers]), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    zones,
    queries,
    close: () => new Promise(resolve => socket.close(() => resolve())),
  }
}

function readName(message: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = []
  let at = from
  for (let length = message[at] as number; length > 0; length = message[at] as number) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 }
}

const writeName = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter(label => label !== '')
      .map(label => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')),
    Buffer.from([0]),
  ])

function encode(type: number, record: DnsRecord): Buffer {
  const data = typeof record === 'string' ? addressBytes(record) : serviceBytes(record)
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number))
  const [left = '', right] = address.split('::')
  const groups = (text: string): string[] => text.split(':').filter(group => group !== '')
  const [before, after] = [groups(left), groups(right ?? '')]
  const middle = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return Buffer.concat(
    [...before, ...middle, ...after].map(group => {
      const value = Number.parseInt(group, 16)
      return Buffer.from([value >> 8, value & 0xff])
    }),
  )
}

function serviceBytes({ name, port, priority = 0, weight = 0 }: Exclude<DnsRecord, string>): Buffer {
  const numbers = Buffer.alloc(6)
  for (const [i, value] of [priority, weight, port].entries()) numbers.writeUInt16BE(value, 2 * i)
  return Buffer.concat([numbers, writeName(name)])
}
