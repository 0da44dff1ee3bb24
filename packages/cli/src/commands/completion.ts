import type { Command } from 'commander'

/** The words that can be completed after `ws-tunnel`, and after each command. */
function words(program: Command): [command: string, words: string[]][] {
  const optionsOf = (command: Command): string[] =>
    command.options.flatMap(({ short, long }) => [short, long].filter(flag => flag !== undefined))
  const help = ['-h', '--help']
  const commands = program.commands.filter(command => !(command as Command & { _hidden?: boolean })._hidden)
  return [
    ['', [...commands.map(command => command.name()), 'help', ...optionsOf(program), ...help]],
    ...commands.map((command): [string, string[]] => [command.name(), [...optionsOf(command), ...help]]),
  ]
}

/** The script that completes the command line in a shell, made of the commands of the program. */
export function completionScript(program: Command, shell: 'bash' | 'zsh' | 'fish'): string {
  const all = words(program)
  if (shell === 'fish') {
    const line = (command: string, word: string): string => {
      const when = command === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${command}`
      const what = word.startsWith('--')
        ? `-l ${word.slice(2)}`
        : word.startsWith('-')
          ? `-s ${word.slice(1)}`
          : `-f -a ${word}`
      return `complete -c ws-tunnel -n '${when}' ${what}\n`
    }
    return all.flatMap(([command, list]) => list.map(word => line(command, word))).join('')
  }
  const cases = all
    .map(([command, list]) => `    ${command === '' ? "''" : command}) words='${list.join(' ')}' ;;`)
    .join('\n')
  const body = `_ws_tunnel() {
  local words command=''
  [ "$COMP_CWORD" -gt 1 ] && command="\${COMP_WORDS[1]}"
  case "$command" in
${cases}
    *) words='' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _ws_tunnel ws-tunnel
`
  return shell === 'bash' ? body : `autoload -U +X bashcompinit && bashcompinit\n${body}`
}
