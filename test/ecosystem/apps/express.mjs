import { createServer } from 'node:http'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import compression from 'compression'
import cors from 'cors'
import { rateLimit } from 'express-rate-limit'
import session from 'express-session'
import helmet from 'helmet'
import morgan from 'morgan'
import passport from 'passport'
import { pinoHttp } from 'pino-http'

const [, , backend, name] = process.argv
const { default: express } = await import(name)

// A strategy that takes the name of the user from the query.
passport.use({
  name: 'query',
  authenticate(req) {
    req.query.user === undefined ? this.fail('no user', 401) : this.success({ id: req.query.user })
  },
})

const app = express()
app.use(pinoHttp(), morgan('morgan :method :url :status'))
app.use(helmet(), cors(), compression(), rateLimit({ limit: 1000 }))
app.use(session({ secret: 'x', resave: false, saveUninitialized: true }))
app.use(passport.initialize())
app.use(
  '/chat',
  passport.authenticate('query', { session: false }),
  wsTunnel({ target: `ws://${backend}/`, requestHeaders: (headers, { req }) => headers.set('X-User', req.user.id) }),
)
app.use(express.json())
app.get('/', (_req, res) => res.send('app'))
const server = createServer(app)
listenForUpgrades(server, app)
server.listen(0)
