let ahead = 0

/** Sets this clock by the server's. */
export function setClock(serverTime: number): void {
  ahead = serverTime - Date.now()
}

/** Milliseconds since the epoch, by the server's clock. */
export const now = (): number => Date.now() + ahead
