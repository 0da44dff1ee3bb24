import express4 from 'express4'
import { startExpress4 } from '../support/frameworks.ts'
import { contract } from './contract.ts'
import { mounts } from './mounts.ts'

contract('Express 4', startExpress4)
mounts('Express 4', () => express4)
