/** One field of a form, decoded. */
type Field = readonly [name: string, value: string]

/** The fields of a form, and the numbers of items of its lists by name. */
interface Form {
  readonly fields: Field[]
  readonly lists: Map<string, number>
}

/** More lists in one form are not told apart. */
const MAX_LISTS = 4

/**
 * The text of a form that a parser has made an object of, if it certainly means what the body meant.
 *
 * Parsers drop names (`__proto__`), read `a[]` as `a`, and number lists again. Only the length of the body shows what was
 * there. So the body must have a length that an encoding of these fields can have, with one way to name the lists alone.
 *
 * @param length of the body in bytes; `undefined` if it is not known.
 */
export function formText(value: unknown, length: number | undefined): string | undefined {
  const form: Form = { fields: [], lists: new Map() }
  if (length === undefined || typeof value !== 'object' || value === null || !collect('', value, form)) return undefined
  const { fields, lists } = form
  if (lists.size > MAX_LISTS) return undefined
  const { shortest, longest, brackets } = lengthsOf(fields)
  const found = new Set<string>()
  // A client encodes all brackets of names, or none.
  for (const bracket of [1, 3]) {
    for (const [lengthOfSuffixes, suffixes] of waysToName([...lists.values()], bracket)) {
      const rest = length - lengthOfSuffixes - brackets * bracket
      if (rest >= shortest && rest <= longest && (rest - shortest) % 2 === 0) found.add(suffixes.join())
    }
  }
  const [suffixes = '', other] = found
  if (found.size === 0 || other !== undefined || suffixes.includes(NUMBERED)) return undefined
  const suffixOf = new Map([...lists.keys()].map((name, i) => [name, suffixes.split(',')[i] as string]))
  const named = fields.map(([name, text]): [string, string] => [name + (suffixOf.get(name) ?? ''), text])
  return String(new URLSearchParams(named))
}

/** @returns whether every value is text, or an object or a list of texts. The numbers in a list of objects are lost. */
function collect(name: string, value: unknown, form: Form): boolean {
  if (Array.isArray(value)) {
    form.lists.set(name, value.length)
    return name !== '' && value.every(each => typeof each === 'string' && collect(name, each, form))
  }
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).every(([key, each]) => collect(name === '' ? key : `${name}[${key}]`, each, form))
  form.fields.push([name, value as string])
  return isWritable(value) && isWritable(name)
}

const isWritable = (text: unknown): boolean =>
  typeof text === 'string' && text.isWellFormed() && !text.includes('\ufffd')

/**
 * The least and the greatest length of these fields without the brackets of their names (WHATWG URL,
 * application/x-www-form-urlencoded). Letters, digits and `-._` take one byte; `%`, `&` and `+` three; all others one or
 * three.
 */
function lengthsOf(fields: readonly Field[]): { shortest: number; longest: number; brackets: number } {
  let brackets = 0
  let shortest = 2 * fields.length - 1
  let longest = shortest
  for (const [name, value] of fields) {
    const bare = name.replace(/[[\]]/g, '')
    brackets += name.length - bare.length
    for (const text of [bare, value]) {
      const bytes = Buffer.byteLength(text)
      shortest += bytes + 2 * (text.match(/[%&+]/g)?.length ?? 0)
      longest += 3 * bytes - 2 * (text.match(/[\w.-]/g)?.length ?? 0)
    }
  }
  return { shortest, longest, brackets }
}

/** `a[0]=1&a[1]=2`, with numbers that the parser has dropped. */
const NUMBERED = '[0]'

/** The ways to name the items of lists of these sizes, with the number of bytes that they take. */
function* waysToName(
  [size, ...others]: number[],
  bracket: number,
): Generator<readonly [length: number, suffixes: readonly string[]]> {
  if (size === undefined) {
    yield [0, []]
    return
  }
  const empty = 2 * bracket * size
  const digits = Array.from({ length: size }, (_, i) => String(i).length).reduce((sum, each) => sum + each, 0)
  for (const [length, suffixes] of waysToName(others, bracket)) {
    yield [length, ['', ...suffixes]]
    yield [length + empty, ['[]', ...suffixes]]
    yield [length + empty + digits, [NUMBERED, ...suffixes]]
  }
}
