import type { Report } from '../diagnostics.ts'
import type { Directive } from '../syntax/parser.ts'
import { Words } from '../syntax/words.ts'

/** A `<Location>` with `SetHandler balancer-manager` or `SetHandler server-status`. */
export interface HandlerLocation {
  /** The path of the section, without a slash at its end. */
  readonly path: string
  readonly handler: 'balancer-manager' | 'server-status'
}

/** The pages of httpd that a standalone server can serve by its manager. */
export interface PageLocations {
  readonly handlers: readonly HandlerLocation[]
  /** Whether a `<Location>` around the path decides who may see it. */
  readonly isGuarded: (path: string) => boolean
}

const HANDLERS = /^(?:balancer-manager|server-status)$/i

const isLocation = ({ key }: Directive): boolean => key === '<location'

/** Whether the lines of a section refuse somebody. */
function refuses(children: readonly Directive[]): boolean {
  return children.some(({ key, args, children: inner }) => {
    if (key === 'require') return !/^all\s+granted$/i.test(args.trim())
    if (key === '<requireall' || key === '<requireany' || key === '<requirenone') return refuses(inner ?? [])
    return key === 'deny' || (key === 'allow' && !/^from\s+all$/i.test(args.trim()))
  })
}

/** The path of a literal section; `undefined` for a pattern. */
function pathOf({ args }: Directive): string | undefined {
  const path = new Words(args).next()
  return path === '~' || /[*?[]/.test(path) ? undefined : path.replace(/(?<=.)\/$/, '')
}

const covers = (outer: string, path: string): boolean => outer === '/' || path === outer || path.startsWith(`${outer}/`)

/** Whether SetHandler names a page that a standalone server serves in a guarded `<Location>`. */
export function isPageHandler(args: string): boolean {
  return HANDLERS.test(new Words(args).next())
}

/**
 * Reads the sections of a server that have a page of httpd. Such a page without access control is refused, because every
 * client could change balancers.
 */
export function compilePages(
  trees: readonly (readonly Directive[])[],
  report: Report,
  allowed: readonly string[] = [],
): PageLocations {
  const sections = trees.flat().filter(isLocation)
  // A line that the option `allow` leaves out protects nothing.
  const isOpen = allowed.some(name => /^(?:<?require|allow$|deny$|order$|auth)/i.test(name))
  const handlers = new Map<string, HandlerLocation>()
  for (const section of sections) {
    const path = pathOf(section)
    const line = section.children?.findLast(({ key }) => key === 'sethandler')
    if (path === undefined || line === undefined || !isPageHandler(line.args)) continue
    if (isOpen || !refuses(section.children ?? [])) {
      report.refuse(line, 'every client could see and change the balancers', {
        expected: `Require, such as "Require local", in the same <Location>`,
      })
      continue
    }
    const handler = new Words(line.args).next().toLowerCase() as HandlerLocation['handler']
    handlers.set(path, { path, handler })
  }
  const guarded = isOpen ? [] : sections.filter(({ children = [] }) => refuses(children)).map(pathOf)
  return {
    handlers: [...handlers.values()],
    isGuarded: path => guarded.some(outer => outer !== undefined && covers(outer, path)),
  }
}
