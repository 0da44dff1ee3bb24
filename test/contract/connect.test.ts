import { startConnect } from '../support/start.ts'
import { contract } from './contract.ts'

contract('Connect', startConnect)
