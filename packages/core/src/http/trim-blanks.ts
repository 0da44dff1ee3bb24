/**
 * Removes optional white space around a field value or list member: SP and HTAB (RFC 9110 5.6.3). `String.trim` also
 * removes other characters, such as U+00A0, which is the byte A0 of a field value.
 */
export function trimBlanks(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (from < to && isBlank(text.charCodeAt(to - 1))) to--
  return from === 0 && to === text.length ? text : text.slice(from, to)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
