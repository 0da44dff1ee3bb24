import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/** The client that a load balancer names. `undefined` if it names none: its own connection, or a family without addresses. */
export interface ProxyHeader {
  readonly client: { readonly address: string; readonly port: number; readonly family: 'IPv4' | 'IPv6' } | undefined
  /** Bytes of the header. */
  readonly length: number
}

/** The longest header of version 1, with its CRLF. */
const MAX_V1 = 107

/** Bytes of a header of version 2 that are accepted. Addresses and the usual TLVs need less than 400. */
const MAX_V2 = 4_096

const SIGNATURE_V1 = Buffer.from('PROXY ')
const SIGNATURE_V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** Whether the bytes are a signature, or the beginning of one. */
const mayBegin = (bytes: Buffer, signature: Buffer): boolean => {
  const length = Math.min(bytes.length, signature.length)
  return bytes.subarray(0, length).equals(signature.subarray(0, length))
}

/**
 * Reads the header of the PROXY protocol, version 1 or 2, from the first bytes of a connection.
 *
 * @returns `undefined` if more bytes are needed.
 * @throws {Error} for bytes that are no header.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (mayBegin(bytes, SIGNATURE_V1)) return readV1(bytes)
  if (mayBegin(bytes, SIGNATURE_V2)) return readV2(bytes)
  throw new Error('no signature of the PROXY protocol')
}

function readV1(bytes: Buffer): ProxyHeader | undefined {
  const end = bytes.subarray(0, MAX_V1).indexOf('\r\n')
  if (end < 0) {
    if (bytes.length >= MAX_V1) throw new Error(`no CRLF in the first ${MAX_V1} bytes`)
    return undefined
  }
  const length = end + 2
  const line = bytes.toString('latin1', 0, end)
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { client: undefined, length }
  const [, version, address = '', to = '', port, toPort] =
    /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/.exec(line) ?? []
  const isAddress = version === '4' ? isIPv4 : isIPv6
  if (!isAddress(address) || !isAddress(to) || Number(port) > 65_535 || Number(toPort) > 65_535)
    throw new Error('a malformed line of version 1')
  return { client: { address, port: Number(port), family: version === '4' ? 'IPv4' : 'IPv6' }, length }
}

function readV2(bytes: Buffer): ProxyHeader | undefined {
  if (bytes.length < 16) return undefined
  const [command = 0, family = 0] = bytes.subarray(12)
  const length = 16 + bytes.readUInt16BE(14)
  if (command !== 0x20 && command !== 0x21) throw new Error('an unknown version or command')
  if (length > MAX_V2) throw new Error(`a header of ${length} bytes, more than ${MAX_V2}`)
  if (bytes.length < length) return undefined
  const isV4 = family === 0x11
  if (command === 0x20 || !(isV4 || family === 0x21)) return { client: undefined, length }
  const size = isV4 ? 4 : 16
  if (length < 16 + 2 * size + 4) throw new Error('addresses that are cut off')
  const raw = bytes.subarray(16, 16 + size)
  const address = isV4 ? raw.join('.') : ipv6(raw)
  return { client: { address, port: bytes.readUInt16BE(16 + 2 * size), family: isV4 ? 'IPv4' : 'IPv6' }, length }
}

function ipv6(raw: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => raw.readUInt16BE(2 * i).toString(16))
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address
}
