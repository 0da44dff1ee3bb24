import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type { LogSink } from '../logs/log-sink.ts'

/** The longest line that waits for its end, in characters. A longer one is written in parts. */
const MAX_LINE = 1_024 * 1_024

/** Copies what a worker writes to a log, in whole lines, so that the lines of several workers do not mix. */
export function copyLines(from: Readable, to: LogSink): void {
  const decoder = new StringDecoder()
  let rest = ''
  const write = (text: string): void => {
    if (text !== '') to.write(text)
  }
  from.on('data', (chunk: Buffer) => {
    const text = rest + decoder.write(chunk)
    const end = text.length > MAX_LINE ? text.length : text.lastIndexOf('\n') + 1
    rest = text.slice(end)
    write(text.slice(0, end))
  })
  from.once('close', () => write(rest))
}
