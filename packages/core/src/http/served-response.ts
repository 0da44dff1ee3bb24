import type { HeaderList } from './header-list.ts'
import type { PlainResponse } from './plain-response.ts'
import type { ResponseHead } from './response-head.ts'

/** The head of a final response. */
export interface FinalHead extends ResponseHead {
  readonly statusCode: number
}

/** A response that a function of the app writes to `res`, instead of the relay. */
export interface ServedResponse extends PlainResponse {
  /**
   * Calls the function. Resolves when `res` is closed.
   *
   * @param headers makes the fields for the client from those that the function has set.
   * @throws what the function throws before the response begins.
   */
  serve(headers: (head: FinalHead) => HeaderList): Promise<void>
}
