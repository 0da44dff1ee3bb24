import express from 'express'
import { startExpress5 } from '../support/frameworks.ts'
import { contract } from './contract.ts'
import { mounts } from './mounts.ts'

contract('Express 5', startExpress5)
mounts('Express 5', () => express)
