import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from './folder.ts'

/** A way to compile an app, as its tsconfig.json has it. */
export interface Setting {
  /** `compilerOptions` beside those of {@link COMMON}. */
  readonly options: Readonly<Record<string, unknown>>
  /** The extension of the source, which chooses between `require` and `import` for the settings of Node. */
  readonly extension: 'cts' | 'mts' | 'ts'
  /** The first and the last compiler that has the setting. */
  readonly since: number
  readonly until: number
}

const node = (module: string, since = 5.5): Setting[] =>
  (['cts', 'mts'] as const).map(extension => ({ options: { module }, extension, since, until: 7 }))

/** Every setting of `module` for Node, with the resolution that belongs to it. */
export const SETTINGS: readonly Setting[] = [
  { options: { module: 'commonjs', moduleResolution: 'node10' }, extension: 'ts', since: 5.5, until: 5.9 },
  { options: { module: 'commonjs', moduleResolution: 'bundler' }, extension: 'ts', since: 6, until: 7 },
  { options: { module: 'esnext', moduleResolution: 'bundler' }, extension: 'ts', since: 5.5, until: 7 },
  ...node('node16'),
  ...node('node18', 5.8),
  ...node('nodenext'),
]

const COMMON = {
  target: 'es2022',
  strict: true,
  esModuleInterop: true,
  skipLibCheck: true,
  types: ['node'],
  outDir: 'out',
}

export const settingsOf = (compiler: number): Setting[] =>
  SETTINGS.filter(({ since, until }) => since <= compiler && compiler <= until)

export const nameOf = ({ options, extension }: Setting): string =>
  `${Object.values(options).join(' with ')}, .${extension}`

/** Compiles a program of the folder with a compiler, which npm has installed as `typescript-<version>`. Throws what the compiler reports. */
export function compile(folder: Folder, compiler: number, { options, extension }: Setting, program: string): void {
  const name = `${program}.${extension}`
  const settings = { compilerOptions: { ...COMMON, ...options }, files: [name] }
  writeFileSync(join(folder.path, 'tsconfig.json'), JSON.stringify(settings))
  const tsc = join(folder.path, 'node_modules', compilerPackage(compiler), 'bin', 'tsc')
  folder.run(process.execPath, [tsc, '-p', '.', '--pretty', 'false'])
}

export const compilerPackage = (version: number): string => `typescript-${version.toFixed(1)}`
