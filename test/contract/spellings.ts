import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorMessage } from '@ws-tunnel/core'
import { record } from '../support/backend.ts'
import { upgradeRequest } from '../support/client.ts'
import { pathRows } from './path-rows.ts'
import type { Theme } from './theme.ts'

/** The spelling of a request target and the version of its request line: what is refused, and what the backend gets. */
export const spellingsTheme: Theme = setUp => {
  const rows = pathRows(setUp)

  rows('400s a path that is not spelled in its normal form', at => [{ path: '/a', target: `${at}/b` }], [
    ['/a/../c', 400],
    ['/a/%2e%2e/c', 400],
    ['/c/../a/x', 400],
    ['/a//x', 400],
    ['/%61/./x', 400],
    ['/a/%7eu', 400],
    ['/a/..;/c', 400],
    ['/nowhere//x', 400],
    ['/a/.x/..y', '/b/.x/..y'],
  ])

  rows(
    'allows a run of slashes below the root if mergeSlashes is false',
    at => [{ path: '/a', target: `${at}/b` }],
    [
      ['/a/http://x/', '/b/http://x/'],
      ['//a/x', 400],
      ['/a/./x', 400],
    ],
    { mergeSlashes: false },
  )

  rows(
    'resolves dots and merges slashes before it matches with paths: normalise',
    at => [{ path: '/a', target: `${at}/b` }],
    [
      ['/a/../c', 404],
      ['/a/%2e%2e/c', 404],
      ['/c/../a/x', '/b/x'],
      ['/a//x', '/b/x'],
      ['/%61/./x', '/b/x'],
      ['/a/..;/c', '/b/..;/c'],
    ],
    { paths: 'normalise' },
  )

  rows('sends the path as the app saw it', at => [{ path: '/a', target: `${at}/b` }], [
    ['/a/x%20y', '/b/x%20y'],
    ['/a/x%3By', '/b/x%3By'],
    ['/a/x;y', '/b/x;y'],
    ['/a/x%40y@z', '/b/x%40y@z'],
    ['/a/%25', '/b/%25'],
    ['/a/x%3fy?q', '/b/x%3Fy?q'],
    ['/a/%c3%a9', '/b/%C3%A9'],
    ['/a/[x]', '/b/[x]'],
    ['/a/x|y', '/b/x|y'],
    ['/a/"x"', '/b/"x"'],
    ['/a/%0ax', '/b/%0Ax'],
    ['/%41', 400],
  ])

  rows(
    '400s an escape of a reserved character if a route matches only one of the two spellings',
    at => [
      { path: '/@admin', target: `${at}/b` },
      { path: /^\/r\/(.*)$/, target: `${at}/r/$1` },
      { path: '/users/:user', target: `${at}/u/:user` },
      { path: '/closed/@x', target: false },
      { path: '/closed', target: `${at}/closed` },
    ],
    [
      ['/@admin/x', '/b/x'],
      ['/%40admin/x', 400],
      ['/closed/@x', 404],
      ['/closed/%40x', 400],
      ['/closed/x', '/closed/x'],
      ['/r/x%40y@z%25', '/r/x%40y@z%25'],
      ['/users/alice%40example.com', '/u/alice%40example.com'],
    ],
  )

  test('gives a target function what it captured without escapes', async t => {
    const captured: unknown[] = []
    const setup = await setUp(t, record(), ({ address }) => ({
      routes: [
        {
          path: '/users/:user',
          target: (_req, { params, rest }) => {
            captured.push([params['user'], rest])
            return `ws://${address}/u`
          },
        },
      ],
    }))
    await setup.tunnel('/users/alice%40b%2B/x%2540%25')
    assert.deepEqual(captured, [['alice@b+', '/x%40%']])
    assert.equal((await setup.backend.request()).path, '/u/x%2540%25')
  })

  rows(
    'sends the canonical form of a path with paths: normalise',
    at => [{ path: '/a', target: `${at}/b` }],
    [
      ['/a/x%20y', '/b/x%20y'],
      ['/a/x%3By', '/b/x;y'],
      ['/a/%25', '/b/%25'],
      ['/a/x%3fy?q', '/b/x%3Fy?q'],
      ['/a/%c3%a9', '/b/%C3%A9'],
      ['/a/[x]', '/b/%5Bx%5D'],
      ['/a/x|y', '/b/x%7Cy'],
      ['/a/"x"', '/b/%22x%22'],
      ['/a/%7eu', '/b/~u'],
      ['/a/%0ax', '/b/%0Ax'],
    ],
    { paths: 'normalise' },
  )

  rows(
    'sends the path as the client wrote it with nocanon',
    at => [{ path: '/a', target: `${at}/b`, nocanon: true, encodedSlashes: 'keep' }],
    [
      ['/a/x%3By?q=%20', '/b/x%3By?q=%20'],
      ['/a/%c3%a9', '/b/%c3%a9'],
      ['/a/x%2fy', '/b/x%2fy'],
      ['/a//x', '/b//x'],
    ],
    { paths: 'normalise' },
  )

  test('names the code of a path in another spelling, and its normal form to the operator alone', async t => {
    const messages: string[] = []
    const onError = ({ error }: ErrorMessage): void => void messages.push((error as Error).message)
    const setup = await setUp(t, record(), { onError }, { errorHandler: 'framework' })
    for (const response of [await setup.refused('/x//private'), await setup.get('/x//private')]) {
      assert.equal(response.statusCode, 400)
      if (setup.gateway.framework === 'Fastify 5') assert.doesNotMatch(response.body, /private/)
    }
    for (const error of setup.gateway.errors) assert.equal(error.code, 'WST_ERR_PATH_SPELLING')
    assert.equal(messages.length, 2)
    for (const message of messages) assert.match(message, /the normal form is "\/x\/private"/)
  })

  test('505s a version that is not 1.0 or 1.1, whatever the request is', async t => {
    const setup = await setUp(t, record())
    for (const version of ['2.0', '0.9']) {
      const plain = `GET /x HTTP/${version}\r\nHost: front.example\r\nConnection: close\r\n\r\n`
      const noHost = `GET /x HTTP/${version}\r\nConnection: close\r\n\r\n`
      for (const text of [plain, noHost, upgradeRequest('/x', { httpVersion: version })]) {
        const { statusCode, body } = await setup.request(text)
        assert.deepEqual([statusCode, body], [505, '{"code":"WST_ERR_HTTP_VERSION"}'], text)
      }
    }
    assert.equal(setup.backend.connections.length, 0)
  })
}
