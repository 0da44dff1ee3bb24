import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

/** Describes the machine in one line. */
export function describeMachine(): string {
  const all = cpus()
  const congestion = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim()
  return (
    `${all.length} × ${all[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
    `Linux ${release().replace(/-.*/, '')}, TCP ${congestion}, Node.js ${process.versions.node}`
  )
}
