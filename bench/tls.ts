import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The side of a proxy that has TLS: its clients, its backend, or both. */
export type Tls = 'client' | 'backend' | 'both'

const file = (name: string): string => fileURLToPath(new URL(`../test/support/certs/${name}`, import.meta.url))

/** A certificate for `localhost` with an ECDSA key of 256 bits. It is the one of the proxies and of the backend. */
export const CERTIFICATE: string = file('server.pem')
export const KEY: string = file('server.key')
/** It has signed the certificate. Every proxy checks it. */
export const CA: string = file('ca.pem')

/** The files of {@link CERTIFICATE} and {@link KEY} for a server of Node. */
export const readKeys = (): { cert: string; key: string } => ({
  cert: readFileSync(CERTIFICATE, 'utf8'),
  key: readFileSync(KEY, 'utf8'),
})

export const hasFront = (tls: Tls | undefined): boolean => tls === 'client' || tls === 'both'
export const hasBackend = (tls: Tls | undefined): boolean => tls === 'backend' || tls === 'both'
