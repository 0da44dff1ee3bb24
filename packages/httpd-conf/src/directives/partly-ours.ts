import type { Directive } from '../syntax/parser.ts'
import { splitWords } from '../syntax/words.ts'
import { type Context, flag, type Handler, type Handlers } from './directive-kit.ts'
import { CERTIFICATES, FORWARDED } from './not-ours.ts'

/** Directives that are left out, unless their arguments protect something or change where requests go. */
export const PARTLY_OURS: Handlers = {
  setoutputfilter: filters,
  addoutputfilter: filters,
  addoutputfilterbytype: filters,
  filterprovider: filters,
  balancerinherit: leftOutIf(true, 'virtual hosts always have the balancers of the main server'),
  usecanonicalphysicalport: leftOutIf(false, 'the port of a request comes from its Host field'),
  '<mdomain': domains,
  '<mdomainset': domains,
}

function filters(directive: Directive, { report }: Context): void {
  const limit = splitWords(directive.args.replaceAll(';', ' ')).find(word => /^rate_limit$/i.test(word))
  if (limit === undefined) report.ignore(directive, FORWARDED)
  else report.refuse(directive, 'the rate of responses is not limited', { at: limit })
}

function leftOutIf(value: boolean, why: string): Handler {
  return flag((on, { report }, directive) => {
    if (on === value) report.ignore(directive, why)
    else report.refuse(directive, why)
  })
}

/** The directives in a section of mod_md, of which MDRequireHttps redirects requests. */
function domains(directive: Directive, context: Context): void {
  context.report.ignore(directive, CERTIFICATES)
  context.read(directive.children ?? [], context)
}
