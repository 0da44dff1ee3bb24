import { once } from 'node:events'
import { Agent, createServer, type IncomingHttpHeaders, request } from 'node:http'
import type { TestContext } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { managerPage, type State } from '@ws-tunnel/manager'
import { openTunnel, type RawClient } from '../support/client.ts'
import { appOf, closeAfter, listen } from '../support/server.ts'
import { startApache } from './apache.ts'

/** What balancer-manager shows of a member, by httpd's names. */
export interface Shown {
  readonly url: string
  /** Such as `Init Drn Ok`. */
  readonly status: string
  readonly route: string
  readonly redirect: string
  readonly factor: number
  readonly set: number
  readonly elected: number
  readonly busy: number
  readonly load: number
}

/** A change of a member while it serves: letters with their signs, and the other fields of the form. */
export interface Edit {
  readonly status?: string
  readonly factor?: number
  readonly set?: number
  readonly route?: string
  readonly redirect?: string
}

/** A gateway with its manager. */
export interface Side {
  send(path: string, headers?: Record<string, string>, agent?: Agent): Promise<HttpResponse>
  openTunnel(path: string): Promise<RawClient>
  /** The members of each balancer, in order. */
  shown(): Promise<Map<string, Shown[]>>
  edit(balancer: string, url: string, edit: Edit): Promise<void>
}

export interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function send(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  { agent, body }: { agent?: Agent | undefined; body?: string } = {},
): Promise<HttpResponse> {
  const method = body === undefined ? 'GET' : 'POST'
  const sent = request({ port, path, method, headers, agent: agent ?? new Agent() }).end(body)
  const [res] = await once(sent, 'response')
  let text = ''
  for await (const chunk of res) text += chunk
  return { status: res.statusCode, headers: res.headers, body: text }
}

const PAGE = '/balancer-manager'

/** httpd's words for the letters, in its order. httpd: `proxy_wstat_tbl`. */
const WORDS = { I: 'Ign', N: 'Drn', D: 'Dis', S: 'Stop', E: 'Err', H: 'Stby', R: 'Spar', C: 'HcFl' }

/** The letters as balancer-manager writes them. httpd: `ap_proxy_parse_wstatus`. */
export function wordsOf(letters: string): string {
  const words = Object.entries(WORDS).flatMap(([letter, word]) => (letters.includes(letter) ? [word] : []))
  return ['Init', ...words, ...(/[DSEC]/.test(letters) ? [] : ['Ok'])].join(' ')
}

/** Starts an httpd with a virtual host and a balancer-manager for each configuration. */
export async function startTheirs(t: TestContext, confs: readonly string[]): Promise<Side[]> {
  const manager = `<Location ${PAGE}>\nSetHandler balancer-manager\n</Location>\nProxyPass ${PAGE} !`
  const apache = await startApache(new Map(confs.map((conf, i) => [`h${i}.test`, `${manager}\n${conf}`])))
  t.after(() => apache.close())
  return confs.map((_, i) => theirSide(apache.port, `h${i}.test`))
}

function theirSide(port: number, host: string): Side {
  const headers = { host, referer: `http://${host}${PAGE}`, connection: 'close' }
  const page = async (query: string): Promise<string> => (await send(port, PAGE + query, headers)).body
  return {
    send: (path, more, agent) => send(port, path, { host, ...more }, { agent }),
    openTunnel: async path => (await openTunnel(port, path, { headers: { Host: host } })).client,
    async shown() {
      const balancers = await page('?xml=1')
      return new Map(
        [...balancers.matchAll(/<httpd:balancer>(.*?)<\/httpd:balancer>/gs)].map(([, text = '']) => [
          element(text, 'name').replace('balancer://', ''),
          [...text.matchAll(/<httpd:worker>(.*?)<\/httpd:worker>/gs)].map(([, worker = '']) => shownWorker(worker)),
        ]),
      )
    },
    async edit(balancer, url, { status = '', factor, set, route, redirect }) {
      const nonce = new RegExp(`b=${balancer}&amp;w=[^"]*&amp;nonce=([^"]+)"`).exec(await page(''))?.[1] ?? ''
      const form = new URLSearchParams({ b: balancer, w: url, nonce })
      for (const [, sign, letter] of status.matchAll(/([-+])(\w)/g))
        form.set(`w_status_${letter}`, sign === '+' ? '1' : '0')
      const others = { w_lf: factor, w_ls: set, w_wr: route, w_rr: redirect }
      for (const [name, value] of Object.entries(others)) if (value !== undefined) form.set(name, String(value))
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      await send(port, PAGE, { ...headers, ...type }, { body: String(form) })
    },
  }
}

const element = (xml: string, name: string): string =>
  new RegExp(`<httpd:${name}>([^<]*)</httpd:${name}>`).exec(xml)?.[1]?.trim() ?? ''

function shownWorker(xml: string): Shown {
  const number = (name: string): number => Number(element(xml, name))
  return {
    url: element(xml, 'name'),
    status: element(xml, 'status').replaceAll(/\s+/g, ' '),
    route: element(xml, 'route'),
    redirect: element(xml, 'redirect'),
    factor: number('loadfactor'),
    set: number('lbset'),
    elected: number('elected'),
    busy: number('busy'),
    load: number('lbstatus'),
  }
}

/** Starts a gateway with the same configuration, compiled, and the JSON API of our manager. */
export async function startOurs(t: TestContext, conf: string): Promise<Side> {
  const proxy = createTunnelProxy(fromHttpdConf({ text: conf }))
  const manager = managerPage(proxy, { unsafeOpen: true, path: PAGE })
  const app = appOf(proxy)
  const server = createServer((req, res) => manager(req, res, () => app(req, res)))
  closeAfter(t, server)
  t.after(async () => {
    manager.close()
    await proxy.close({ drainTimeout: 0 })
  })
  const port = await listen(server)
  const json = async <T>(path: string): Promise<T> =>
    JSON.parse((await send(port, `${PAGE}/api/${path}`, { connection: 'close' })).body)
  return {
    send: (path, headers, agent) => send(port, path, headers, { agent }),
    openTunnel: async path => (await openTunnel(port, path)).client,
    async shown() {
      const [main] = (await json<State>('state')).proxies
      return new Map(
        main?.balancers.map(({ name, members }) => [
          name,
          members.map(({ url, status, routeId, redirect, loadFactor, lbSet, selected, busy, load }) => {
            const common = { url: url.replace(/\/$/, ''), status: wordsOf(status), route: routeId, redirect }
            return { ...common, factor: loadFactor, set: lbSet, elected: selected, busy, load }
          }),
        ]),
      )
    },
    async edit(balancer, url, { status, factor: loadFactor, set: lbSet, route: routeId, redirect }) {
      const { token } = await json<{ token: string }>('token')
      const settings = { status, loadFactor, lbSet, routeId, redirect }
      const headers = {
        connection: 'close',
        'content-type': 'application/json',
        'sec-fetch-site': 'same-origin',
        'x-ws-tunnel-token': token,
      }
      const body = JSON.stringify({ proxy: 'main', balancer, member: url, settings })
      const response = await send(port, `${PAGE}/api/set-member`, headers, { body })
      if (response.status !== 200) throw new Error(response.body)
    },
  }
}
