/**
 * Options of a test that needs a program the machine may lack: `test(name, peer('Chromium', () => ...), fn)`. Without it the
 * test is skipped and says so; where `REQUIRE_PEERS=1` promises that everything is installed, that is an error instead.
 *
 * @param probe whether the program is here; a throw means that it is not.
 */
export function peer(name: string, probe: () => boolean): { skip: string | false } {
  if (answers(probe)) return { skip: false }
  if (process.env['REQUIRE_PEERS'] === '1') throw new Error(`REQUIRE_PEERS=1, but ${name} is not installed`)
  return { skip: `${name} is not installed` }
}

function answers(probe: () => boolean): boolean {
  try {
    return probe()
  } catch {
    return false
  }
}
