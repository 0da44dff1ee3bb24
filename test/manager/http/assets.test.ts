import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startManaged } from '../harness.ts'

test('every file that the page loads is served, and no bare module name is imported', async t => {
  const managed = await startManaged(t, { unsafeOpen: true })
  const loaded = new Set<string>()
  const load = async (url: string): Promise<void> => {
    if (loaded.has(url)) return
    loaded.add(url)
    const response = await fetch(url)
    assert.equal(response.status, 200, url)
    const text = await response.text()
    const type = response.headers.get('content-type') ?? ''
    const references = type.startsWith('text/html')
      ? text.matchAll(/<(?:script|link)\b[^>]*?(?:src|href)="([^"]+)"/g)
      : type.startsWith('text/javascript')
        ? text.matchAll(/\b(?:import|from)\s*["']([^"'\s]+)["']/g)
        : []
    for (const [, reference] of references) {
      if (type.startsWith('text/javascript')) assert.match(String(reference), /^\.{1,2}\//, url)
      await load(new URL(String(reference), url).href)
    }
  }
  await load(managed.url)
  const paths = Array.from(loaded, url => url.slice(managed.url.length))
  for (const path of [
    '',
    'icon-good.svg',
    'page.css',
    'uplot.css',
    'uplot.js',
    'main.js',
    'lit-html/directives/repeat.js',
  ])
    assert.ok(paths.includes(path), path)
})

test('no other file can be requested', async t => {
  const managed = await startManaged(t, { unsafeOpen: true })
  for (const path of ['types.d.ts', '.tsbuildinfo', '..%2Findex.js', 'lit-html/package.json'])
    assert.equal((await managed.request(path)).status, 404, path)
})
