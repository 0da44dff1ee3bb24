import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommonOptions, RouteDefaults, RouteOptions } from '@ws-tunnel/core'
import { record, responding } from '../support/backend.ts'
import type { SetUpFunction } from '../support/harness.ts'

type Row = [path: string, seen: string | number]

/** Tests each path as an upgrade and as HTTP: the path that the backend got, or the status of the refusal. */
export const pathRows =
  (setUp: SetUpFunction) =>
  (
    name: string,
    routes: (at: string) => RouteOptions[],
    table: Row[],
    options: Pick<CommonOptions & RouteDefaults, 'paths' | 'mergeSlashes'> = {},
  ): void => {
    test(name, async t => {
      const setup = await setUp(t, record(), ({ address }) => ({ ...options, routes: routes(`ws://${address}`) }))
      const seen = async (path: string, plain: boolean): Promise<string | number> => {
        const before = setup.backend.seen.length
        if (plain) {
          const { statusCode } = await setup.get(path)
          return setup.backend.seen[before]?.path ?? statusCode
        }
        const client = await setup.upgrade(path)
        const head = await client.responseHead()
        if (head.statusCode === 101) client.destroy()
        else assert.equal(setup.backend.seen.length, before)
        return setup.backend.seen[before]?.path ?? head.statusCode
      }
      const upgrades: Row[] = []
      for (const [path] of table) upgrades.push([path, await seen(path, false)])
      assert.deepEqual(upgrades, table)
      setup.backend.play(responding())
      const plain: Row[] = []
      for (const [path] of table) plain.push([path, await seen(path, true)])
      assert.deepEqual(plain, table)
    })
  }
