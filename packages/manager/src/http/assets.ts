import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

/** A file of the page. */
export interface Asset {
  readonly type: string
  readonly body: Buffer
}

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const JS = 'text/javascript; charset=utf-8'

const own = (path: string): Buffer => readFileSync(new URL(path, import.meta.url))
const ofUplot = (name: string): Buffer => readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`))

const SCRIPTS = [
  'api',
  'balancers',
  'charts',
  'checks',
  'clock',
  'confirm',
  'dom',
  'fleet',
  'format',
  'line',
  'main',
  'member-form',
  'member-row',
  'routes',
  'tunnel-row',
  'tunnels',
]

/** Reads the files of the page, by their path below the manager. Nothing else of the disk can be asked for. */
export function readAssets(): ReadonlyMap<string, Asset> {
  return new Map<string, Asset>([
    ['/', { type: HTML, body: own('../../assets/index.html') }],
    ['/page.css', { type: CSS, body: own('../../assets/page.css') }],
    ['/icon.svg', { type: 'image/svg+xml', body: own('../../assets/icon.svg') }],
    ['/uplot.css', { type: CSS, body: ofUplot('uPlot.min.css') }],
    ['/uplot.js', { type: JS, body: ofUplot('uPlot.esm.js') }],
    ...SCRIPTS.map((name): [string, Asset] => [`/${name}.js`, { type: JS, body: own(`../page/${name}.js`) }]),
  ])
}
