import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './markdown.ts'

/** Words that are hard to read for people who learned English at school or from software. */
const REFUSED = [
  'kin',
  'anew',
  'for ever',
  'be it',
  'lets go',
  'nobody',
  'whom',
  'tells of',
  'hears of',
  'says of',
  'comes into question',
  'in vain',
]

const FOLDERS = 'bench,docs,examples,packages,scripts,test'
const EXTENSIONS = 'c,css,h,html,js,json,md,ts'
/** Not written by us, generated, or this list. */
const EXCLUDED =
  /(?:^|\/)(?:node_modules|dist|prebuilds|vectors)(?:\/|$)|^docs\/benchmarks\/|^test\/docs\/prose\.test\.ts$/

/** Whole words in any case. The words of a phrase may be on two lines of a comment. */
const PATTERN = new RegExp(`\\b(?:${REFUSED.map(words => words.replaceAll(' ', '[\\s*/#]+')).join('|')})\\b`, 'gi')

/** Where a text contains refused words, as `file:line: words`. */
function refusedWords(file: string, text: string): string[] {
  return Array.from(text.matchAll(PATTERN), ({ 0: words, index }) => {
    const line = text.slice(0, index).split('\n').length
    return `${file}:${line}: ${words.replace(/[\s*/#]+/g, ' ')}`
  })
}

test('finds whole words in any case, also on two lines', () => {
  const text = 'Nobody knows kind people.\n// A timer that runs for\n// ever. `says office`\n'
  assert.deepEqual(refusedWords('a.ts', text), ['a.ts:1: Nobody', 'a.ts:2: for ever'])
})

test('source, test names and documents use plain words', () => {
  const patterns = [`*.{${EXTENSIONS}}`, `{${FOLDERS}}/**/*.{${EXTENSIONS}}`]
  const files = globSync(patterns, { cwd: ROOT, exclude: path => EXCLUDED.test(path) })
  const ours = files.filter(file => !EXCLUDED.test(file)).sort()
  assert.ok(ours.length > 400, `${ours.length} files`)
  const found = ours.flatMap(file => refusedWords(file, readFileSync(join(ROOT, file), 'utf8')))
  assert.deepEqual(found, [])
})
