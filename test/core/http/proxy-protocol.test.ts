import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readProxyHeader } from '../../../packages/core/src/http/proxy-protocol.ts'

const v2 = (command: number, family: number, body: number[], length = body.length): Buffer =>
  Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
    Buffer.from([command, family, length >> 8, length & 255, ...body]),
  ])
const V4 = [192, 0, 2, 7, 192, 0, 2, 8, 0x1f, 0x90, 0, 80]
const V6 = [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 7, ...Array(16).fill(1), 1, 0, 0, 80]

const headers: [what: string, bytes: Buffer, client: string | undefined][] = [
  ['TCP4', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 8080 80\r\n'), '192.0.2.7 8080 IPv4'],
  ['TCP6', Buffer.from('PROXY TCP6 2001:db8::7 ::1 65535 0\r\n'), '2001:db8::7 65535 IPv6'],
  ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['UNKNOWN with addresses', Buffer.from('PROXY UNKNOWN ffff::1 ::1 1 2\r\n'), undefined],
  ['version 2, IPv4', v2(0x21, 0x11, V4), '192.0.2.7 8080 IPv4'],
  ['version 2, IPv4 and a TLV', v2(0x21, 0x11, [...V4, 4, 0, 1, 9]), '192.0.2.7 8080 IPv4'],
  ['version 2, IPv6', v2(0x21, 0x21, V6), '2001:db8::7 256 IPv6'],
  ['version 2, LOCAL', v2(0x20, 0, []), undefined],
  ['version 2, unix', v2(0x21, 0x31, Array(216).fill(65)), undefined],
]

for (const [what, bytes, client] of headers) {
  test(`reads ${what}, and needs every byte of it`, () => {
    const header = readProxyHeader(Buffer.concat([bytes, Buffer.from('GET / ')]))
    const named = header?.client && `${header.client.address} ${header.client.port} ${header.client.family}`
    assert.deepEqual([named, header?.length], [client, bytes.length])
    for (let length = 0; length < bytes.length; length++)
      assert.equal(readProxyHeader(bytes.subarray(0, length)), undefined, `${length} bytes`)
  })
}

for (const [what, bytes] of [
  ['a request', Buffer.from('GET / HTTP/1.1\r\n')],
  ['an address of the other family', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['a port that is too large', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 65536 2\r\n')],
  ['a port with a leading zero', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n')],
  ['two spaces', Buffer.from('PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n')],
  ['UNKNOWN with more letters', Buffer.from('PROXY UNKNOWNS\r\n')],
  ['a line that does not end', Buffer.from(`PROXY UNKNOWN ${'a'.repeat(100)}`)],
  ['version 3', v2(0x31, 0x11, V4)],
  ['an unknown command', v2(0x22, 0x11, V4)],
  ['addresses that are cut off', v2(0x21, 0x11, V4.slice(1))],
  ['a length above the limit, before its bytes have come', v2(0x21, 0x11, [], 65_535)],
] as const) {
  test(`refuses ${what}`, () => assert.throws(() => readProxyHeader(bytes)))
}
