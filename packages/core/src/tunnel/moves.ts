/** Whether this process hands its tunnels over to the next one. Those that are opened from then on can be moved. */
export const moves: { tunnels: boolean } = { tunnels: false }
