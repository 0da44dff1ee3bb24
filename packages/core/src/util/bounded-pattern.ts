import { WsTunnelError, type WsTunnelErrorCode } from '../errors.ts'
import { patternDegree } from './pattern-degree.ts'

/** The longest text for a pattern that is not known to take linear time, in characters. */
const MAX_LENGTH = 2_048

const MAX_KNOWN = 1_000

/** Whether each pattern takes linear time. */
const known = new Map<string, boolean>()

/**
 * A copy of the pattern without the flags `g` and `y`: with them, `exec` starts where the last match ended. A pattern that
 * is not known to take linear time throws for a text of more than 2048 characters.
 *
 * @param code of the error, depending on what is matched.
 */
export function boundedPattern(pattern: RegExp, code: WsTunnelErrorCode = 'WST_ERR_FIELD_TOO_LONG'): RegExp {
  const { source } = pattern
  const flags = pattern.flags.replace(/[gy]/g, '')
  const key = `${flags} ${source}`
  let isLinear = known.get(key)
  if (isLinear === undefined) {
    const degree = patternDegree(source, flags)
    isLinear = degree !== undefined && degree <= 1
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(key, isLinear)
  }
  return isLinear ? new RegExp(source, flags) : new BoundedRegExp(source, flags, code)
}

class BoundedRegExp extends RegExp {
  readonly #code: WsTunnelErrorCode

  constructor(source: string, flags: string, code: WsTunnelErrorCode) {
    super(source, flags)
    this.#code = code
  }

  /** All methods of strings and patterns call it. */
  override exec(text: string): RegExpExecArray | null {
    if (text.length > MAX_LENGTH)
      throw new WsTunnelError(this.#code, {
        detail: `at most ${MAX_LENGTH} characters, because a pattern of the options may take more than linear time`,
      })
    return super.exec(text)
  }
}
