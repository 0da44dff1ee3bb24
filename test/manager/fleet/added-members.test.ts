import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOrdinaryAddress } from '../../../packages/manager/src/fleet/added-members.ts'

test('knows link-local addresses and metadata services also inside IPv6 addresses', () => {
  const refused = [
    '169.254.169.254',
    '100.100.100.200',
    'fe80::1%eth0',
    '::169.254.169.254',
    '::ffff:169.254.169.254',
    '::ffff:0:169.254.1.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a9fe:a9fe',
    '64:ff9b::100.100.100.200',
    '2002:a9fe:1::1',
    '2002:6464:64c8::1',
    'fd00:ec2::254',
  ]
  const ordinary = [
    '10.0.0.1',
    '127.0.0.1',
    '168.63.129.17',
    '::1',
    '64:ff9b::10.0.0.1',
    '2002:a00:1::1',
    '2001:db8::1',
  ]
  assert.deepEqual(refused.filter(isOrdinaryAddress), [])
  assert.deepEqual(ordinary.filter(isOrdinaryAddress), ordinary)
})
