import type { IncomingMessage } from 'node:http'
import type { Access } from '@ws-tunnel/manager'
import { type NextFunction, type Request, type Response, Router } from 'express'

/** The demo has this token instead of user accounts. */
export const TOKEN = 'open-sesame'
const COOKIE = 'ws-tunnel-demo'

/** Admits a request with the token in `?token=`, in `Authorization: Bearer`, or in the cookie that signing in sets. */
export function requireToken(req: Request, res: Response, next: NextFunction): void {
  const bearer = req.get('Authorization')?.match(/^Bearer +(\S+)$/i)?.[1]
  if (req.query['token'] === TOKEN || bearer === TOKEN || isSignedIn(req)) next()
  else refuse(res)
}

/** Admits a browser to the manager if its user has signed in on the page or enters the token as the password. */
export function tokenOrPassword(req: IncomingMessage): Access {
  const [, basic = ''] = /^Basic +(\S+)$/i.exec(req.headers.authorization ?? '') ?? []
  const [, password] = Buffer.from(basic, 'base64').toString().split(':')
  return isSignedIn(req) || password === TOKEN || { challenge: 'Basic realm="ws-tunnel demo"' }
}

/** `/session` of a browser: GET returns its state, POST signs in, DELETE signs out. */
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
  res.json({ error: 'unauthorized', message: 'Send ?token= or Authorization: Bearer, or sign in on the page' })
}
