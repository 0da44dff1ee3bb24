let ahead = 0

/** Sets our clock by the server's. */
export function setClock(serverTime: number): void {
  ahead = serverTime - Date.now()
}

/** ms since the epoch, by the server's clock. */
export const now = (): number => Date.now() + ahead
