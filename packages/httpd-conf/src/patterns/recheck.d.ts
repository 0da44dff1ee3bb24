// The pure JavaScript form of the library, which starts no process and no worker, has no declarations of its own.
declare module 'recheck/lib/browser.js' {
  import type { checkSync } from 'recheck'

  const recheck: { readonly checkSync: typeof checkSync }
  export default recheck
}
