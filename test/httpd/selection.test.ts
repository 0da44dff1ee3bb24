import { test } from 'node:test'
import { peer } from '../support/peers.ts'
import { hasApache } from './apache.ts'
import { type Case, compareCases } from './cases.ts'

const times = (count: number): string[] => Array<string>(count).fill('/x')
const big = (count: number): string[] => Array<string>(count).fill('/big')

const cases: readonly Case[] = [
  { what: 'equals', members: ['A', 'B', 'C', 'D'], asked: times(12) },
  { what: 'one with twice the factor', members: ['A', 'B', 'C', 'D loadfactor=2'], asked: times(12) },
  { what: 'three to one', members: ['A loadfactor=3', 'B'], asked: times(12) },
  { what: 'factors with decimals', members: ['A', 'B loadfactor=2.5'], asked: times(12) },
  { what: 'a disabled one', members: ['A', 'B status=D', 'C', 'D'], asked: times(9) },
  { what: 'a stopped one', members: ['A', 'B status=+S', 'C'], asked: times(6) },
  { what: 'one that shuts down', members: ['A status=OGF', 'B status=+I-Iu', 'C status=-OGF'], asked: times(6) },
  { what: 'one that drains', members: ['A', 'B status=N', 'C'], asked: times(6) },
  { what: 'hot standbys alone', members: ['A status=D', 'B status=H', 'C status=H'], asked: times(6) },
  { what: 'a hot standby that waits', members: ['A', 'B status=H'], asked: times(4) },
  { what: 'spares for one that is missing', members: ['A', 'B status=S', 'C status=R', 'D status=R'], asked: times(6) },
  { what: 'a spare for one that drains', members: ['A', 'B status=N', 'C status=R'], asked: times(6) },
  { what: 'a spare that waits', members: ['A', 'B status=R'], asked: times(4) },
  { what: 'sets', members: ['A lbset=1', 'B lbset=0 status=D', 'C lbset=2'], asked: times(4) },
  { what: 'a standby of a lower set', members: ['A lbset=1', 'B status=H'], asked: times(4) },
  {
    what: 'the least busy, one after the other',
    members: ['A', 'B', 'C'],
    set: 'lbmethod=bybusyness',
    asked: times(6),
  },
  { what: 'the least traffic', members: ['A', 'B'], set: 'lbmethod=bytraffic', asked: big(8) },
  {
    what: 'the least traffic for its factor',
    members: ['A', 'B loadfactor=3'],
    set: 'lbmethod=bytraffic',
    asked: big(12),
  },
  {
    what: 'the least traffic, of different answers',
    members: ['A', 'B', 'C loadfactor=2'],
    set: 'lbmethod=bytraffic',
    asked: ['/big', '/x', '/x', '/big', '/x', '/big', '/big', '/x', '/big', '/x', '/x', '/x', '/big', '/big'],
  },
  { what: 'a dead one and a good one', members: ['X', 'B'], asked: times(4) },
  { what: 'a dead one without further attempts', members: ['X', 'B'], set: 'maxattempts=0', asked: times(4) },
  { what: 'a dead one whose errors are ignored', members: ['X status=+I', 'B'], asked: times(4) },
  { what: 'dead ones alone', members: ['X', 'X/1'], asked: times(2) },
  { what: 'dead ones alone, not tried again', members: ['X', 'X/1'], set: 'forcerecovery=Off', asked: times(3) },
  { what: 'a standby for a dead one', members: ['X', 'B status=H'], asked: times(3) },
  { what: 'nobody', members: [], asked: times(1) },
  {
    what: 'a silence that fails its member',
    members: ['A timeout=1', 'B', 'C'],
    set: 'failontimeout=On',
    asked: ['/silent', ...times(4)],
  },
  { what: 'a silence that fails nobody', members: ['A timeout=1', 'B'], asked: ['/silent', ...times(4)] },
  { what: 'nobody usable for as long as one waits', members: ['A status=D'], set: 'timeout=1', asked: times(1) },
  {
    what: 'an answer that fails no member whose errors are ignored',
    members: ['A status=I', 'B'],
    set: 'failonstatus=503',
    asked: ['/503', '/503', ...times(3)],
  },
  {
    what: 'an answer that fails its member',
    members: ['A', 'B'],
    set: 'failonstatus=503',
    asked: ['/503', ...times(3)],
  },
  { what: 'paths of members', members: ['A/base', 'B/other/', 'C/'], asked: ['/path/y?z', '/path/y', '/path'] },
]

test('chooses whom a running httpd chooses, request by request', peer('apache2', hasApache), t =>
  compareCases(t, cases),
)
