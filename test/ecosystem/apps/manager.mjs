import { createTunnelProxy } from '@ws-tunnel/core'
import { managerPage } from '@ws-tunnel/manager'

managerPage(createTunnelProxy({ target: 'ws://localhost:9/' }), { authorize: () => true })
