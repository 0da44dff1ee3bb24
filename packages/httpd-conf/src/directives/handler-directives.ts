import { Words } from '../syntax/words.ts'
import type { Handlers } from './directive-kit.ts'

/** SetHandler. A standalone server serves the pages of mod_proxy_balancer and mod_status by its manager. */
export const HANDLER_DIRECTIVES: Handlers = {
  sethandler: (directive, { report, section, location }) => {
    const name = new Words(directive.args).next()
    const isPage = /^(?:balancer-manager|server-status)$/i.test(name)
    if (isPage && /^<location$/i.test(section) && location?.regex === undefined)
      report.ignore(directive, 'your app serves the manager, with @ws-tunnel/manager')
    else if (isPage)
      report.refuse(directive, `${name} is supported in a <Location> with a path`, {
        at: name,
        expected: '<Location "/path">',
      })
    else if (/^none$/i.test(name)) report.ignore(directive, 'it sets no handler')
    else report.refuse(directive, 'it changes where requests go, which is not supported', { at: name })
  },
}
