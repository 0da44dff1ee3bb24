import { now } from './clock.ts'
import { duration, plural, timeOfDay } from './format.ts'
import { html, nothing, type TemplateResult } from './lit-html/lit-html.js'
import { gradeOf, stateWords } from './member-state.ts'
import type { BalancerKey, MemberView, State } from './types.ts'

/** How things are. `warn` is what operators have set, `bad` is what broke. */
export type Grade = 'good' | 'warn' | 'bad'

/** The state of everything in one sentence, and what is wrong. */
export interface Verdict {
  readonly grade: Grade
  /** `4 of 5 members usable`. */
  readonly text: string
  readonly problems: readonly Problem[]
}

interface Problem extends BalancerKey {
  readonly member: MemberView
  readonly grade: Grade
}

/** The worst first: dead members, then those that operators have taken out. */
export function verdictOf({ proxies, fleet }: State): Verdict {
  const members = proxies.flatMap(({ name: proxy, balancers }) =>
    balancers.flatMap(({ name: balancer, members }) => members.map(member => ({ proxy, balancer, member }))),
  )
  const problems = members
    .filter(({ member }) => !member.usable)
    .map(problem => ({ ...problem, grade: gradeOf(problem.member) === 'dead' ? ('bad' as const) : ('warn' as const) }))
    .sort((a, b) => Number(b.grade === 'bad') - Number(a.grade === 'bad'))
  const usable = members.length - problems.length
  const empty = proxies.some(({ balancers }) => balancers.some(({ members }) => !members.some(({ usable }) => usable)))
  const isAway = fleet.store !== 'memory' && !fleet.connected
  const grade = problems[0]?.grade === 'bad' || empty ? 'bad' : problems.length > 0 || isAway ? 'warn' : 'good'
  const routes = proxies.reduce((sum, { routes }) => sum + routes.length, 0)
  const text =
    members.length === 0
      ? `${plural(routes, 'route')}, no balancer members`
      : usable === members.length
        ? members.length === 1
          ? 'The member is usable'
          : `All ${members.length} members usable`
        : `${usable} of ${plural(members.length, 'member')} usable`
  return { grade, text, problems }
}

/** The most problems that are listed. */
const MAX_LISTED = 6

/** The banner at the top of the page. */
export const verdictBanner = ({ grade, text, problems }: Verdict): TemplateResult => html`
  <section id="verdict" aria-labelledby="verdict-text" data-grade=${grade}>
    <h2 id="verdict-text">${text}</h2>
    ${
      problems.length === 0
        ? nothing
        : html`<ul>${problems.slice(0, MAX_LISTED).map(problemItem)}${
            problems.length > MAX_LISTED ? html`<li>and ${problems.length - MAX_LISTED} more</li>` : nothing
          }</ul>`
    }
  </section>`

function problemItem({ member, balancer, grade }: Problem): TemplateResult {
  const { id, url, status, changes } = member
  const words = stateWords(status).map(({ word }) => word)
  const since = changes.at(-1)?.time ?? now()
  return html`<li data-grade=${grade}><a href="#member-${id}">${url}</a> in ${balancer}: <strong>${words.join(
    ', ',
  )}</strong> since ${timeOfDay(since)} (${duration(now() - since)})</li>`
}
