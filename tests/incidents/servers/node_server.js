// The contract on Node's ws: NODE_PATH=/usr/share/nodejs node node_server.js PORT
//
// Options: sweep=S pings every S seconds and terminates who has not answered since the last sweep; deaf=1 counts only
// messages as an answer, not pongs; most=BYTES maxPayload; deflate=1 offers permessage-deflate; early_ping=S the
// listener for messages of a connection is ready after S seconds and a ping before that throws; replace=1 one
// connection for each user and bot (4009); expire=1 closes with 4401 at the token's exp; typing=1 that message ends
// the process; age=S ends every connection at that age.
'use strict'
const http = require('http')
const crypto = require('crypto')
const { WebSocketServer } = require('ws')

const options = Object.fromEntries((process.env.INCIDENT_OPTIONS || '').split(',').filter(Boolean)
  .map((pair) => pair.split('=')).map(([key, value]) => [key, Number(value)]))
const bots = { echo: 'Echo', other: 'Other' }
const sockets = new Map()

function caller (token) {
  const [head, body, signature] = (token || '').split('.')
  const good = crypto.createHmac('sha256', process.env.INCIDENT_SECRET).update(`${head}.${body}`).digest('base64url')
  if (signature !== good) return null
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  return claims.exp > Date.now() / 1000 ? claims : null
}

function answer (response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(body))
}

function chat (response, bot, user, text) {
  let said = null
  try { said = JSON.parse(text) } catch { /* answered below */ }
  if (typeof said?.message !== 'string' || said.message.length < 1 || said.message.length > 10000) {
    return answer(response, 422, { detail: 'message: 1 to 10000 characters' })
  }
  const content = `You said: ${said.message}`
  const session = said.session_id || crypto.randomUUID()
  const data = {
    message_id: crypto.randomUUID(), session_id: session, user_id: user.sub, username: 'Assistant', content,
    role: 'assistant', timestamp: new Date().toISOString(), metadata: {}
  }
  for (const [ws, place] of sockets) {
    if (place.bot === bot) ws.send(JSON.stringify({ type: 'chat_response', bot_id: bot, data }))
  }
  answer(response, 200, { message: content, session_id: session, chunks_used: 0, processing_time: 0, metadata: {} })
}

const server = http.createServer((request, response) => {
  const path = request.url.split('?')[0]
  if (path === '/health') {
    return request.method === 'GET' ? answer(response, 200, { status: 'healthy' }) : answer(response, 405, {})
  }
  const user = caller((request.headers.authorization || '').replace('Bearer ', ''))
  const [, bot] = path.match(/^\/api\/(?:bots|conversations\/bots)\/([^/]+)/) || []
  if (!bot) return answer(response, 404, { detail: 'not found' })
  if (!user) return answer(response, 401, { detail: 'not authenticated' })
  if (!bots[bot]) return answer(response, 404, { detail: 'bot not found' })
  if (request.method === 'GET') return answer(response, 200, { id: bot, name: bots[bot], permission: 'viewer' })
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => chat(response, bot, user, Buffer.concat(parts).toString()))
})

const wss = new WebSocketServer({
  noServer: true, maxPayload: options.most || 1 << 22, perMessageDeflate: Boolean(options.deflate)
})

server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://x')
  const [, bot] = url.pathname.match(/^\/api\/ws\/chat\/([^/]+)$/) || []
  const user = caller(url.searchParams.get('token'))
  if (!bot || !user || !bots[bot]) {
    return socket.end(`HTTP/1.1 ${bot ? (user ? '403 Forbidden' : '401 Unauthorized') : '404 Not Found'}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
  }
  wss.handleUpgrade(request, socket, head, (ws) => live(ws, bot, user))
})

function live (ws, bot, user) {
  ws.answered = true
  ws.on('error', () => {})
  ws.on('close', () => sockets.delete(ws))
  if (!options.deaf) ws.on('pong', () => { ws.answered = true })
  if (options.replace) {
    for (const [other, place] of sockets) {
      if (place.bot === bot && place.user === user.sub) other.close(4009, 'replaced by a new session')
    }
  }
  sockets.set(ws, { bot, user: user.sub })
  if (options.expire) setTimeout(() => ws.close(4401, 'token expired'), user.exp * 1000 - Date.now())
  if (options.age) setTimeout(() => ws.close(1001, 'maximum age'), options.age * 1000)
  // What is registered late: a subscription that a look-up elsewhere has to give first.
  let subscription = options.early_ping ? null : { user: user.sub }
  setTimeout(() => { subscription = { user: user.sub } }, (options.early_ping || 0) * 1000)
  ws.on('message', (raw) => {
    ws.answered = true
    let message = null
    try { message = JSON.parse(raw.toString()) } catch { return ws.send('{"type": "error", "message": "invalid JSON"}') }
    if (message?.type === 'ping') {
      if (subscription === null) return ws.terminate()
      ws.send(JSON.stringify({ type: 'pong', timestamp: message.timestamp }))
    } else if (message?.type === 'typing' && options.typing) process.exit(1)
  })
  const data = { bot_id: bot, bot_name: bots[bot], user_id: user.sub, connection_id: crypto.randomUUID() }
  ws.send(JSON.stringify({ type: 'connection_established', data }))
}

if (options.sweep) {
  setInterval(() => {
    for (const ws of sockets.keys()) {
      if (!ws.answered) { ws.terminate(); continue }
      ws.answered = false
      ws.ping()
    }
  }, options.sweep * 1000)
}

process.on('SIGTERM', () => {
  for (const ws of sockets.keys()) ws.close(1012, 'restart')
  server.close()
  setTimeout(() => process.exit(0), 300)
})

server.listen(Number(process.argv[2]), '127.0.0.1')
