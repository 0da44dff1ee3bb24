/** Longest text of a path or URL that is told, in characters. */
const MAX_TEXT = 300

/** A text of anybody's, cut to a length that does no harm. */
export const clip = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text)
