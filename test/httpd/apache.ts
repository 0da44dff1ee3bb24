import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/gate.ts'

const MODULES = '/usr/lib/apache2/modules'

const NEEDED =
  'mpm_event authz_core authz_host authn_core authn_file authz_user authz_groupfile auth_basic access_compat allowmethods proxy proxy_http proxy_wstunnel headers setenvif env rewrite alias proxy_balancer lbmethod_byrequests lbmethod_bytraffic lbmethod_bybusyness slotmem_shm ssl socache_shmcb'

/** Whether Debian's apache2 is installed. */
export const hasApache = (): boolean =>
  existsSync(`${MODULES}/mod_proxy_wstunnel.so`) && execFileSync('apache2', ['-v']).includes('Apache/2.4')

/** A running httpd. */
export interface Apache {
  readonly port: number
  /** The empty DocumentRoot. */
  readonly root: string
  close(): Promise<void>
}

/** mod_proxy_hcheck is loaded only where it is needed, because it changes httpd's message for an unknown parameter. */
const modulesOf = (conf: string): string => (/hc/i.test(conf) ? `${NEEDED} proxy_hcheck` : NEEDED)

/** The lines before every configuration: modules, one error log, an empty document root. */
function preamble(folder: string, port: number, conf: string): string {
  return [
    `ServerRoot "${folder}"`,
    `PidFile "${folder}/pid"`,
    `DefaultRuntimeDir "${folder}"`,
    `ErrorLog "${folder}/error.log"`,
    'LogLevel error',
    `Listen 127.0.0.1:${port}`,
    'ServerName main.test',
    `DocumentRoot "${folder}/www"`,
    'ThreadsPerChild 16',
    'StartServers 1',
    'ServerLimit 1',
    'MaxRequestWorkers 16',
    ...modulesOf(conf)
      .split(' ')
      .map(name => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`),
    '',
  ].join('\n')
}

/** Starts httpd with one virtual host per configuration, selected by name. `main` is the configuration of the main server. */
export async function startApache(hosts: ReadonlyMap<string, string>, main = ''): Promise<Apache> {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-httpd-'))
  mkdirSync(join(folder, 'www'))
  const port = await freePort()
  const sections = Array.from(
    hosts,
    ([name, conf]) => `<VirtualHost 127.0.0.1:${port}>\nServerName ${name}\n${conf}\n</VirtualHost>\n`,
  )
  const file = join(folder, 'httpd.conf')
  const conf = `${main}\n${sections.join('')}`
  writeFileSync(file, preamble(folder, port, conf) + conf)
  const child = spawn('apache2', ['-f', file, '-DFOREGROUND'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', text => {
    stderr += text
  })
  const close = async (): Promise<void> => {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  if (!(await accepts(port, child))) {
    await close()
    throw new Error(`httpd did not start: ${stderr}`)
  }
  return { port, root: join(folder, 'www'), close }
}

/** Waits until the port accepts a connection. Resolves to `false` if the process has ended. httpd has no signal that it is ready. */
async function accepts(port: number, child: ChildProcess): Promise<boolean> {
  for (let i = 0; i < 200 && child.exitCode === null; i++) {
    const socket = connect(port, '127.0.0.1')
    const connected = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (connected) return true
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  return false
}

/** httpd's own message about a configuration, or `undefined` if httpd accepts it. */
export function configtest(conf: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-configtest-'))
  mkdirSync(join(folder, 'www'))
  const file = join(folder, 'httpd.conf')
  writeFileSync(file, `${preamble(folder, 1, conf)}${conf}\n`)
  try {
    execFileSync('apache2', ['-f', file, '-t'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return String((error as { stderr: Buffer }).stderr)
      .split('\n')
      .filter(line => line !== '' && !/^AH00526|AH00558/.test(line))
      .join('\n')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
