import { checkOptions, WsTunnelError, type WsTunnelOptions } from '@ws-tunnel/core'

/** The message of the core for options that it refuses; `undefined` for options that it accepts. */
export function optionsComplaint(options: WsTunnelOptions): string | undefined {
  try {
    checkOptions(options)
    return undefined
  } catch (error) {
    return error instanceof WsTunnelError ? error.message : String(error)
  }
}
