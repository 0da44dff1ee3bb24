import { test } from 'node:test'
import { peer } from '../support/peers.ts'
import { hasApache } from './apache.ts'
import { type Case, compareCases } from './cases.ts'

const times = (count: number): string[] => Array<string>(count).fill('/x')
const big = (count: number): string[] => Array<string>(count).fill('/big')

const cases: readonly Case[] = [
  { name: 'equal members', members: ['A', 'B', 'C', 'D'], requests: times(12) },
  { name: 'one member with twice the factor', members: ['A', 'B', 'C', 'D loadfactor=2'], requests: times(12) },
  { name: 'factors of three and one', members: ['A loadfactor=3', 'B'], requests: times(12) },
  { name: 'factors with decimals', members: ['A', 'B loadfactor=2.5'], requests: times(12) },
  { name: 'a disabled member', members: ['A', 'B status=D', 'C', 'D'], requests: times(9) },
  { name: 'a stopped member', members: ['A', 'B status=+S', 'C'], requests: times(6) },
  {
    name: 'a member that shuts down',
    members: ['A status=OGF', 'B status=+I-Iu', 'C status=-OGF'],
    requests: times(6),
  },
  { name: 'a member that drains', members: ['A', 'B status=N', 'C'], requests: times(6) },
  { name: 'only hot standbys usable', members: ['A status=D', 'B status=H', 'C status=H'], requests: times(6) },
  { name: 'a hot standby that is not needed', members: ['A', 'B status=H'], requests: times(4) },
  {
    name: 'two spares for one missing member',
    members: ['A', 'B status=S', 'C status=R', 'D status=R'],
    requests: times(6),
  },
  { name: 'a spare for a member that drains', members: ['A', 'B status=N', 'C status=R'], requests: times(6) },
  { name: 'a spare that is not needed', members: ['A', 'B status=R'], requests: times(4) },
  { name: 'sets of members', members: ['A lbset=1', 'B lbset=0 status=D', 'C lbset=2'], requests: times(4) },
  { name: 'a standby in a lower set', members: ['A lbset=1', 'B status=H'], requests: times(4) },
  {
    name: 'by busyness, with one request at a time',
    members: ['A', 'B', 'C'],
    set: 'lbmethod=bybusyness',
    requests: times(6),
  },
  { name: 'by traffic', members: ['A', 'B'], set: 'lbmethod=bytraffic', requests: big(8) },
  {
    name: 'by traffic, with factors',
    members: ['A', 'B loadfactor=3'],
    set: 'lbmethod=bytraffic',
    requests: big(12),
  },
  {
    name: 'by traffic, with responses of different sizes',
    members: ['A', 'B', 'C loadfactor=2'],
    set: 'lbmethod=bytraffic',
    requests: ['/big', '/x', '/x', '/big', '/x', '/big', '/big', '/x', '/big', '/x', '/x', '/x', '/big', '/big'],
  },
  { name: 'one unreachable member of two', members: ['X', 'B'], requests: times(4) },
  {
    name: 'an unreachable member without further attempts',
    members: ['X', 'B'],
    set: 'maxattempts=0',
    requests: times(4),
  },
  { name: 'an unreachable member whose errors are ignored', members: ['X status=+I', 'B'], requests: times(4) },
  { name: 'only unreachable members', members: ['X', 'X/1'], requests: times(2) },
  {
    name: 'only unreachable members, without forced recovery',
    members: ['X', 'X/1'],
    set: 'forcerecovery=Off',
    requests: times(3),
  },
  { name: 'a standby for an unreachable member', members: ['X', 'B status=H'], requests: times(3) },
  { name: 'no members', members: [], requests: times(1) },
  {
    name: 'a missing response that puts its member in error',
    members: ['A timeout=1', 'B', 'C'],
    set: 'failontimeout=On',
    requests: ['/silent', ...times(4)],
  },
  {
    name: 'a missing response that puts no member in error',
    members: ['A timeout=1', 'B'],
    requests: ['/silent', ...times(4)],
  },
  { name: 'no usable member for the whole timeout', members: ['A status=D'], set: 'timeout=1', requests: times(1) },
  {
    name: 'a status that puts no member in error because its errors are ignored',
    members: ['A status=I', 'B'],
    set: 'failonstatus=503',
    requests: ['/503', '/503', ...times(3)],
  },
  {
    name: 'a status that puts its member in error',
    members: ['A', 'B'],
    set: 'failonstatus=503',
    requests: ['/503', ...times(3)],
  },
  { name: 'members with paths', members: ['A/base', 'B/other/', 'C/'], requests: ['/path/y?z', '/path/y', '/path'] },
]

test('selects the same member as a running httpd, request by request', peer('apache2', hasApache), t =>
  compareCases(t, cases),
)
