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

function isSignedIn(req: Request): boolean {
  return req.headers.cookie?.split(/; */).includes(`${COOKIE}=${TOKEN}`) ?? false
}

function refuse(res: Response): void {
  res.status(401).set('WWW-Authenticate', 'Bearer realm="ws-tunnel demo"')
  res.json({ error: 'unauthorized', message: 'Bring ?token=, Authorization: Bearer, or sign in on the page' })
}
