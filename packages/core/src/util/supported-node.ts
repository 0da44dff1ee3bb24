/** `engines` of every package of the suite. */
export const SUPPORTED_NODE = '^22.21 || ^24.9 || >=26'

/** Whether the version of a Node is in {@link SUPPORTED_NODE}. */
export function isSupportedNode(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major === 22) return minor >= 21
  return major === 24 ? minor >= 9 : major >= 26
}

// The entry points import this module before any other. An older Node would fail later, at a name that it does not have.
if (!isSupportedNode(process.versions.node)) {
  throw new Error(
    `ws-tunnel needs Node.js ${SUPPORTED_NODE}, and this is ${process.versions.node} (${process.execPath})`,
  )
}
