/** Where a member is. */
export interface Place {
  readonly proxy: string
  readonly balancer: string
}

/** Sends a change to the server, and shows the reason if the server refuses it. */
export type Act = (action: string, body: object) => Promise<void>
