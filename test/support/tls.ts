import { readFileSync } from 'node:fs'

const pem = (name: string): string => readFileSync(new URL(`certs/${name}`, import.meta.url), 'utf8')

/** The test CA, which signed all the others. All certificates except `expired` are valid for a hundred years. */
export const ca: string = pem('ca.pem')

/** For `localhost`, 127.0.0.1 and ::1. */
export const server: { cert: string; key: string } = { cert: pem('server.pem'), key: pem('server.key') }

/** For `elsewhere.example` only. */
export const wrongName: { cert: string; key: string } = { cert: pem('wrong-name.pem'), key: pem('wrong-name.key') }

/** For `localhost` and 127.0.0.1, until 2021. */
export const expired: { cert: string; key: string } = { cert: pem('expired.pem'), key: pem('expired.key') }

/** A client certificate, for backends that request one. */
export const client: { cert: string; key: string } = { cert: pem('client.pem'), key: pem('client.key') }
