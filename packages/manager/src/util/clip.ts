/** Longest text of a path or URL that is shown, in characters. */
const MAX_LENGTH = 300

/** Shortens a text that a client or an operator chose, so that a very long one cannot fill the page or a log. */
export const clip = (text: string): string => (text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text)
