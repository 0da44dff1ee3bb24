import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { type MountedRequest, type Next, type WsTunnelMiddleware, wsTunnel } from './index.ts'

/** What the plugin needs of a server of Vite. */
export interface ViteServer {
  /** The Connect app of the server. */
  readonly middlewares: {
    /** Adds a middleware at the end. */
    use(middleware: (req: IncomingMessage, res: ServerResponse, next: Next) => void): unknown
  }
  /** The resolved configuration. */
  readonly config: object
}

/** What the plugin needs of the server of `vite preview`. */
export interface VitePreviewServer extends ViteServer {
  /** Closes the server. */
  close(): Promise<void>
}

/** What the plugin needs of `this` in a hook of Vite 6 and later. */
export interface ViteHookContext {
  /** The environment whose plugins end. */
  readonly environment: {
    /** The resolved configuration of the server that the environment belongs to. */
    getTopLevelConfig(): object
  }
}

/** A plugin of Vite 6 and later. */
export interface WsTunnelVitePlugin {
  /** The name that Vite shows. */
  readonly name: string
  /** It takes no part in a build. */
  readonly apply: 'serve'
  /** Mounts the tunnel before Vite's own middleware. */
  configureServer(server: ViteServer): void
  /** The same for `vite preview`. */
  configurePreviewServer(server: VitePreviewServer): void
  /** Ends the tunnels of a server that closes or restarts. */
  buildEnd(this: ViteHookContext): Promise<void>
}

/**
 * Makes the dev server and the preview server of Vite proxy as production does: `plugins: [wsTunnelVite(options)]` with the options that
 * production passes to `wsTunnel`. What no route matches is Vite's, and so is the socket of its page.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, when the server starts.
 */
export function wsTunnelVite(options: WsTunnelOptions<MountedRequest>): WsTunnelVitePlugin {
  // Vite creates the next server before it closes the one that restarts, both with this plugin.
  const tunnels = new Map<object, WsTunnelMiddleware>()
  const mount = ({ middlewares, config }: ViteServer): void => {
    const tunnel = wsTunnel<MountedRequest>(options)
    tunnels.set(config, tunnel)
    middlewares.use(tunnel)
  }
  const end = async (config: object): Promise<void> => {
    await tunnels.get(config)?.close({ drainTimeout: 0 })
    tunnels.delete(config)
  }
  return {
    name: 'ws-tunnel',
    apply: 'serve',
    configureServer: mount,
    configurePreviewServer(server) {
      mount(server)
      // There is no hook for the end of this server, which waits for its tunnels.
      const { close } = server
      server.close = async () => {
        await end(server.config)
        await close.call(server)
      }
    },
    buildEnd() {
      return end(this.environment.getTopLevelConfig())
    },
  }
}
