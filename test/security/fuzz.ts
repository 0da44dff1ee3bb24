import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { server as certificate } from '../support/tls.ts'
import { type Case, MARKER, makeCase, type Step } from './fuzz-cases.ts'
import type { BackendPorts, Command, Report } from './fuzz-gateway.ts'
import { readBody, readHead, readResponses, Side, valuesOf, type WireHead } from './fuzz-wire.ts'

export interface FuzzOptions {
  cases: number
  seed: number
  /** Runs only this case, and prints all of it. */
  only?: number
  /** The number of cases that run at the same time. */
  concurrency?: number
  log?: (line: string) => void
}

export interface FuzzResult {
  seed: number
  cases: number
  /** Violations, with the case in which each was seen; -1 is the whole run. */
  violations: { index: number; kind: string; what: string }[]
  /** The number of final responses to clients, by status. */
  statuses: Map<number, number>
  probes: number
  /** Open descriptors of the gateway before and after; `undefined` if there is no /proc. */
  descriptors: [before: number, after: number] | undefined
  milliseconds: number
}

/** A case that runs. */
interface Run {
  readonly plan: Case
  readonly client: Side
  readonly backends: BackendSide[]
  heads: number
  requestBody: Buffer | undefined
  readonly faults: string[]
}

const PROBE_EVERY = 500
const ENOUGH_VIOLATIONS = 20

/** First path segments that a backend may get: those of the targets. */
const TARGETS = [
  'ws',
  'rx',
  'pattern',
  'http',
  'nofb',
  'any',
  'none',
  'list',
  'strict',
  'json',
  'async',
  'function',
  'slow',
  'mounted',
  'wss',
]

/** The faults of a head that reached a backend. Each head must be valid, whatever the client sent. */
export function faultsOfHead(head: WireHead): string[] {
  const faults: string[] = []
  const line = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/[\x21-\x7e\x80-\xff]*) HTTP\/1\.1$/.exec(head.startLine)
  if (line === null) return [`request line ${JSON.stringify(head.startLine.slice(0, 200))}`]
  for (const [name, value] of head.fields) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) faults.push(`field name ${JSON.stringify(name)}`)
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) faults.push(`value of ${name}: ${JSON.stringify(value)}`)
  }
  const path = (line[2] as string).split('?')[0] as string
  const segments = path.split('/')
  if (!TARGETS.includes(segments[1] as string)) faults.push(`target outside every route: ${path.slice(0, 200)}`)
  if (segments.includes('..') || segments.includes('.')) faults.push(`dot segments: ${path.slice(0, 200)}`)
  if (/%2f|%00|#/i.test(path)) faults.push(`encoded slash, NUL or fragment: ${path.slice(0, 200)}`)
  const has = (name: string): string[] => valuesOf(head, name)
  if (has('host').length !== 1) faults.push(`${has('host').length} Host fields`)
  if (has('content-length').length + has('transfer-encoding').length > 1) faults.push('more than one framing')
  const upgrades = has('upgrade')
  const connection = has('connection').join(',').toLowerCase()
  if (upgrades.length > 1 || upgrades.some(token => token.includes(','))) faults.push(`Upgrade: ${upgrades.join(', ')}`)
  if (upgrades.some(token => /^h2c$/i.test(token)) || has('http2-settings').length > 0) faults.push('h2c was forwarded')
  if (upgrades.length > 0 !== /\bupgrade\b/.test(connection))
    faults.push(`Upgrade ${upgrades} and Connection ${connection}`)
  for (const name of ['keep-alive', 'proxy-connection', 'te', 'trailer', 'x_forwarded_for', 'expect']) {
    if (has(name).length > 0) faults.push(`${name} was forwarded`)
  }
  return faults
}

/** One connection of the gateway to a backend: reads requests and runs the script of the case that each names. */
class BackendSide extends Side {
  /** Between two requests, as a connection in a pool. */
  idle = true
  /** The offset of the client's bytes, once the script has sent a 101. */
  tunnelFrom = -1
  #at = 0
  #head: WireHead | undefined
  #busy = false
  #responded = false
  #run: Run | undefined
  readonly #find: (index: number) => Run | undefined

  constructor(socket: Socket, find: (index: number) => Run | undefined, carrier?: Socket) {
    super(socket, carrier)
    this.#find = find
    socket.on('data', () => this.#read())
    // If the gateway ends the connection while no script runs, the backend ends it at once.
    socket.on('end', () => {
      if (!this.#busy) socket.end()
    })
  }

  get tunnelled(): Buffer {
    return this.tunnelFrom === -1 ? Buffer.alloc(0) : this.bytes.subarray(this.tunnelFrom)
  }

  #read(): void {
    if (this.tunnelFrom !== -1) return
    const rest = this.bytes.subarray(this.#at)
    if (rest.length > 0) this.idle = false
    if (this.#run?.plan.bodiless && rest.includes(MARKER))
      this.#run.faults.push('early bytes reached a backend that had not switched')
    if (this.#busy) return
    if (this.#head === undefined) {
      this.#head = readHead(this.bytes, this.#at)
      if (this.#head === undefined) return
      this.#begin(this.#head)
    }
    const head = this.#head
    const body = readBody(this.bytes, head, false, this.ended)
    const complete = body === undefined || body.complete
    if (!this.#responded) {
      if (!complete && !this.#run?.plan.hasty) return
      if (this.#run !== undefined && body?.complete) this.#run.requestBody = body.body
      this.#busy = true
      void this.#respond(head, body?.end ?? this.bytes.length)
    } else if (complete) {
      // The rest of a body that arrives after an early response is not the next request.
      this.#at = body?.end ?? this.bytes.length
      this.#responded = false
      this.#head = undefined
      this.#run = undefined
      this.idle = this.#at === this.bytes.length
      if (!this.idle) this.#read()
    }
  }

  #begin(head: WireHead): void {
    const named = valuesOf(head, 'x-fuzz')[0] ?? /\/c(\d+)\b/.exec(head.startLine)?.[1]
    this.#run = named === undefined || named === 'probe' ? undefined : this.#find(Number.parseInt(named, 10))
    const run = this.#run
    if (run === undefined) return
    if (!run.backends.includes(this)) run.backends.push(this)
    run.heads++
    if (run.heads > run.plan.requests) run.faults.push(`${run.heads} heads reached the backend: ${head.startLine}`)
    run.faults.push(...faultsOfHead(head))
  }

  async #respond(head: WireHead, bodyEnd: number): Promise<void> {
    const steps = this.#run?.plan.backend ?? respondToStranger(head)
    const probe = this.#run === undefined && valuesOf(head, 'upgrade').length > 0
    await this.play(steps, {
      end: () => this.ended,
      close: () => false,
      switched: () => {
        this.tunnelFrom = bodyEnd
        return true
      },
    })
    if (probe) {
      this.socket.on('data', chunk => this.socket.write(chunk))
      this.socket.on('end', () => this.socket.end())
    }
    this.#busy = false
    this.socket.resume()
    if (this.tunnelFrom !== -1) return
    if (this.ended) this.socket.end()
    this.#responded = true
    this.#read()
  }
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** The response to a probe, and to the late request of a case that has ended. */
function respondToStranger(head: WireHead): Step[] {
  const upgrade = valuesOf(head, 'upgrade')[0]
  if (valuesOf(head, 'x-fuzz')[0] !== 'probe' || upgrade === undefined) {
    return [
      { do: 'write', bytes: latin1('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n') },
      { do: 'fin' },
    ]
  }
  const response = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${upgrade}\r\nConnection: Upgrade\r\n\r\n`
  return [{ do: 'switched' }, { do: 'write', bytes: latin1(response) }]
}

const listening = async (accept: (socket: Socket) => void): Promise<Server> => {
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {})
    accept(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve)
  })
  return server
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

async function poll(holds: () => boolean, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  while (!holds()) {
    if (performance.now() > deadline) return false
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return true
}

/** One gateway in a separate process, the backends, and the cases that run against both. */
class Fuzz {
  readonly #options: FuzzOptions
  readonly #log: (line: string) => void
  readonly #runs = new Map<number, Run>()
  readonly #backends = new Set<BackendSide>()
  readonly #servers: Server[] = []
  readonly #statuses = new Map<number, number>()
  readonly #violations: FuzzResult['violations'] = []
  #gateway!: ChildProcess
  #port = 0
  #probes = 0
  #reports: ((report: Report) => void)[] = []
  #dead = false

  constructor(options: FuzzOptions) {
    this.#options = options
    this.#log = options.log ?? (() => {})
  }

  async run(): Promise<FuzzResult> {
    const began = performance.now()
    const { cases, seed, only, concurrency = 50 } = this.#options
    await this.#start()
    for (let i = 0; i < 5; i++) await this.#probe(-1)
    await this.#quiet()
    const before = this.#descriptors()

    let next = only ?? 0
    const last = only ?? cases - 1
    let reportedAt = performance.now()
    const lane = async (): Promise<void> => {
      while (next <= last && !this.#dead && this.#violations.length < ENOUGH_VIOLATIONS) {
        const index = next++
        await this.#case(makeCase(seed, index))
        if (index % PROBE_EVERY === PROBE_EVERY - 1) await this.#probe(index)
        if (performance.now() - reportedAt > 5_000) {
          reportedAt = performance.now()
          this.#log(`seed ${seed}: ${next} of ${cases} cases, ${this.#violations.length} violations`)
        }
      }
    }
    await Promise.all(Array.from({ length: only === undefined ? concurrency : 1 }, lane))

    let after = before
    if (!this.#dead) {
      await this.#probe(-1)
      if (!(await this.#quiet()))
        this.#violation(-1, 'run', 'the gateway keeps backend connections of clients that are gone')
      if (before !== undefined) {
        await poll(() => (this.#descriptors() ?? 0) <= before, 10_000)
        after = this.#descriptors() as number
        if (after > before) this.#violation(-1, 'run', `${after} open descriptors, ${before} before`)
      }
      await this.#stop()
    }
    for (const server of this.#servers) server.close()
    return {
      seed,
      cases: only === undefined ? Math.min(next, cases) : 1,
      violations: this.#violations,
      statuses: this.#statuses,
      probes: this.#probes,
      descriptors: before === undefined ? undefined : [before, after as number],
      milliseconds: performance.now() - began,
    }
  }

  #violation(index: number, kind: string, what: string): void {
    this.#violations.push({ index, kind, what })
    this.#log(`VIOLATION, case ${index} (${kind}): ${what}`)
    if (index >= 0) this.#log(`  replay: node test/security/fuzz.ts --seed ${this.#options.seed} --only ${index}`)
  }

  async #start(): Promise<void> {
    const accept = (socket: Socket, carrier?: Socket): void => {
      const side = new BackendSide(socket, index => this.#runs.get(index), carrier)
      this.#backends.add(side)
      socket.on('close', () => this.#backends.delete(side))
    }
    const scripted = await listening(accept)
    const secureContext = createSecureContext(certificate)
    const encrypted = await listening(carrier =>
      accept(new TLSSocket(carrier, { isServer: true, secureContext }), carrier),
    )
    const resets = await listening(socket => socket.resetAndDestroy())
    const ends = await listening(socket => socket.end())
    const speaks = await listening(socket => {
      socket.write('220 mail.example ESMTP\r\n')
      socket.on('end', () => socket.end())
      socket.resume()
    })
    const refuses = await listening(() => {})
    this.#servers.push(scripted, encrypted, resets, ends, speaks)
    const ports: BackendPorts = {
      scripted: portOf(scripted),
      encrypted: portOf(encrypted),
      resets: portOf(resets),
      ends: portOf(ends),
      speaks: portOf(speaks),
      refuses: portOf(refuses),
    }
    await new Promise(resolve => refuses.close(resolve))

    this.#gateway = fork(new URL('./fuzz-gateway.ts', import.meta.url), {
      env: { ...process.env, NODE_ENV: 'test' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#gateway.on('message', (report: Report) => {
      if ('fault' in report) {
        const flying = [...this.#runs.keys()].join(' ')
        this.#violation(-1, 'gateway', `${report.fault}: ${report.stack}\n  cases in flight: ${flying}`)
      } else for (const resolve of this.#reports.splice(0)) resolve(report)
    })
    const gone = new Promise<never>((_, reject) => {
      this.#gateway.once('exit', (code, signal) => {
        this.#dead = true
        reject(new Error(`the gateway exited with ${code ?? signal}`))
      })
    })
    gone.catch(error => {
      if (this.#gateway.connected || this.#runs.size > 0) {
        this.#violation(-1, 'gateway', `${error.message}; cases in flight: ${[...this.#runs.keys()].join(' ')}`)
      }
    })
    this.#tell({ start: ports })
    const report = await Promise.race([this.#report(), gone])
    if ('port' in report) this.#port = report.port
  }

  #tell(command: Command): void {
    this.#gateway.send(command)
  }

  #report(): Promise<Report> {
    return new Promise(resolve => this.#reports.push(resolve))
  }

  /** Every open descriptor of the gateway, if the system lists them. */
  #descriptors(): number | undefined {
    const list = `/proc/${this.#gateway.pid}/fd`
    return existsSync(list) ? readdirSync(list).length : undefined
  }

  /** Waits until the gateway has no backend connections except pooled ones, and ends those. */
  async #quiet(): Promise<boolean> {
    const reached = await poll(() => [...this.#backends].every(side => side.idle), 10_000)
    if (!reached) {
      for (const side of this.#backends) {
        if (!side.idle) this.#log(`  still open: ${JSON.stringify(side.bytes.subarray(0, 120).toString('latin1'))}`)
      }
    }
    for (const side of this.#backends) side.socket.end()
    return (await poll(() => this.#backends.size === 0, 5_000)) && reached
  }

  async #stop(): Promise<void> {
    this.#tell({ report: true })
    const report = await this.#report()
    if ('opened' in report) {
      if (report.open !== 0) this.#violation(-1, 'run', `${report.open} tunnels still open`)
      if (report.opened !== report.closed)
        this.#violation(-1, 'run', `${report.opened} opened, ${report.closed} closed`)
      if (report.timers > 2) this.#violation(-1, 'run', `${report.timers} timers left`)
    }
    // Once everything is closed, nothing may keep the process alive.
    this.#tell({ stop: true })
    if (!(await poll(() => this.#dead, 10_000))) {
      this.#violation(-1, 'run', 'the gateway does not exit after everything is closed')
      this.#gateway.kill('SIGKILL')
    } else if (this.#gateway.exitCode !== 0) {
      this.#violation(-1, 'run', `the gateway exited with ${this.#gateway.exitCode ?? this.#gateway.signalCode}`)
    }
  }

  /** A correct tunnel and a plain request, as an uninvolved client sends them. */
  async #probe(index: number): Promise<void> {
    const head =
      'GET /ws/probe HTTP/1.1\r\nHost: gateway.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Fuzz: probe\r\n\r\n'
    const tunnel = this.#connect()
    tunnel.socket.write(`${head}to the backend and back`)
    const echoed = await tunnel.until(() => tunnel.bytes.includes('to the backend and back'), 10_000)
    tunnel.socket.end()
    const ended = await tunnel.until(() => tunnel.closed, 10_000)
    const plain = this.#connect()
    plain.socket.end('GET /own HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n')
    await plain.until(() => plain.closed, 10_000)
    this.#probes++
    if (!echoed || !/^HTTP\/1\.1 101 /.test(tunnel.bytes.toString('latin1')) || !tunnel.bytes.includes('and back')) {
      this.#violation(index, 'probe', `no echo: ${JSON.stringify(tunnel.bytes.toString('latin1'))}`)
    } else if (!ended) this.#violation(index, 'probe', 'the tunnel did not end after its FIN')
    if (!/^HTTP\/1\.1 200 .*own$/s.test(plain.bytes.toString('latin1'))) {
      this.#violation(index, 'probe', `plain request: ${JSON.stringify(plain.bytes.toString('latin1'))}`)
    }
    tunnel.socket.destroy()
    plain.socket.destroy()
  }

  #connect(): Side {
    return new Side(connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true }))
  }

  async #case(plan: Case): Promise<void> {
    const client = this.#connect()
    const run: Run = { plan, client, backends: [], heads: 0, requestBody: undefined, faults: [] }
    this.#runs.set(plan.index, run)
    const finals = (): ReturnType<typeof readResponses> => readResponses(client.bytes, plan.method, client.ended)
    await client.play(plan.client, {
      response: () => finals().responses.length >= plan.responses,
      message: () => finals().responses[0]?.complete === true,
      end: () => client.ended,
      close: () => false,
    })
    client.socket.resume()
    if (!client.closed) client.reset()
    await client.until(() => client.closed, 5_000)
    const released = await poll(() => run.backends.every(side => side.closed || side.idle), 8_000)
    if (!released) run.faults.push('the backend connection outlives its client')
    this.#runs.delete(plan.index)
    this.#judge(run)
    if (this.#options.only !== undefined) this.#tellAll(run)
  }

  #judge(run: Run): void {
    const { plan, client, backends, faults } = run
    const { expect } = plan
    const { responses, fault } = readResponses(client.bytes, plan.method, client.ended)
    for (const { status } of responses) this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
    // After a response to bytes that are not HTTP/1.1, the client may read the framing wrongly.
    if (fault !== undefined && expect.kind !== 'anything') faults.push(`the client got ${fault}`)
    if (fault !== undefined && responses.length === 0) faults.push(`the client's first bytes: ${fault}`)
    if (client.stalled !== undefined) faults.push(`client stalled: ${client.stalled}`)
    for (const side of backends) if (side.stalled !== undefined) faults.push(`backend stalled: ${side.stalled}`)

    const response = responses[0]
    const switched = responses.find(({ status }) => status === 101)
    if (switched !== undefined) {
      const [upgrades, connection] = [valuesOf(switched, 'upgrade'), valuesOf(switched, 'connection')]
      if (upgrades.length !== 1 || !/^upgrade$/i.test(connection.join())) {
        faults.push(`101 with Upgrade ${upgrades.join()} and Connection ${connection.join()}`)
      }
      if (valuesOf(switched, 'content-length').length + valuesOf(switched, 'transfer-encoding').length > 0) {
        faults.push('101 with a framing')
      }
    }
    if (expect.kind === 'tunnel') this.#judgeTunnel(run, expect, switched?.body)
    else if (expect.kind === 'response') {
      if (response === undefined) faults.push(`no response, expected ${expect.statuses.join(' or ')}`)
      else if (!expect.statuses.includes(response.status)) {
        faults.push(
          `${response.status}, expected ${expect.statuses.join(' or ')}: ${response.body.toString('latin1').slice(0, 200)}`,
        )
      } else if (expect.responseBody !== undefined && !response.body.equals(expect.responseBody)) {
        faults.push(`a response body of ${response.body.length} bytes, ${expect.responseBody.length} sent`)
      }
      if (expect.requestBody !== undefined && !run.requestBody?.equals(expect.requestBody)) {
        faults.push(`a request body of ${run.requestBody?.length} bytes, ${expect.requestBody.length} sent`)
      }
    } else if (expect.kind === 'responses' && client.error === undefined && plan.client.at(-1)?.do !== 'rst') {
      const seen = responses.map(({ status }) => status)
      if (seen.length !== expect.statuses.length || !seen.every((status, i) => expect.statuses[i]?.includes(status))) {
        faults.push(`responses ${seen.join()}, expected ${expect.statuses.map(list => list.join('|')).join()}`)
      }
    }
    for (const what of new Set(faults)) this.#violation(plan.index, plan.kind, what)
  }

  #judgeTunnel(run: Run, expect: Extract<Case['expect'], { kind: 'tunnel' }>, received: Buffer | undefined): void {
    const { faults, backends } = run
    const arrived = backends.find(side => side.tunnelFrom !== -1)?.tunnelled ?? Buffer.alloc(0)
    const compare = (what: string, got: Buffer, sent: Buffer): void => {
      const right = expect.whole ? got.equals(sent) : got.equals(sent.subarray(0, got.length))
      if (!right)
        faults.push(`${what}: ${got.length} bytes arrived${expect.whole ? '' : ' and differ'}, ${sent.length} sent`)
    }
    if (received === undefined) {
      if (expect.whole) faults.push('no 101')
      return
    }
    compare('client to backend', arrived, expect.fromClient)
    compare('backend to client', received, expect.fromBackend)
  }

  #tellAll({ plan, client, backends }: Run): void {
    const shown = (bytes: Buffer): string => JSON.stringify(bytes.subarray(0, 1_500).toString('latin1'))
    const script = (steps: Step[]): string =>
      steps
        .map(
          step =>
            `    ${JSON.stringify(step, (_, value) => (value?.type === 'Buffer' ? shown(Buffer.from(value.data)) : value))}`,
        )
        .join('\n')
    this.#log(`case ${plan.index}: ${plan.kind}, route ${plan.route}`)
    this.#log(`  expected: ${plan.expect.kind} ${'statuses' in plan.expect ? plan.expect.statuses.join() : ''}`)
    this.#log(`  client plays:\n${script(plan.client)}`)
    this.#log(`  backend plays:\n${script(plan.backend)}`)
    this.#log(
      `  client got ${client.bytes.length} bytes: ${shown(client.bytes)}${client.error ? `, ${client.error.message}` : ''}`,
    )
    for (const side of backends) this.#log(`  backend got ${side.bytes.length} bytes: ${shown(side.bytes)}`)
  }
}

/** Runs `cases` cases of a seed against a new gateway. An empty list of violations is a pass. */
export function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  return new Fuzz(options).run()
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      only: { type: 'string' },
      concurrency: { type: 'string', default: '50' },
    },
  })
  const [cases, first, seeds] = [Number(values.cases), Number(values.seed), Number(values.seeds)]
  const only = values.only === undefined ? undefined : Number(values.only)
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await fuzz({
      cases: Math.ceil(cases / seeds),
      seed,
      only,
      concurrency: Number(values.concurrency),
      log: line => console.log(line),
    })
    const statuses = [...result.statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
    const seconds = result.milliseconds / 1_000
    console.log(
      `seed ${seed}: ${result.cases} cases in ${seconds.toFixed(1)} s (${Math.round(result.cases / seconds)}/s), ` +
        `${result.violations.length} violations, ${result.probes} probes, ` +
        `descriptors ${result.descriptors?.join(' -> ') ?? 'unknown'}; responses ${statuses.join(', ')}`,
    )
    if (result.violations.length > 0) process.exitCode = 1
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
