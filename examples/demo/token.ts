import type { IncomingMessage } from 'node:http'
import type { Access } from '@ws-tunnel/manager'
import { type NextFunction, type Request, type Response, Router } from 'express'

/** What stands in for the user accounts of a real app. */
export const TOKEN = 'open-sesame'
const COOKIE = 'ws-tunnel-demo'

/** Lets through who brings the token as `?token=`, as `Authorization: Bearer` or as the cookie that signing in sets. */
export function requireToken(req: Request, res: Response, next: NextFunction): void {
  const bearer = req.get('Authorization')?.match(/^Bearer +(\S+)$/i)?.[1]
  if (req.query['token'] === TOKEN || bearer === TOKEN || isSignedIn(req)) next()
  else refuse(res)
}

/** For the manager, which a browser opens: whoever signed in on the page, or knows the token as a password. */
export function tokenOrPassword(req: IncomingMessage): Access {
  const [, basic = ''] = /^Basic +(\S+)$/i.exec(req.headers.authorization ?? '') ?? []
  const [, password] = Buffer.from(basic, 'base64').toString().split(':')
  return isSignedIn(req) || password === TOKEN || { challenge: 'Basic realm="ws-tunnel demo"' }
}

/** `/session` of this browser: GET tells, POST signs in, DELETE signs out. */
export const session: Router = Router()
session.use((_req, res, next) => {
  res.set('Cache-Control', 'no-store')
  next()
})
session.get('/', (req, res) => {
  res.json({ signedIn: isSignedIn(req) })
})
session.post('/', (_req, res) => {
  res.cookie(COOKIE, TOKEN, { httpOnly: true, sameSite: 'strict' }).json({ signedIn: true })
})
session.delete('/', (_req, res) => {
  res.clearCookie(COOKIE, { httpOnly: true, sameSite: 'strict' }).json({ signedIn: false })
})

function isSignedIn(req: IncomingMessage): boolean {
  return req.headers.cookie?.split(/; */).includes(`${COOKIE}=${TOKEN}`) ?? false
}

function refuse(res: Response): void {
  res.status(401).set('WWW-Authenticate', 'Bearer realm="ws-tunnel demo"')
  res.json({ error: 'unauthorized', message: 'Bring ?token=, Authorization: Bearer, or sign in on the page' })
}
