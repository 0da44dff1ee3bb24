const MOST_ENTRIES = 400
const LONGEST_TEXT = 4000
const guest = `guest-${Math.floor(Math.random() * 900 + 100)}`

const ROUTES = {
  ws: { backend: 'Echo', mount: '/echo/', paths: ['/ws/', '/ws/any/path?x=1'] },
  chat: { backend: 'Chat', mount: '/chat/', paths: [`/chat/?name=${guest}`, '/chat/?name=ann'] },
  private: { backend: 'Echo', mount: '/echo/', paths: ['/private/', '/private/?token=open-sesame'] },
  api: { backend: 'HTTP API', mount: '/', paths: ['/api/time', '/api/headers'] },
  balanced: { backend: 'Balancer', mount: '/', paths: ['/balanced/'] },
}

const at = Object.fromEntries([...document.querySelectorAll('[id]')].map(element => [element.id, element]))
const webSocketOrigin = location.origin.replace(/^http/, 'ws')
const encoder = new TextEncoder()
const counts = { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 }

let route = 'ws'
/** The socket that is open or opening. `undefined` after it has closed. */
let socket

/** Sockets that the user has disconnected. Their failures are not explained. */
const disconnected = new WeakSet()

/** Makes an element with classes and content. A string becomes text, never markup. */
function element(name, className, ...content) {
  const made = document.createElement(name)
  if (className) made.className = className
  made.append(...content)
  return made
}

const size = bytes => {
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

const shortened = text =>
  text.length <= LONGEST_TEXT
    ? text
    : `${text.slice(0, LONGEST_TEXT)}\n… and ${text.length - LONGEST_TEXT} more characters`

/** Quotes a text as one argument of a shell. */
const quoted = text => (/^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

function clock() {
  const now = new Date()
  const two = number => String(number).padStart(2, '0')
  const ms = String(now.getMilliseconds()).padStart(3, '0')
  return `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}.${ms}`
}

/** Adds a line to the log. Keeps the end of the log in view, unless the user has scrolled up. */
function write(kind, what, content, bytes) {
  const following = at.scroll.scrollHeight - at.scroll.scrollTop - at.scroll.clientHeight < 40
  const line = element('li', kind, element('time', '', clock()), element('span', 'what', what), content)
  line.append(element('span', 'size', bytes === undefined ? '' : size(bytes)))
  at.log.append(line)
  while (at.log.children.length > MOST_ENTRIES) at.log.firstChild.remove()
  at.empty.hidden = true
  if (following) at.scroll.scrollTop = at.scroll.scrollHeight
}

const note = (kind, what, text) => write(kind, what, element('span', 'content', text))

/** Shows the state of the connection, as a picture and as text. */
function show(state, text) {
  at.wire.dataset.state = state
  at.state.textContent = text
}

function showControls() {
  const { backend, mount } = ROUTES[route]
  const path = at.path.value
  at.backend.textContent = backend
  at.requested.textContent = path
  at.received.textContent = path.startsWith(`/${route}/`) ? mount + path.slice(route.length + 2) : '–'
  at.wscat.textContent = `npx -y wscat -c ${quoted(`${webSocketOrigin}${path}`)}`
  at.curl.textContent = `curl -i ${quoted(`${location.origin}${path}`)}`
  at.connect.textContent = socket === undefined ? 'Connect' : 'Disconnect'
  at.connect.classList.toggle('disconnect', socket !== undefined)
  const isOpen = socket?.readyState === WebSocket.OPEN
  const posts = route === 'api' && !isOpen
  at.text.disabled = at.send.disabled = !isOpen && !posts
  at.send.textContent = posts ? 'POST' : 'Send'
  at.text.placeholder = posts ? 'Text for /api/echo' : isOpen ? 'Message' : 'Connect first'
}

function showTotals() {
  const { sent, sentBytes, received, receivedBytes } = counts
  at.totals.textContent =
    sent + received === 0 ? '' : `${sent} sent, ${size(sentBytes)} · ${received} received, ${size(receivedBytes)}`
}

/** Moves a dot through both pipes: to the backend for a sent frame, to the browser for a received frame. */
function pulse(direction) {
  for (const pipe of at.wire.querySelectorAll('.pipe')) {
    pipe.classList.remove('there', 'back')
    // Reading a size between the two makes the browser restart the animation.
    void pipe.offsetWidth
    pipe.classList.add(direction)
  }
}

function count(direction, bytes) {
  counts[direction] += 1
  counts[`${direction}Bytes`] += bytes
  showTotals()
  pulse(direction === 'sent' ? 'there' : 'back')
}

function disconnect() {
  disconnected.add(socket)
  socket.close(1000)
}

function connect() {
  const path = at.path.value
  const opening = new WebSocket(webSocketOrigin + path)
  let opened = false
  opening.binaryType = 'arraybuffer'
  opening.addEventListener('open', () => {
    opened = true
    show('open', 'Tunnel open: bytes pass unchanged')
    note('opened', 'Open', `101 Switching Protocols for ${path}`)
    showControls()
    showTunnels()
    at.text.focus()
  })
  opening.addEventListener('message', ({ data }) => {
    const isText = typeof data === 'string'
    const bytes = isText ? encoder.encode(data).length : data.byteLength
    count('received', bytes)
    write('received', '↓ received', element('pre', 'text', isText ? shortened(data) : hex(data)), bytes)
  })
  opening.addEventListener('close', async ({ code, reason }) => {
    if (socket === opening) socket = undefined
    showControls()
    showTunnels()
    if (!opened && disconnected.has(opening)) return show('idle', 'Not connected')
    if (!opened) return explain(path)
    show('idle', 'Closed')
    if (disconnected.has(opening)) return note('closed', 'Closed', `by you, code ${code}`)
    const how = code === 1006 ? '1006: the connection ended without a close frame' : `${code}${reason && `: ${reason}`}`
    note('closed', 'Closed', how)
  })
  socket = opening
  show('connecting', 'Connecting')
  showControls()
}

const hex = buffer =>
  [...new Uint8Array(buffer.slice(0, 64))].map(byte => byte.toString(16).padStart(2, '0')).join(' ') +
  (buffer.byteLength > 64 ? ' …' : '')

/** Requests the same path over HTTP, because a browser does not show the status of a failed WebSocket to the page. */
async function explain(path) {
  const why = 'The upgrade was refused. A browser hides the status, so this page requested the same path over HTTP.'
  const response = await request('GET', path, { kind: 'refused', what: 'Refused', why })
  if (socket !== undefined) return
  if (response === undefined) show('refused', 'Not connected: no response from the gateway')
  else show('refused', `Not connected: ${path.split('?')[0]} returns ${response.status} ${response.statusText}`)
}

/** Sends an HTTP request and writes the whole response into the log. */
async function request(method, path, { kind = 'http', what = 'HTTP', why, body } = {}) {
  const began = performance.now()
  try {
    const response = await fetch(path, { method, body, cache: 'no-store' })
    const text = await response.text()
    const took = Math.round(performance.now() - began)
    const content = element('div', 'content')
    content.append(
      element('span', 'status', `${response.status} ${response.statusText}`),
      `${method} ${path}, ${took} ms`,
    )
    if (why) content.append(element('p', 'why', why))
    if (text) content.append(element('pre', '', shortened(text.trimEnd())))
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`)
    const details = element('details', '', element('summary', '', `${headers.length} header fields`))
    details.append(element('pre', '', headers.join('\n')))
    content.append(details)
    write(kind, what, content, encoder.encode(text).length)
    return response
  } catch {
    note('refused', 'No response', `${method} ${path}: no response from the gateway`)
  }
}

async function sendOverHttp(method, path, body) {
  const response = await request(method, path, { body })
  if (socket !== undefined) return
  if (response === undefined) show('refused', 'No response from the gateway')
  else show('http', `Plain HTTP: ${response.status} ${response.statusText}`)
}

function choose(name) {
  route = name
  if (socket !== undefined) disconnect()
  at.path.value = ROUTES[name].paths[0]
  at.hints.replaceChildren(
    ...ROUTES[name].paths.map(path => {
      const hint = element('button', 'small', path)
      hint.type = 'button'
      hint.addEventListener('click', () => {
        at.path.value = path
        showControls()
      })
      return hint
    }),
  )
  at.session.hidden = name !== 'private'
  if (name === 'private') showSession('GET')
  if (socket === undefined) show('idle', 'Not connected')
  showControls()
}

/** GET reads whether this browser is signed in, POST signs in, DELETE signs out. Shows the result. */
async function showSession(method) {
  const response = await fetch('/session', { method }).catch(() => undefined)
  if (!response?.ok) return
  const { signedIn } = await response.json()
  at.signed.textContent = signedIn ? 'Signed in, with a cookie' : 'Signed out: the response will be 401'
  at.sign.textContent = signedIn ? 'Sign out' : 'Sign in'
  at.sign.dataset.method = signedIn ? 'DELETE' : 'POST'
}

function age(since) {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1000))
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`
}

async function showTunnels() {
  if (document.hidden) return
  const response = await fetch('/tunnels').catch(() => undefined)
  const tunnels = response?.ok ? await response.json() : []
  at.count.textContent = tunnels.length
  at.count.classList.toggle('some', tunnels.length > 0)
  at.none.textContent = response?.ok ? 'No tunnel is open. The gateway is listening.' : 'No response from the gateway.'
  at.none.hidden = tunnels.length > 0
  at.tunnels.replaceChildren(
    ...tunnels.map(({ mount, client, openedAt, bytesFromClient, bytesFromBackend }) =>
      element(
        'li',
        '',
        element('code', '', mount),
        element('span', '', age(openedAt)),
        element('span', '', client),
        element('span', '', `↑ ${size(bytesFromClient)}, ↓ ${size(bytesFromBackend)}`),
      ),
    ),
  )
}

at.routes.addEventListener('change', ({ target }) => choose(target.value))
at.path.addEventListener('input', showControls)
at.request.addEventListener('submit', event => {
  event.preventDefault()
  if (socket === undefined) connect()
  else disconnect()
})
at.http.addEventListener('click', () => {
  if (at.request.reportValidity()) sendOverHttp('GET', at.path.value)
})
at.composer.addEventListener('submit', event => {
  event.preventDefault()
  const text = at.text.value
  const isOpen = socket?.readyState === WebSocket.OPEN
  if (text === '' || (!isOpen && route !== 'api')) return
  at.text.value = ''
  if (!isOpen) return sendOverHttp('POST', '/api/echo', text)
  socket.send(text)
  const bytes = encoder.encode(text).length
  count('sent', bytes)
  write('sent', '↑ sent', element('pre', 'text', shortened(text)), bytes)
})
at.sign.addEventListener('click', () => showSession(at.sign.dataset.method))
for (const name of ['wscat', 'curl'])
  at[`copy-${name}`].addEventListener('click', async ({ currentTarget }) => {
    currentTarget.textContent = await navigator.clipboard.writeText(at[name].textContent).then(
      () => 'Copied',
      () => 'Not allowed',
    )
  })
at.kill.addEventListener('click', async () => {
  const response = await fetch('/kill', { method: 'POST' }).catch(() => undefined)
  if (!response?.ok) return note('refused', 'Kill', 'The gateway did not do it')
  const { name, runs } = await response.json()
  at.kill.textContent = `${runs ? 'Kill' : 'Start'} member ${name}`
  note('closed', runs ? 'Started' : 'Killed', `member ${name}: the manager shows it`)
})
at.clear.addEventListener('click', () => {
  at.log.replaceChildren()
  at.empty.hidden = false
  Object.assign(counts, { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 })
  showTotals()
})

// Some browsers only scroll a region by keyboard if it can have the focus.
at.scroll.tabIndex = 0
at.gateway.textContent = location.host
// A browser restores the chosen radio on reload.
choose(document.querySelector('input[name=route]:checked').value)
showTunnels()
setInterval(showTunnels, 1000)
