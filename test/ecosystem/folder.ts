import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packAll } from '../../scripts/pack.ts'
import { ROOT } from '../docs/markdown.ts'
import { Program } from '../docs/program.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))

/** All packages, by the end of their names. */
export const OURS = [
  'cli',
  'core',
  'express',
  'fastify',
  'http-proxy-middleware',
  'httpd-conf',
  'manager',
  'native',
] as const

export type OurPackage = (typeof OURS)[number]

/** What `types/consumer.ts` imports beside our packages. */
export const CONSUMER: readonly string[] = ['@types/node@24', 'express@5', '@types/express@5', 'fastify@5', 'redis']

/** An empty folder outside the workspace, in which npm has installed our tarballs and packages of others. */
export class Folder {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /**
   * Packs our packages and installs them. Each package that an installed one depends on must be in the list too: none of them
   * is on npm.
   */
  static install(
    ours: readonly OurPackage[],
    theirs: readonly string[],
    type: 'module' | 'commonjs' = 'module',
  ): Folder {
    // The real path, because Node names modules by it.
    const path = realpathSync(mkdtempSync(join(tmpdir(), 'ws-tunnel-ecosystem-')))
    writeFileSync(join(path, 'package.json'), JSON.stringify({ private: true, type }))
    const tarballs = packAll(join(path, 'tarballs')).filter(file =>
      ours.some(name => basename(file).startsWith(`ws-tunnel-${name}-0`)),
    )
    const folder = new Folder(path)
    folder.run('npm', [
      'install',
      '--prefix',
      path,
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      ...tarballs,
      ...theirs,
    ])
    return folder
  }

  /** Copies a file or a folder of this directory into the folder. */
  copy(name: string): string {
    const to = join(this.path, basename(name))
    cpSync(join(HERE, name), to, { recursive: true })
    return to
  }

  /** Runs a program in the folder to its end. Returns what it has printed. Throws if it fails. */
  run(command: string, args: readonly string[]): string {
    const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: this.path, encoding: 'utf8' })
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? status}\n${stdout}${stderr}`)
    return stdout + stderr
  }

  /** Starts a server in the folder: a file that is there, or else one of `apps/`. */
  start(app: string, ...args: string[]): Promise<Program> {
    const file = join(this.path, app)
    return Program.start(existsSync(file) ? file : this.copy(`apps/${app}`), {
      imports: [join(ROOT, 'test/docs/announce.ts')],
      args,
    })
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
