import { readFileSync } from 'node:fs'
import type { Answer, Row } from './compare.ts'

const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8')) as T

const ok: Answer = () => ({ bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' })

const get = (target: string, fields: readonly string[] = []): string =>
  `GET ${target} HTTP/1.1\r\n${fields.some(field => /^host:/i.test(field)) ? '' : 'Host: {host}\r\n'}${fields.map(field => `${field}\r\n`).join('')}\r\n`

/** What was observed of paths. */
function mapping(): Row[] {
  const rows = vectors<{ id: string; conf: string; target: string }[]>('mapping')
  return rows.map(({ id, conf, target }) => ({
    id: `mapping ${id}`,
    conf,
    request: get(target.replace('c5.test', '{host}')),
    answer: ok,
  }))
}

interface Reverse {
  reverse: { id: string; conf: string; backendHeader: string }[]
  headers: { id: string; conf: string; request: string[]; target: string }[]
  errorOverride: { id: string; conf: string; backendStatus: string }[]
}

/** What was observed of header fields, either way. */
function headers(): Row[] {
  const { reverse, headers: requests } = vectors<Reverse>('headers-reverse')
  return [
    ...reverse.map(({ id, conf, backendHeader }) => ({
      id: `reverse ${id}`,
      conf,
      request: get('/a/q'),
      answer: (() => ({
        bytes: `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${backendHeader}\r\n\r\nok`,
      })) satisfies Answer,
    })),
    ...requests.map(({ id, conf, request, target }) => ({
      id: `headers ${id}`,
      conf,
      request: get(
        target,
        request.map(field => field.replace(/^(host: *)[\w.]+/i, '$1{host}')),
      ),
      answer: ok,
    })),
  ]
}

const ANSWERS: Record<string, (token: string) => { bytes: string; echo?: boolean; close?: boolean }> = {
  A: token => ({ bytes: switching(token, 'Sec-WebSocket-Accept: abc\r\n'), echo: true }),
  B: () => ({ bytes: switching('other') }),
  D: () => ({ bytes: 'HTTP/1.1 200 OK\r\nX-Hop: 1\r\nContent-Length: 6\r\n\r\nBODY-D' }),
  E: () => ({
    bytes: 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\n426',
  }),
  F: () => ({ bytes: '', close: true }),
  G: () => ({ bytes: 'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n403' }),
  H: token => ({ bytes: `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${switching(token)}`, echo: true }),
  I: () => ({ bytes: switching('WebSocket'), echo: true }),
  K: token => ({
    bytes: switching(token, 'X-Hop: 1\r\nKeep-Alive: x\r\nSet-Cookie: a=b\r\nLocation: http://127.0.0.1:21060/x\r\n'),
    echo: true,
  }),
  L: token => ({ bytes: switching(token), echo: true }),
  M: token => ({ bytes: `${switching(token)}EARLYDATA`, echo: true }),
  N: () => ({ bytes: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n' }),
}

const switching = (token: string, more = ''): string =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${token}\r\nConnection: Upgrade\r\n${more}\r\n`

/** Answers by the letter of what was observed; a request without Upgrade gets a plain answer. */
const behaving =
  (letter: string): Answer =>
  head => {
    const token = /\r\nupgrade: *([^\r]*)/i.exec(head)?.[1]
    if (token === undefined && letter !== 'G' && letter !== 'F')
      return { bytes: `HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nBODY-${letter}` }
    return (ANSWERS[letter] ?? ANSWERS['A'])?.(token ?? '') ?? { bytes: '' }
  }

interface Upgrade {
  id: string
  conf: string
  method: string
  version: string
  reqHeaders: string
  reqBody: string
  backendBehaviour: string
}

/** What was observed of upgrades. */
function upgrades(): Row[] {
  const rows = [...vectors<Upgrade[]>('upgrade1'), ...vectors<Upgrade[]>('upgrade2')]
  return rows.map(({ id, conf, method, version, reqHeaders, reqBody, backendBehaviour }) => ({
    id: `upgrade ${id} ${backendBehaviour}`,
    conf,
    request: `${method} /${backendBehaviour} ${version}\r\nHost: {host}\r\n${reqHeaders}\r\n${reqBody}`,
    answer: behaving(backendBehaviour),
  }))
}

export const observed: readonly Row[] = [...mapping(), ...headers(), ...upgrades()]
export { behaving, get, ok }
