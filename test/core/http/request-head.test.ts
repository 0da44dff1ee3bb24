import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { requestHead } from '../../../packages/core/src/http/request-head.ts'

/** The bytes that Node writes for a request; `undefined` if it refuses. */
async function writtenByNode(path: string, headers: readonly string[]): Promise<string | undefined> {
  const written: Buffer[] = []
  const wire = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  try {
    const sent = request({ method: 'GET', path, headers, setHost: false, createConnection: () => wire } as never)
    sent.on('error', () => {})
    sent.end()
    await once(sent, 'finish')
    sent.destroy()
    return Buffer.concat(written).toString('latin1')
  } catch {
    return undefined
  }
}

const latin1 = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)),
  maxLength: 12,
})
const name = fc.oneof({ weight: 5, arbitrary: fc.stringMatching(/^[!#$%&'*+.^_`|~\w-]{1,8}$/) }, latin1)
const own = /^(?:connection|transfer-encoding|content-length|date|expect|trailer|keep-alive|host|upgrade|te|cookie)$/i
const value = fc.oneof({ weight: 5, arbitrary: fc.stringMatching(/^[\x20-\x7e]{0,12}$/) }, latin1)

test('writes the same bytes as Node, and nothing that Node refuses', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        { weight: 5, arbitrary: fc.stringMatching(/^\/[\x21-\x7e]{0,12}$/) },
        latin1.map(text => `/${text}`),
      ),
      fc.array(fc.tuple(name, value), { maxLength: 6 }),
      async (path, fields) => {
        const headers = [
          ...fields.filter(([field]) => !own.test(field)).flat(),
          'Connection',
          'Upgrade',
          'Upgrade',
          'websocket',
        ]
        assert.equal(requestHead({ method: 'GET', path, headers }), await writtenByNode(path, headers))
      },
    ),
    { numRuns: 300 },
  )
})

test('leaves other methods to Node, which adds framing', () => {
  assert.equal(requestHead({ method: 'POST', path: '/', headers: ['Connection', 'Upgrade'] }), undefined)
})
