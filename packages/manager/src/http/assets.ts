import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** A file of the page. */
export interface Asset {
  readonly type: string
  readonly body: Buffer
}

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const JS = 'text/javascript; charset=utf-8'

/**
 * Finds the folder of this package by its name, because a bundle of the app has the code of the package without its files.
 *
 * @throws {Error} if the package is not installed where the bundle is.
 */
function packageFile(): string {
  try {
    return createRequire(import.meta.url ?? __filename).resolve('@ws-tunnel/manager/package.json')
  } catch (cause) {
    throw new Error(
      'The manager does not find the files of its page. Install @ws-tunnel/manager where the bundle of the app is',
      { cause },
    )
  }
}

/** One for each verdict. */
const ICONS = ['icon-good.svg', 'icon-warn.svg', 'icon-bad.svg']

/** The files of lit-html that the page imports, and those that these import. */
const LIT_HTML = ['lit-html.js', 'directive.js', 'directive-helpers.js', 'directives/repeat.js']

/**
 * Reads the files of the page, by their path below the manager. No other file can be requested.
 *
 * Browsers load the scripts unchanged, as ES modules. Their imports are relative, so they need no bundler and no import
 * map.
 */
export function readAssets(): ReadonlyMap<string, Asset> {
  const asset = (type: string, ...path: string[]): Asset => ({ type, body: readFileSync(join(...path)) })
  const file = packageFile()
  const [pictures, pages] = [join(file, '../assets'), join(file, '../dist/page')]
  const { resolve } = createRequire(file)
  const uPlot = dirname(resolve('uplot/dist/uPlot.esm.js'))
  // Node resolves lit-html to its build for servers. The folder above has the build for browsers.
  const litHtml = join(dirname(resolve('lit-html')), '..')
  const scripts = readdirSync(pages).filter(name => name.endsWith('.js'))
  return new Map<string, Asset>([
    ['/', asset(HTML, pictures, 'index.html')],
    ['/page.css', asset(CSS, pictures, 'page.css')],
    ...ICONS.map((name): [string, Asset] => [`/${name}`, asset('image/svg+xml', pictures, name)]),
    ['/uplot.css', asset(CSS, uPlot, 'uPlot.min.css')],
    ['/uplot.js', asset(JS, uPlot, 'uPlot.esm.js')],
    ...LIT_HTML.map((name): [string, Asset] => [`/lit-html/${name}`, asset(JS, litHtml, name)]),
    ...scripts.map((name): [string, Asset] => [`/${name}`, asset(JS, pages, name)]),
  ])
}
