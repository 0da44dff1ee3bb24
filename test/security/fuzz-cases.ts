import { createHash } from 'node:crypto'

/** One step of one side of a connection. */
export type Step =
  | { do: 'write'; bytes: Buffer }
  /** Waits, so that the bytes before it leave in a separate packet. */
  | { do: 'turn' }
  | { do: 'wait'; ms: number }
  | { do: 'fin' }
  | { do: 'rst' }
  | { do: 'pause' }
  | { do: 'resume' }
  /** Waits at most `ms`. If the milestone of a `required` step is not reached, the case has stalled. */
  | { do: 'until'; what: 'response' | 'message' | 'end' | 'close'; ms: number; required: boolean }
  /** The backend has sent its 101 by now, so bytes of the client may arrive. */
  | { do: 'switched' }

/** The expected result. */
export type Expectation =
  | { kind: 'tunnel'; fromClient: Buffer; fromBackend: Buffer; whole: boolean }
  | { kind: 'response'; statuses: number[]; requestBody?: Buffer; responseBody?: Buffer }
  /** The statuses of several responses on one connection, in order. A shorter sequence ends with a close. */
  | { kind: 'responses'; statuses: number[][] }
  /** Only the rules for every case. */
  | { kind: 'anything' }

/** One case: both scripts and the expected result. */
export interface Case {
  index: number
  kind: string
  route: string
  client: Step[]
  backend: Step[]
  /** The backend responds after the head, and does not wait for the body. */
  hasty: boolean
  method: string
  expect: Expectation
  /** The number of final responses that the client waits for. */
  responses: number
  /** The number of heads of this case that may reach a backend. */
  requests: number
  /** The client declares no body, so its early bytes must not reach a backend that sends no 101. */
  bodiless: boolean
}

/** Early bytes begin with this text, which no HTTP parser takes for a request. */
export const MARKER: Buffer = Buffer.from('\x01EARLY\x01')

/** Longer than any valid step takes on a busy machine. */
const MAX_WAIT = 15_000

/** A seeded generator (mulberry32): the same seed and index give the same case everywhere. */
export class Random {
  #state: number

  constructor(seed: number, index: number) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0
    for (let i = 0; i < 4; i++) this.word()
  }

  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }

  int(min: number, max: number): number {
    return min + (this.word() % (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.word() / 2 ** 32 < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T
  }

  weighted<const L extends readonly (readonly [weight: number, item: unknown])[]>(list: L): L[number][1] {
    let left = this.int(
      1,
      list.reduce((sum, [weight]) => sum + weight, 0),
    )
    for (const [weight, item] of list) {
      left -= weight
      if (left <= 0) return item
    }
    throw new Error('unreachable: the weights cover every draw')
  }

  bytes(length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length)
    let i = 0
    for (; i + 4 <= length; i += 4) buffer.writeUInt32LE(this.word(), i)
    for (; i < length; i++) buffer[i] = this.word() & 255
    return buffer
  }
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const turn: Step = { do: 'turn' }
const fin: Step = { do: 'fin' }
const rst: Step = { do: 'rst' }
const write = (bytes: Buffer | string): Step => ({
  do: 'write',
  bytes: typeof bytes === 'string' ? latin1(bytes) : bytes,
})
const until = (what: 'response' | 'message' | 'end' | 'close', ms = MAX_WAIT): Step => ({
  do: 'until',
  what,
  ms,
  required: ms === MAX_WAIT,
})

/** The bytes in pieces, cut at random offsets, each in a separate packet. */
function fragments(random: Random, bytes: Buffer): Step[] {
  const cuts = random.weighted([
    [10, 0],
    [4, random.int(1, 3)],
    [1, random.int(4, 12)],
  ] as const)
  const at = Array.from({ length: cuts }, () => random.int(0, bytes.length)).sort((a, b) => a - b)
  const steps: Step[] = []
  let from = 0
  for (const to of [...at, bytes.length]) {
    if (to > from) steps.push(write(bytes.subarray(from, to)), turn)
    from = to
  }
  return steps
}

function payload(random: Random): Buffer {
  const size = random.weighted([
    [2, 0],
    [10, random.int(1, 200)],
    [6, random.int(200, 4_000)],
    [2, random.int(4_000, 70_000)],
  ] as const)
  return random.bytes(random.chance(0.004) ? 600_000 : size)
}

interface Request {
  method: string
  target: string
  version: string
  fields: [name: string, value: string][]
}

const serialise = ({ method, target, version, fields }: Request, eol = '\r\n'): string =>
  [`${method} ${target} ${version}`, ...fields.map(([name, value]) => `${name}: ${value}`), '', ''].join(eol)

const acceptFor = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Routes that accept an upgrade, the rest of the path, and the tokens to request. */
const UPGRADE_ROUTES: readonly (readonly [weight: number, item: { route: string; tokens: readonly string[] }])[] = [
  [8, { route: '/ws', tokens: ['websocket'] }],
  [3, { route: '/rx/word', tokens: ['websocket'] }],
  [2, { route: '/pattern/7', tokens: ['websocket'] }],
  [2, { route: '/http', tokens: ['websocket'] }],
  [2, { route: '/nofb', tokens: ['websocket'] }],
  [2, { route: '/any', tokens: ['websocket', 'foo', 'bar/2.0'] }],
  [2, { route: '/none', tokens: ['websocket', 'foo'] }],
  [2, { route: '/list', tokens: ['websocket', 'foo', 'bar/2.0'] }],
  [2, { route: '/strict', tokens: ['websocket'] }],
  [2, { route: '/async', tokens: ['websocket'] }],
  [2, { route: '/function', tokens: ['websocket'] }],
  [2, { route: '/mount/blue', tokens: ['websocket'] }],
  [2, { route: '/wss', tokens: ['websocket'] }],
]

const PLAIN_ROUTES = [
  '/http',
  '/ws',
  '/rx/word',
  '/pattern/7',
  '/any',
  '/list',
  '/async',
  '/mount/blue',
  '/function',
  '/wss',
]

const EXTRA_FIELDS: readonly [string, string][] = [
  ['Origin', 'http://gateway.example'],
  ['Cookie', 'a=1; b="two"'],
  ['Sec-WebSocket-Protocol', 'chat, superchat'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits'],
  ['X-Forwarded-For', '198.51.100.7'],
  ['User-Agent', 'fuzz/1.0 (caf\xe9)'],
  ['X-Twice', '1'],
  ['X-Twice', '2'],
  ['X-Empty', ''],
  ['Authorization', 'Basic Zm9vOmJhcg=='],
  ['constructor', 'x'],
  ['__proto__', 'x'],
]

function spelled(random: Random, token: string): string {
  return random.chance(0.8)
    ? token
    : random.chance(0.5)
      ? token.toUpperCase()
      : token[0]?.toUpperCase() + token.slice(1)
}

function upgradeRequest(random: Random, index: number): Request & { route: string; token: string; key: string } {
  const { route, tokens } = random.weighted(UPGRADE_ROUTES)
  const token = spelled(random, random.pick(tokens))
  const key = random.bytes(16).toString('base64')
  const fields: [string, string][] = [
    ['Upgrade', token],
    ['Connection', random.pick(['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'Upgrade, Keep-Alive'])],
    ['Sec-WebSocket-Key', key],
    ['Sec-WebSocket-Version', '13'],
    ['X-Fuzz', String(index)],
  ]
  for (const extra of EXTRA_FIELDS) if (random.chance(0.12)) fields.push([...extra])
  for (let i = fields.length - 1; i > 0; i--) {
    const j = random.int(0, i)
    const [a, b] = [fields[i], fields[j]] as [[string, string], [string, string]]
    fields[i] = b
    fields[j] = a
  }
  fields.unshift(['Host', 'gateway.example'])
  const tail = random.pick(['', '/', '/room', '/a/b/c', '/room?x=1&y=%2F', '/a%20b', '/%C3%A9'])
  return { method: 'GET', target: `${route}/c${index}${tail}`, version: 'HTTP/1.1', fields, route, token, key }
}

function switchHead(random: Random, token: string, key: string): string {
  const fields = [
    `${random.pick(['Upgrade', 'upgrade'])}: ${random.chance(0.8) ? token : token.toLowerCase()}`,
    `Connection: ${random.pick(['Upgrade', 'upgrade', 'Upgrade, Keep-Alive'])}`,
    `Sec-WebSocket-Accept: ${acceptFor(key)}`,
  ]
  if (random.chance(0.2)) fields.push('Set-Cookie: a=1', 'Set-Cookie: b=2')
  if (random.chance(0.1)) fields.push('Keep-Alive: timeout=5', 'X-Odd-Case: Yes')
  if (random.chance(0.05)) fields.push('Content-Length: 5')
  const reason = random.pick(['Switching Protocols', 'Switching Protocols', 'Web Socket Protocol Handshake', 'OK'])
  return `HTTP/1.1 101 ${reason}\r\n${fields.join('\r\n')}\r\n\r\n`
}

/** Pieces of a payload, sometimes with pauses in which the side does not read. */
function sends(random: Random, bytes: Buffer): Step[] {
  const steps = fragments(random, bytes)
  if (random.chance(0.08)) {
    steps.unshift({ do: 'pause' })
    steps.push({ do: 'wait', ms: random.int(1, 20) }, { do: 'resume' })
  }
  return steps
}

type Made = Omit<Case, 'index'>

/** Both scripts are valid: the bytes must arrive unchanged, whatever the pieces, the order of the ends and the early bytes. */
function validTunnel(random: Random, index: number): Made {
  const request = upgradeRequest(random, index)
  const early = random.chance(0.4) ? Buffer.concat([MARKER, payload(random)]) : Buffer.alloc(0)
  const fromClient = payload(random)
  const glue = random.chance(0.4) ? payload(random) : Buffer.alloc(0)
  const fromBackend = payload(random)
  // Only one of the two sides may wait for the end of the other.
  const waits = random.pick(['client', 'backend', 'neither'])
  const late = waits === 'neither' ? Buffer.alloc(0) : payload(random)

  const head = latin1(serialise(request))
  const glued = early.length > 0 && random.chance(0.6)
  const client: Step[] = glued
    ? fragments(random, Buffer.concat([head, early]))
    : [...fragments(random, head), ...sends(random, early)]
  client.push(until('response'), ...sends(random, fromClient))
  if (waits === 'client') client.push(until('end'), ...sends(random, late))
  client.push(fin, until('close'))

  const interims = random.chance(0.1) ? random.int(1, 9) : 0
  const before = Array.from({ length: interims }, () =>
    random.pick(['100 Continue', '102 Processing', '103 Early Hints']),
  )
    .map(status => `HTTP/1.1 ${status}\r\n\r\n`)
    .join('')
  const response = latin1(before + switchHead(random, request.token, request.key))
  const backend: Step[] = [{ do: 'switched' }, ...fragments(random, Buffer.concat([response, glue]))]
  if (random.chance(0.1)) backend.unshift({ do: 'wait', ms: random.int(1, 30) })
  backend.push(...sends(random, fromBackend))
  if (waits === 'backend') backend.push(until('end'), ...sends(random, late))
  backend.push(fin, until('close'))

  return {
    kind: `tunnel, ${waits} waits${glued ? ', early bytes glued' : ''}`,
    route: request.route,
    client,
    backend,
    hasty: false,
    method: 'GET',
    expect: {
      kind: 'tunnel',
      fromClient: Buffer.concat([early, fromClient, waits === 'client' ? late : Buffer.alloc(0)]),
      fromBackend: Buffer.concat([glue, fromBackend, waits === 'backend' ? late : Buffer.alloc(0)]),
      whole: true,
    },
    responses: 1,
    requests: 1,
    bodiless: true,
  }
}

/** A valid tunnel that one side cuts at any point. */
function cutTunnel(random: Random, index: number): Made {
  const made = validTunnel(random, index)
  const side = random.pick(['client', 'backend', 'both'] as const)
  for (const name of ['client', 'backend'] as const) {
    if (side !== 'both' && side !== name) {
      // The other side only reads until the end, or for a limited time.
      made[name] = made[name].map(step => (step.do === 'until' ? { ...step, required: false, ms: 2_000 } : step))
      continue
    }
    const steps = made[name].slice(0, random.int(0, made[name].length))
    const last = steps.at(-1)
    if (last?.do === 'write' && random.chance(0.5)) {
      steps[steps.length - 1] = write(last.bytes.subarray(0, random.int(0, last.bytes.length)))
    }
    steps.push(random.chance(0.6) ? rst : fin)
    if (random.chance(0.3)) steps.push({ do: 'wait', ms: random.int(0, 10) }, rst)
    made[name] = steps.map(step => (step.do === 'until' ? { ...step, required: false, ms: 2_000 } : step))
  }
  const { expect } = made
  if (expect.kind === 'tunnel') expect.whole = false
  made.kind = `cut by ${side}: ${made.kind}`
  return made
}

const STATUSES = [
  '200 OK',
  '401 Unauthorized',
  '403 Forbidden',
  '404 Not Found',
  '426 Upgrade Required',
  '302 Found',
  '500 Oops',
  '503 Busy',
]

interface Response {
  bytes: Buffer
  status: number
  body: Buffer
  closes: boolean
}

function plainResponse(random: Random, method: string): Response {
  const body = payload(random)
  const fields = ['X-Response: yes']
  if (random.chance(0.3)) fields.push('Set-Cookie: a=1', 'Set-Cookie: b=2')
  if (random.chance(0.2)) fields.push('Keep-Alive: timeout=9', 'Proxy-Connection: keep-alive')
  if (random.chance(0.2)) fields.push('Upgrade: websocket', 'Connection: upgrade')
  const bare = random.chance(0.15) ? random.pick(['204 No Content', '304 Not Modified']) : undefined
  const statusLine = bare ?? random.pick(STATUSES)
  const status = Number(statusLine.slice(0, 3))
  const framing = random.pick(['length', 'chunked', 'close'] as const)
  if (bare === undefined && framing === 'length') fields.push(`Content-Length: ${body.length}`)
  if (bare === undefined && framing === 'chunked') fields.push('Transfer-Encoding: chunked')
  const closes = (bare === undefined && framing === 'close') || random.chance(0.3)
  if (closes) fields.push('Connection: close')
  const head = latin1(`HTTP/1.1 ${statusLine}\r\n${fields.join('\r\n')}\r\n\r\n`)
  if (bare !== undefined || method === 'HEAD') return { bytes: head, status, body: Buffer.alloc(0), closes }
  const framed = framing === 'chunked' ? chunked(random, body) : body
  return { bytes: Buffer.concat([head, framed]), status, body, closes }
}

function chunked(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let from = 0; from < body.length; ) {
    const size = random.int(1, Math.min(body.length - from, 20_000))
    parts.push(latin1(`${size.toString(16)}\r\n`), body.subarray(from, from + size), latin1('\r\n'))
    from += size
  }
  parts.push(latin1('0\r\n\r\n'))
  return Buffer.concat(parts)
}

/** A valid upgrade that the backend refuses: the response arrives whole, and no early bytes of the client are forwarded. */
function refusedUpgrade(random: Random, index: number): Made {
  const request = upgradeRequest(random, index)
  const response = plainResponse(random, 'GET')
  const early = random.weighted([
    [3, Buffer.alloc(0)],
    [2, Buffer.concat([MARKER, payload(random)])],
    [2, latin1(`GET /secret HTTP/1.1\r\nHost: gateway.example\r\nX-Fuzz: ${index}\r\n\r\n`)],
  ])
  const client = [...fragments(random, Buffer.concat([latin1(serialise(request)), early])), until('message')]
  const late = random.chance(0.3)
  if (late) client.push(write(`GET /secret HTTP/1.1\r\nHost: gateway.example\r\nX-Fuzz: ${index}\r\n\r\n`), turn)
  client.push(fin, until('close'))
  return {
    kind: 'refused upgrade',
    route: request.route,
    client,
    backend: [...fragments(random, response.bytes), ...(response.closes ? [fin, until('close', 2_000)] : [])],
    hasty: false,
    method: 'GET',
    expect: { kind: 'response', statuses: [response.status], responseBody: response.body },
    responses: 1,
    requests: 1,
    bodiless: true,
  }
}

/** Plain HTTP through the same routes, with bodies in both directions. */
function plainHttp(random: Random, index: number): Made {
  const route = random.pick([...PLAIN_ROUTES, '/json'])
  const method = route === '/json' ? 'POST' : random.pick(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH'])
  const fields: [string, string][] = [
    ['Host', 'gateway.example'],
    ['X-Fuzz', String(index)],
  ]
  for (const extra of EXTRA_FIELDS) if (random.chance(0.12)) fields.push([...extra])
  let body = Buffer.alloc(0)
  let framed: Buffer = body
  if (route === '/json') {
    body = Buffer.from(JSON.stringify({ words: payload(random).toString('base64'), index }))
    framed = body
    fields.push(['Content-Type', 'application/json'], ['Content-Length', String(body.length)])
  } else if (!['GET', 'HEAD'].includes(method) && random.chance(0.8)) {
    body = Buffer.from(payload(random))
    const isChunked = random.chance(0.5)
    framed = isChunked ? chunked(random, body) : body
    fields.push(isChunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)])
  }
  const request = { method, target: `${route}/c${index}/x?y=1`, version: 'HTTP/1.1', fields }
  const response = plainResponse(random, method)
  return {
    kind: 'plain HTTP',
    route,
    client: [
      ...fragments(random, Buffer.concat([latin1(serialise(request)), framed])),
      until('message'),
      random.chance(0.8) ? fin : rst,
      until('close'),
    ],
    backend: [...fragments(random, response.bytes), ...(response.closes ? [fin, until('close', 2_000)] : [])],
    hasty: false,
    method,
    expect: { kind: 'response', statuses: [response.status], requestBody: body, responseBody: response.body },
    responses: 1,
    requests: 1,
    bodiless: false,
  }
}

interface Hostility {
  name: string
  steps: Step[]
  statuses: number[]
  /** Only on routes with a short handshakeTimeout. */
  slow?: boolean
}

/** Faults of a backend, instead of a valid response. */
function hostileBackend(random: Random, token: string, key: string): Hostility {
  const good = switchHead(random, token, key)
  const other = token.toLowerCase() === 'websocket' ? 'foo' : 'websocket'
  const ending = random.pick([fin, rst])
  const badSwitch = (name: string, head: string): Hostility => ({
    name,
    steps: [...fragments(random, latin1(head)), until('end', 3_000), rst],
    statuses: [502],
  })
  const broken = (name: string, head: string): Hostility => ({
    name,
    steps: [...fragments(random, latin1(head)), ...(random.chance(0.5) ? [until('end', 3_000)] : []), ending],
    statuses: [502],
  })
  const up = `Upgrade: ${token}\r\nConnection: Upgrade\r\n`
  const makers: (() => Hostility)[] = [
    () => badSwitch('101 with another token', good.replace(/upgrade: .*\r\n/i, `Upgrade: ${other}\r\n`)),
    () => badSwitch('101 without Upgrade', good.replace(/upgrade: .*\r\n/i, '')),
    () => badSwitch('101 without Connection', good.replace(/connection: .*\r\n/i, '')),
    () => badSwitch('HTTP/1.0 101', good.replace('HTTP/1.1', 'HTTP/1.0')),
    () => badSwitch('bare 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'),
    () => ({ name: 'FIN', steps: [fin, until('close', 3_000)], statuses: [502] }),
    () => ({ name: 'RST', steps: [rst], statuses: [502] }),
    () => ({
      name: 'half a 101',
      steps: [...fragments(random, latin1(good.slice(0, random.int(1, good.length - 3)))), ending],
      statuses: [502],
    }),
    () => broken('ssh banner', 'SSH-2.0-OpenSSH_9.9\r\n'),
    () => broken('odd bytes', `${random.bytes(random.int(1, 500)).toString('latin1').replace(/^H/, 'G')}\r\n\r\n`),
    () => broken('no HTTP version', '101 Switching Protocols\r\n\r\n'),
    () => broken('HTTP/9.9', `HTTP/9.9 101 Switching Protocols\r\n${up}\r\n`),
    () => broken('status of four digits', `HTTP/1.1 1010 Odd\r\n${up}\r\n`),
    () => broken('status of two digits', `HTTP/1.1 10 Odd\r\n${up}\r\n`),
    () => broken('NUL in a value', `HTTP/1.1 101 Switching Protocols\r\n${up}X-A: a\0b\r\n\r\n`),
    () => broken('space in a name', `HTTP/1.1 101 Switching Protocols\r\n${up}X A: b\r\n\r\n`),
    () => broken('no colon', `HTTP/1.1 101 Switching Protocols\r\n${up}nonsense\r\n\r\n`),
    () =>
      broken(
        'length and chunked',
        'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ),
    () => broken('two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'),
    () =>
      broken(
        'odd length',
        `HTTP/1.1 200 OK\r\nContent-Length: ${random.pick(['-1', '5x', '0x5', '5,6'])}\r\n\r\nhello`,
      ),
    () => broken('huge head', `HTTP/1.1 101 Switching Protocols\r\n${up}X-Big: ${'b'.repeat(70_000)}\r\n\r\n`),
    () => broken('endless head', `HTTP/1.1 101 Switching Protocols\r\n${'X-More: and more\r\n'.repeat(9_000)}`),
    () => broken('flood of interim responses', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(random.int(11, 60)) + good),
    () => ({
      name: 'silence',
      slow: true,
      steps: [until('end', 3_000), rst],
      statuses: [504],
    }),
    () => ({
      name: 'half a head, then silence',
      slow: true,
      steps: [write(good.slice(0, random.int(1, good.length - 3))), until('end', 3_000), rst],
      statuses: [504],
    }),
  ]
  return random.pick(makers)()
}

/** A valid upgrade to a backend that misbehaves: the client always gets a status line, with the right status. */
function hostileAnswer(random: Random, index: number): Made {
  const request = upgradeRequest(random, index)
  const atOnce = random.chance(0.12)
  let hostility: Hostility
  if (atOnce) {
    const [route, statuses] = random.pick([
      ['/resets', [502, 503]],
      ['/ends', [502]],
      ['/speaks', [502]],
      ['/refuses', [503]],
      ['/wss-resets', [502, 503]],
      ['/wss-ends', [502]],
      ['/wss-speaks', [502]],
      ['/wss-refuses', [503]],
    ] as const)
    hostility = { name: route, steps: [], statuses: [...statuses] }
    request.target = request.target.replace(request.route, route)
    request.fields = request.fields.map(([name, value]) => [name, name === 'Upgrade' ? 'websocket' : value])
  } else {
    hostility = hostileBackend(random, request.token, request.key)
    if (hostility.slow) {
      request.target = request.target.replace(request.route, '/slow')
      request.fields = request.fields.map(([name, value]) => [name, name === 'Upgrade' ? 'websocket' : value])
    }
  }
  const early = random.chance(0.4) ? Buffer.concat([MARKER, payload(random)]) : Buffer.alloc(0)
  return {
    kind: `hostile backend: ${hostility.name}`,
    route: hostility.slow ? '/slow' : request.route,
    client: [
      ...fragments(random, Buffer.concat([latin1(serialise(request)), early])),
      until('response'),
      ...(random.chance(0.5) ? [until('message', 500)] : []),
      random.chance(0.7) ? fin : rst,
      until('close'),
    ],
    backend: hostility.steps,
    hasty: false,
    method: 'GET',
    expect: { kind: 'response', statuses: hostility.statuses },
    responses: 1,
    requests: 1,
    bodiless: true,
  }
}

// biome-ignore format: a list of spellings reads better packed
const ODD_TARGETS = [
  '*', '/', '//', '/../own', '/ws/../secret', '/ws/%2e%2e/secret', '/ws/..%2fsecret', '/ws/..;/secret', '/ws//..//secret',
  '/ws/%00', '/ws/%zz', '/ws/%0d%0aX: 1', '/ws/a b', '/ws#frag', '/ws/\\..\\secret', '/%77s', '/ws/?', '/ws?%00', '?', '',
  'ws', 'http://other.example/ws', 'http://other.example:99999/ws', 'https://u:p@other.example/ws', 'other.example:80',
  '/rx/a/%0d%0aX:%201', '/rx/a/%20HTTP/1.1%0d%0aX:%201', '/rx/a/?', '/rx/a/%3fq', '/pattern/%2F', '/pattern/..', '/pattern/',
  '/own', '/secret', '/ws/%c3%28', '/ws/\xe9?\xe9', '/ws/%e0%a4%a', '/WS', '/wsx', '/ws;p', '/./ws', '/ws/.', '/ws/..', '/function/%41/..',
]

// biome-ignore format: as above
const ODD_FIELDS: readonly [string, string][] = [
  ['Upgrade', 'h2c'], ['Upgrade', 'websocket, h2c'], ['Upgrade', ',,'], ['Upgrade', ''], ['Upgrade', 'foo bar'],
  ['Connection', 'close'], ['Connection', 'keep-alive'], ['Connection', 'upgrade, host, x-forwarded-for, x-fuzz'],
  ['Connection', 'upgrade, sec-websocket-key, cookie, authorization'], ['Connection', ''], ['Connection', 'HTTP2-Settings'],
  ['HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA'], ['Expect', '100-continue'], ['Expect', 'nonsense'], ['TE', 'trailers'],
  ['Trailer', 'X-After'], ['Keep-Alive', 'timeout=1'], ['Proxy-Authorization', 'Basic eA=='], ['Proxy-Connection', 'upgrade'],
  ['X_Forwarded_For', '203.0.113.9'], ['Forwarded', 'for=203.0.113.9'], ['Via', '1.0 old'], ['Host', 'other.example'],
  ['Host', 'a b'], ['Host', ''], ['Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAA=='], ['Sec-WebSocket-Version', '1337'],
  ['X-Throw', '1'], ['toString', 'x'], ['hasOwnProperty', 'x'], ['X-Long', 'l'.repeat(9_000)], ['X-Longer', 'l'.repeat(40_000)],
  ['X-Bell', '\x07'], ['X-Nul', '\0'], ['X-Del', '\x7f'], ['X-High', '\xff\xfe'], ['X-Fold', 'a\r\n b'], ['X-Bare', 'a\rb'],
  ['X-Line', 'a\nb'], ['', 'no name'], ['X Space', '1'], ['X-Space ', '1'], ['X(y)', '1'],
]

// biome-ignore format: as above
const BODIES: readonly [string, string][] = [
  ['Content-Length', '0'], ['Content-Length', '7'], ['Content-Length', '+7'], ['Content-Length', '-1'], ['Content-Length', '7, 7'],
  ['Content-Length', '0x7'], ['Content-Length', '99999999999999999999'], ['Content-Length', '7_0'], ['Transfer-Encoding', 'chunked'],
  ['Transfer-Encoding', 'identity'], ['Transfer-Encoding', 'xchunked'], ['Transfer-Encoding', 'chunked, chunked'],
  ['Transfer-Encoding', '\x0bchunked'], ['Transfer-Encoding', '"chunked"'], ['Transfer-Encoding', 'gzip, chunked'],
]

/** A valid request after one to three mutations of its structure or its bytes. */
function mutated(
  random: Random,
  index: number,
): { head: Buffer; route: string; method: string; bodiless: boolean; token: string; key: string; names: string[] } {
  const request = upgradeRequest(random, index)
  const names: string[] = []
  let bodiless = true
  let eol = '\r\n'
  const at = (): number => random.int(0, request.fields.length)
  const structural: (() => string)[] = [
    () => {
      request.method = random.pick([
        'POST',
        'HEAD',
        'OPTIONS',
        'CONNECT',
        'TRACE',
        'PUT',
        'get',
        'FOO',
        'PRI',
        'M-SEARCH',
        '',
      ])
      return `method ${request.method}`
    },
    () => {
      request.target = random.chance(0.8)
        ? random.pick(ODD_TARGETS)
        : `/ws/${'a'.repeat(random.pick([8_150, 8_250, 20_000, 70_000]))}`
      return `target ${request.target.slice(0, 60)}`
    },
    () => {
      request.version = random.pick([
        'HTTP/1.0',
        'HTTP/0.9',
        'HTTP/2.0',
        'HTTP/1.2',
        'HTTP/1.1 ',
        'http/1.1',
        'XTTP/1.1',
        '',
      ])
      return `version ${request.version}`
    },
    () => `without ${request.fields.splice(random.int(0, request.fields.length - 1), 1)[0]?.[0]}`,
    () => {
      const field = random.pick(request.fields)
      request.fields.splice(at(), 0, [...(field ?? ['X', 'y'])])
      return `twice ${field?.[0]}`
    },
    () => {
      const field = random.pick(ODD_FIELDS)
      if (random.chance(0.5)) request.fields = request.fields.filter(([name]) => name !== field[0])
      request.fields.splice(at(), 0, [...field])
      return `with ${field[0]}: ${field[1].slice(0, 40)}`
    },
    () => {
      const field = random.pick(BODIES)
      bodiless = false
      request.fields.splice(at(), 0, [...field])
      return `with ${field[0]}: ${field[1]}`
    },
    () => {
      for (let i = random.pick([90, 150, 2_100]); i > 0; i--) request.fields.push([`X-${i}`, 'many'])
      return 'many fields'
    },
    () => {
      eol = random.pick(['\n', '\r', '\r\r\n', '\n\r'])
      return `line ends ${JSON.stringify(eol)}`
    },
  ]
  const bytewise: [string, (bytes: Buffer) => Buffer][] = [
    [
      'flipped byte',
      bytes => {
        bytes[random.int(0, bytes.length - 1)] = random.int(0, 255)
        return bytes
      },
    ],
    [
      'inserted byte',
      bytes => {
        const i = random.int(0, bytes.length)
        return Buffer.concat([
          bytes.subarray(0, i),
          Buffer.from([random.pick([0, 9, 10, 11, 13, 32, 58, 127, 255])]),
          bytes.subarray(i),
        ])
      },
    ],
    [
      'removed bytes',
      bytes => {
        const i = random.int(0, bytes.length - 1)
        return Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + random.int(1, 9))])
      },
    ],
    [
      'early blank line',
      bytes => {
        const i = random.int(0, bytes.length)
        return Buffer.concat([bytes.subarray(0, i), latin1('\r\n\r\n'), bytes.subarray(i)])
      },
    ],
    ['leading line ends', bytes => Buffer.concat([latin1(random.pick(['\r\n', '\n\n', ' \r\n'])), bytes])],
    ['truncated', bytes => bytes.subarray(0, random.int(0, bytes.length - 1))],
  ]
  for (let i = random.int(1, 3); i > 0; i--) names.push(random.pick(structural)())
  let head: Buffer = latin1(serialise(request, eol))
  if (random.chance(0.3)) {
    const [name, change] = random.pick(bytewise)
    head = change(head)
    names.push(name)
  }
  const { route, method, token, key } = request
  return { head, route, method, bodiless, token, key, names }
}

/** A mutated request, sometimes to a backend that misbehaves. */
function hostileClient(random: Random, index: number): Made {
  const request = mutated(random, index)
  const early = random.chance(0.6) ? Buffer.concat([MARKER, payload(random)]) : Buffer.alloc(0)
  const glue = random.chance(0.3) ? payload(random) : Buffer.alloc(0)
  const client = [
    ...fragments(random, Buffer.concat([request.head, early])),
    until('response', random.int(20, 250)),
    ...sends(random, payload(random)),
    ...(random.chance(0.5) ? [until('message', 50)] : []),
    random.chance(0.5) ? fin : rst,
    until('close', 3_000),
  ]
  const what = random.int(1, 4)
  let backend: Step[]
  let kind = 'valid 101'
  let hasty = false
  if (what <= 2) {
    backend = [
      { do: 'switched' },
      ...fragments(random, Buffer.concat([latin1(switchHead(random, request.token, request.key)), glue])),
      until('end', 2_000),
      fin,
    ]
  } else if (what === 3) {
    const response = plainResponse(random, request.method)
    backend = [...fragments(random, response.bytes), ...(response.closes ? [fin] : [])]
    kind = `response ${response.status}`
    hasty = random.chance(0.3)
  } else {
    const hostility = hostileBackend(random, request.token, request.key)
    backend = hostility.steps
    kind = hostility.name
    hasty = random.chance(0.3)
  }
  return {
    kind: `hostile client: ${request.names.join(', ')}; backend: ${kind}`,
    route: request.route,
    client,
    backend,
    hasty,
    method: request.method,
    expect: { kind: 'anything' },
    responses: 1,
    requests: 3,
    bodiless: request.bodiless,
  }
}

/** Several requests at once: the responses come in order, or not at all. */
function pipelined(random: Random, index: number): Made {
  const upgrade = upgradeRequest(random, index)
  const own = 'GET /own HTTP/1.1\r\nHost: gateway.example\r\n\r\n'
  const before = random.int(1, 4)
  const ways = Array.from({ length: before }, () => [200])
  const client = [
    ...fragments(random, latin1(own.repeat(before) + serialise(upgrade))),
    until('response'),
    { do: 'wait', ms: random.int(1, 30) } as const,
    ...(random.chance(0.7) ? [fin, until('close')] : [rst]),
  ]
  return {
    kind: `${before} requests, then an upgrade`,
    route: upgrade.route,
    client,
    backend: [
      { do: 'switched' },
      ...fragments(random, latin1(switchHead(random, upgrade.token, upgrade.key))),
      until('end', 3_000),
      fin,
      until('close', 3_000),
    ],
    hasty: false,
    method: 'GET',
    expect: { kind: 'responses', statuses: [...ways, [101, 400]] },
    responses: before + 1,
    requests: 1,
    bodiless: true,
  }
}

/** The case of this seed and index. It is always the same one. */
export function makeCase(seed: number, index: number): Case {
  const random = new Random(seed, index)
  const make = random.weighted([
    [30, validTunnel],
    [14, cutTunnel],
    [10, refusedUpgrade],
    [8, plainHttp],
    [18, hostileAnswer],
    [24, hostileClient],
    [4, pipelined],
  ] as const)
  return { index, ...make(random, index) }
}
