import { startExpress4 } from '../support/start.ts'
import { contract } from './contract.ts'

contract('Express 4', startExpress4)
