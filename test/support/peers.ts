/**
 * Options of a test that needs a program the machine may lack: `test(name, peer('Chromium', () => ...), fn)`. Without it the
 * test is skipped with a message. With `REQUIRE_PEERS=1`, which requires that everything is installed, that is an error.
 *
 * @param probe returns whether the program is installed; a throw means that it is not.
 */
export function peer(name: string, probe: () => boolean): { skip: string | false } {
  if (succeeds(probe)) return { skip: false }
  if (process.env['REQUIRE_PEERS'] === '1') throw new Error(`REQUIRE_PEERS=1, but ${name} is not installed`)
  return { skip: `${name} is not installed` }
}

function succeeds(probe: () => boolean): boolean {
  try {
    return probe()
  } catch {
    return false
  }
}
