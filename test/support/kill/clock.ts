/** ms on a clock that the processes of one machine share, finer than `Date.now()`. */
export const now = (): number => performance.timeOrigin + performance.now()
