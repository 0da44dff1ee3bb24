import type { IncomingMessage } from 'node:http'
import type { RequestBody } from '../backend/request-body.ts'
import type { Candidate } from '../routing/candidates.ts'
import { Countdown } from '../util/countdown.ts'

/**
 * Takes the member out if the round trip to it takes longer than `unhealthyLatency` of its balancer. The round trip goes on. The time starts
 * now, or when the client has sent the whole body: a slow client is no fault of the member.
 *
 * @returns the round trip.
 */
export function watchLatency<Reply>(
  req: IncomingMessage,
  body: RequestBody | undefined,
  { selection }: Candidate,
  roundTrip: Promise<Reply>,
): Promise<Reply> {
  if (selection === undefined || selection.balancer.unhealthyLatency === 0) return roundTrip
  const { balancer, member } = selection
  let countdown: Countdown | undefined
  const start = (): void => {
    countdown = new Countdown(balancer.unhealthyLatency, () => member.fail())
  }
  if (body === undefined || body.whole) start()
  else req.once('end', start)
  return roundTrip.finally(() => {
    req.off('end', start)
    countdown?.stop()
  })
}
