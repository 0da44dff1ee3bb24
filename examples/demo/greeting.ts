/** What the terminal says once the gateway listens: every line below "Try" runs as it is. */
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
Watch   ${origin}/manager/ (any user name, password ${token})

Try     a tunnel: what you type comes back
        npx -y wscat -c ${webSocketOrigin}/ws/

        the chat, from two terminals
        npx -y wscat -c '${webSocketOrigin}/chat/?name=ann'

        the switch itself, byte by byte: 101 (curl then waits for frames, and stops after 1 s)
        curl -i -N --max-time 1 ${handshake} ${origin}/ws/

        the same path when no upgrade is asked for: 200
        curl -i ${origin}/ws/

        a tunnel behind the app's own auth: 401, with the token 101
        curl -i -N --max-time 1 ${handshake} ${origin}/private/
        npx -y wscat -H 'Authorization: Bearer ${token}' -c ${webSocketOrigin}/private/

        plain HTTP
        curl -i ${origin}/api/headers
        curl -i -d 'hello' ${origin}/api/echo

Ctrl-C drains the tunnels and stops.
`
}
