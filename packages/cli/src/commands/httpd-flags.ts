/** Flags of httpd that this program has. */
const FLAGS = /^-[ftSvDCc]/

/** Flags of httpd that take a value. */
const WITH_VALUE = new Set(['-f', '-D', '-C', '-c'])

/**
 * Translates the command line of httpd into one of this program: `-t -f FILE` is `check FILE`, `-S` is `hosts`, `-v` is
 * `--version`, and without one of them it is `run`. Other command lines stay as they are.
 */
export function translateFlags(args: readonly string[]): readonly string[] {
  const [first = ''] = args
  if (!FLAGS.test(first)) return args
  const rest: string[] = []
  let file: string | undefined
  let command = 'run'
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    const flag = arg.slice(0, 2)
    if (arg === '-v') return ['--version']
    if (arg === '-t' || arg === '-S') {
      command = arg === '-t' ? (command === 'hosts' ? 'hosts' : 'check') : 'hosts'
      continue
    }
    if (WITH_VALUE.has(flag) && !arg.startsWith('--')) {
      const value = arg.length > 2 ? arg.slice(2) : args[++i]
      if (flag === '-f') file = value
      else rest.push(flag, ...(value === undefined ? [] : [value]))
    } else rest.push(arg)
  }
  return [command, ...rest, ...(file === undefined ? [] : [file])]
}

/** Describes the flags in the help of a program. */
export const FLAGS_HELP = `
As httpd: ws-tunnel -f FILE serves, -t checks, -S prints the virtual hosts, -v prints the version,
-D NAME defines, -C LINE and -c LINE add a directive before and after those of the file.`
