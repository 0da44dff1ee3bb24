import { startExpress5 } from '../support/start.ts'
import { contract } from './contract.ts'

contract('Express 5', startExpress5)
