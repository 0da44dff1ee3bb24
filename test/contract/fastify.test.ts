import { startFastify } from '../support/start.ts'
import { contract } from './contract.ts'

contract('Fastify 5', startFastify)
