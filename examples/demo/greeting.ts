/** The text that the terminal shows when the gateway listens. Every command in it can be run unchanged. */
export function greeting(port: number, token: string): string {
  const origin = `http://localhost:${port}`
  const webSocketOrigin = origin.replace('http', 'ws')
  const handshake = [
    "-H 'Connection: Upgrade' -H 'Upgrade: websocket'",
    "-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='",
  ].join(' ')
  return `
ws-tunnel demo gateway

Open    ${origin}
Manage  ${origin}/manager/ (any user name, password ${token})

Try     a tunnel that echoes what you type
        npx -y wscat -c ${webSocketOrigin}/ws/

        the chat, from two terminals
        npx -y wscat -c '${webSocketOrigin}/chat/?name=ann'

        the handshake, byte by byte: 101 (curl then waits for frames and stops after 1 s)
        curl -i -N --max-time 1 ${handshake} ${origin}/ws/

        the same path without an upgrade: 200
        curl -i ${origin}/ws/

        a tunnel behind the app's own auth: 401 without the token, 101 with it
        curl -i -N --max-time 1 ${handshake} ${origin}/private/
        npx -y wscat -H 'Authorization: Bearer ${token}' -c ${webSocketOrigin}/private/

        plain HTTP
        curl -i ${origin}/api/headers
        curl -i -d 'hello' ${origin}/api/echo

Press Ctrl-C to drain the tunnels and stop.
`
}
