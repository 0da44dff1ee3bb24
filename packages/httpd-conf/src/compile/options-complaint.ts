import { checkOptions, WsTunnelError, type WsTunnelOptions } from '@ws-tunnel/core'

/** The message of the core for options that it refuses; `undefined` for options that it accepts. */
export function optionsComplaint(options: WsTunnelOptions): string | undefined {
  try {
    checkOptions(options)
    return undefined
  } catch (error) {
    return error instanceof WsTunnelError ? withoutOptionNames(error.message) : String(error)
  }
}

/** The message without the code and without the place in the options, which the writer of a configuration does not know. */
const withoutOptionNames = (message: string): string =>
  message
    .replace(/^WST_ERR_\w+: [^:]*: /, '')
    .replace(/`(?:routes|workers|balancers)(?:\[\d+\]|\.[\w-]+)*?\.?(\w+)`/g, 'the $1')
    .replace(/^Expected/, 'expected')
