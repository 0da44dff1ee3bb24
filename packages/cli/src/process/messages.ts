/** A message from the primary process to a worker. */
export type PrimaryMessage =
  | { readonly wsTunnel: 'stop'; readonly drainTimeout: number }
  /** Requests {@link WorkerMessage} `alive`. */
  | { readonly wsTunnel: 'ping'; readonly id: number }
  /** Requests {@link WorkerMessage} `metrics`. */
  | { readonly wsTunnel: 'get-metrics'; readonly id: number }
  /** The response to {@link WorkerMessage} `get-all-metrics`. */
  | { readonly wsTunnel: 'all-metrics'; readonly id: number; readonly text: string }

/** A message from a worker to the primary process. */
export type WorkerMessage =
  | { readonly wsTunnel: 'ready' }
  | { readonly wsTunnel: 'alive'; readonly id: number }
  | { readonly wsTunnel: 'metrics'; readonly id: number; readonly metrics: object[] }
  /** Requests the metrics of all workers. */
  | { readonly wsTunnel: 'get-all-metrics'; readonly id: number }

/** Whether a message of the channel is one of this program. The channel has messages of others too. */
export const isOurMessage = (message: unknown): message is PrimaryMessage | WorkerMessage =>
  typeof message === 'object' && message !== null && 'wsTunnel' in message
