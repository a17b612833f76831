// SPDX-License-Identifier: MIT
/*
 * support.mjs -- what the tests of the JavaScript client share.
 *
 * Two gateways of paper, on the package `ws`: one that a test plays itself,
 * frame by frame (ScriptedGateway), and one that keeps channels in memory and
 * can be cut at any place (MemoryGateway).  They exist to make faults that a
 * good gateway does not make; what the real one does is tested with the real
 * one, which Daemon starts.
 *
 * Nothing here waits by guess: every wait is for an event, with a deadline.
 */

import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import WS, { WebSocketServer } from 'ws'
import RedistributeClient, { compareOffsets } from '../../gateway/client/redistribute-client.js'

const DEADLINE_MS = 15000

/** The platform's own class where it has one: that is what users get. */
export const WebSocketHere = globalThis.WebSocket ?? WS

/* ---- Waiting ---------------------------------------------------------- */

export function within (promise, what, ms = DEADLINE_MS) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** The next value of an event of a client. */
export function event (client, name, accept = () => true) {
  return within(new Promise(resolve => {
    const listener = value => {
      if (!accept(value)) return
      client.off(name, listener)
      resolve(value)
    }
    client.on(name, listener)
  }), `event ${name}`)
}

/** The error that a promise is rejected with. */
export async function failure (promise) {
  try {
    await within(promise, 'a failure')
  } catch (error) {
    return error
  }
  throw new Error('did not fail')
}

/** Things that come one after the other, and can be awaited. */
export class Inbox {
  #items = []
  #takers = []

  put (item) {
    const taker = this.#takers.shift()
    if (taker) taker(item)
    else this.#items.push(item)
  }

  get size () { return this.#items.length }

  next (what = 'the next item') {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift())
    return within(new Promise(resolve => this.#takers.push(resolve)), what)
  }
}

/** Collects messages until there are `count` of them. */
export class Collector {
  messages = []
  #wanted = null

  get handler () {
    return messages => {
      this.messages.push(...messages)
      if (this.#wanted && this.messages.length >= this.#wanted.count) this.#wanted.resolve()
    }
  }

  async count (count) {
    if (this.messages.length < count) {
      const enough = new Promise(resolve => { this.#wanted = { count, resolve } })
      await within(enough, `${count} messages`, 4 * DEADLINE_MS)
    }
    return this.messages
  }
}

/** A client that is closed when its test ends. */
export function makeClient (t, options) {
  const client = new RedistributeClient({
    WebSocket: WebSocketHere,
    backoff: { min: 1, max: 20 },
    ...options
  })
  t.after(() => client.close())
  return client
}

/* ---- A gateway that the test plays ------------------------------------ */

export const WELCOME = {
  client: 'c1',
  gateway: 'g1',
  version: '0.1.0',
  epoch: 'E1',
  time: 1700000000000,
  ping: 25000,
  limits: { message: 65536, subscriptions: 1000 }
}

class Connection {
  requests = new Inbox()
  closed

  constructor (socket, request) {
    this.socket = socket
    this.path = request.url
    socket.on('message', text => this.requests.put(JSON.parse(text)))
    socket.on('error', () => {})
    this.closed = new Promise(resolve => socket.on('close', code => resolve(code)))
  }

  send (frame) { this.socket.send(JSON.stringify(frame)) }
  welcome (more) { this.push('welcome', { ...WELCOME, ...more }) }
  push (push, more) { this.send({ push, ...more }) }
  messages (channel, ...messages) { this.push('messages', { channel, messages }) }
  ok (request, ok) { this.send({ id: request.id, ok }) }

  error (request, code, retry = false) {
    this.send({ id: request.id, error: { code, message: `it is ${code}`, retry } })
  }

  /** The next request, which must be a `do`. */
  async request (verb) {
    const request = await this.requests.next(`request ${verb}`)
    if (request.do !== verb) {
      throw new Error(`wanted ${verb}, got ${JSON.stringify(request)}`)
    }
    return request
  }

  /** Answers the next request, a subscribe. */
  async subscribed (offset, epoch = 'E1') {
    const request = await this.request('subscribe')
    this.ok(request, { channel: request.channel, offset, epoch })
    return request
  }

  /** Resolves when all that the client has sent so far is here. */
  roundTrip () {
    return within(new Promise(resolve => {
      this.socket.once('pong', resolve)
      this.socket.ping()
    }), 'a pong')
  }

  close (code, reason) { this.socket.close(code, reason) }
  cut () { this.socket.terminate() }
}

export class ScriptedGateway {
  #server
  #connections = new Inbox()
  accepted = 0

  static async start (t) {
    const gateway = new ScriptedGateway()
    gateway.#server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    gateway.#server.on('connection', (socket, request) => {
      gateway.accepted++
      gateway.#connections.put(new Connection(socket, request))
    })
    await new Promise(resolve => gateway.#server.on('listening', resolve))
    t.after(() => gateway.stop())
    return gateway
  }

  get url () { return `ws://127.0.0.1:${this.#server.address().port}` }

  connection () { return this.#connections.next('a connection') }

  async welcomed (more) {
    const connection = await this.connection()
    connection.welcome(more)
    return connection
  }

  stop () {
    for (const socket of this.#server.clients) socket.terminate()
    return new Promise(resolve => this.#server.close(resolve))
  }
}

/* ---- A gateway that keeps channels in memory -------------------------- */

export class MemoryGateway extends EventEmitter {
  #server
  #channels = new Map()
  #time = 1700000000000
  epoch = 'E1'

  static async start (t) {
    const gateway = new MemoryGateway()
    gateway.#server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    gateway.#server.on('connection', socket => gateway.#serve(socket))
    await new Promise(resolve => gateway.#server.on('listening', resolve))
    t.after(() => {
      gateway.cut()
      gateway.#server.close()
    })
    return gateway
  }

  get url () { return `ws://127.0.0.1:${this.#server.address().port}` }

  cut () {
    for (const socket of this.#server.clients) socket.terminate()
  }

  /** A batch of messages, which travels in one frame. */
  publish (channel, ...batch) {
    const stream = this.#stream(channel)
    const entries = batch.map(([type, data]) => [`${this.#time++}-0`, type, data])
    stream.push(...entries)
    for (const socket of this.#server.clients) this.#feed(socket, channel)
    return entries.at(-1)[0]
  }

  #stream (channel) {
    if (!this.#channels.has(channel)) this.#channels.set(channel, [])
    return this.#channels.get(channel)
  }

  #serve (socket) {
    socket.cursors = new Map()
    socket.on('error', () => {})
    socket.on('message', text => this.#handle(socket, JSON.parse(text)))
    send(socket, { push: 'welcome', ...WELCOME, epoch: this.epoch })
  }

  #handle (socket, request) {
    const { id, channel } = request
    if (request.do === 'subscribe') {
      const stream = this.#stream(channel)
      const last = stream.at(-1)?.[0] ?? '0-0'
      const foreign = request.epoch && request.epoch !== this.epoch
      const offset = foreign || request.offset === '0' ? '0-0' : request.offset === '$' ? last : request.offset
      socket.cursors.set(channel, offset)
      send(socket, { id, ok: { channel, offset, epoch: this.epoch } })
      if (foreign) {
        send(socket, { push: 'gap', channel, from: request.offset, first: stream[0]?.[0] ?? null, lost: null })
      }
      this.#feed(socket, channel)
    } else if (request.do === 'publish') {
      send(socket, { id, ok: { offset: this.publish(channel, [request.type ?? null, request.data]) } })
      this.emit('published')
    } else if (request.do === 'unsubscribe') {
      socket.cursors.delete(channel)
      send(socket, { id, ok: { channel } })
    }
  }

  #feed (socket, channel) {
    const cursor = socket.cursors.get(channel)
    if (cursor === undefined) return
    const messages = this.#stream(channel).filter(m => compareOffsets(m[0], cursor) > 0)
    if (messages.length === 0) return
    socket.cursors.set(channel, messages.at(-1)[0])
    send(socket, { push: 'messages', channel, messages })
  }
}

function send (socket, frame) {
  if (socket.readyState === WS.OPEN) socket.send(JSON.stringify(frame))
}

/* ---- The documents ---------------------------------------------------- */

/** The block of a document whose mark names that test. */
export async function documented (document, language, test) {
  const text = await readFile(new URL(`../../${document}`, import.meta.url), 'utf8')
  const blocks = [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)]
  return blocks.find(([, mark]) => mark === `${language} test=tests/client/${test}`)[2]
}

/* ---- The real daemon -------------------------------------------------- */

export async function freePort () {
  const server = net.createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Runs a program to its end; its output. */
export async function run (program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', data => { stdout += data })
  child.stderr.on('data', data => { stderr += data })
  const code = await within(new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  }), `the end of ${program} ${args[0]}`, 120000).finally(() => child.kill('SIGKILL'))
  return { code, stdout, stderr }
}

async function filesIn (dir) {
  const entries = await readdir(dir, { withFileTypes: true })
  const files = entries.map(entry => ({ entry, path: path.join(dir, entry.name) }))
  const below = await Promise.all(files.filter(file => file.entry.isDirectory()).map(file => filesIn(file.path)))
  return files.concat(...below)
}

/** `redistribute start` in a directory of its own, with the embedded Redis. */
export class Daemon {
  #child
  #exit
  #log = []
  #watchers = new Set()

  static async start (t, ...more) {
    const daemon = new Daemon()
    t.after(() => daemon.#cleanUp())
    await daemon.#start(more)
    return daemon
  }

  async #start (more) {
    const build = process.env.RD_BUILD
    if (!build) throw new Error('RD_BUILD: set it to the build directory')
    this.dir = await mkdtemp(path.join(os.tmpdir(), 'rd-client-'))
    this.port = await freePort()
    this.#child = spawn(path.join(build, 'src/redistribute'), [
      'start', '--host', '127.0.0.1', '--port', this.port,
      '--ops-port', await freePort(), '--data-dir', this.dir,
      '--pages', path.join(build, 'gateway/pages'), '--workers', '0', ...more
    ].map(String), { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#exit = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('exit', (code, signal) => resolve(signal ?? code))
    })
    this.#exit.catch(() => {})
    createInterface({ input: this.#child.stderr }).on('line', line => {
      this.#log.push(line)
      for (const watcher of this.#watchers) watcher(line)
    })
    const ready = this.line(line => line.includes(`[${this.pid}]`) && /\bevent=ready\b/.test(line), 60000)
    const early = this.#exit.then(code => { throw new Error(`ended at once: ${code}`) })
    early.catch(() => {})
    await Promise.race([ready, early]).catch(error => this.#explain(error))
  }

  get pid () { return this.#child.pid }
  get url () { return `http://127.0.0.1:${this.port}` }

  #explain (error) {
    throw new Error(`${error.message}\n${this.#log.slice(-40).join('\n')}`)
  }

  /** The first line of the log, from the start on or from now on, that fits. */
  line (accept, ms) {
    let watcher
    return within(new Promise(resolve => {
      const known = this.#log.find(accept)
      if (known) return resolve(known)
      watcher = line => { if (accept(line)) resolve(line) }
      this.#watchers.add(watcher)
    }), 'a line of the log', ms).finally(() => this.#watchers.delete(watcher))
  }

  /** So many lines of the log, from now on, that fit. */
  lines (count, accept, ms) {
    let watcher
    return within(new Promise(resolve => {
      watcher = line => { if (accept(line) && --count === 0) resolve() }
      this.#watchers.add(watcher)
    }), 'lines of the log', ms).finally(() => this.#watchers.delete(watcher)).catch(error => this.#explain(error))
  }

  signal (name) { this.#child.kill(name) }

  /** Talks to the embedded Redis, as another producer would. */
  async redis (...args) {
    const sockets = (await filesIn(this.dir)).filter(file => file.entry.isSocket())
    const socket = sockets.find(file => /redis/.test(file.path)) ?? sockets[0]
    if (!socket) throw new Error(`no socket of Redis in ${this.dir}`)
    const { code, stdout, stderr } = await run('redis-cli', ['-s', socket.path, ...args])
    if (code !== 0) throw new Error(stderr)
    return stdout.trim()
  }

  /** The process ids of the children whose command line has this word. */
  async children (word) {
    const { stdout } = await run('ps', ['-o', 'pid=,args=', '--ppid', String(this.pid)])
    return stdout.split('\n').filter(line => line.includes(word)).map(line => parseInt(line, 10))
  }

  /** Must end well when told to. */
  async stop () {
    this.#child.kill('SIGTERM')
    const code = await within(this.#exit, 'the end of the daemon', 40000).catch(error => this.#explain(error))
    if (code !== 0) this.#explain(new Error(`ended with ${code}`))
  }

  async #cleanUp () {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM')
      await within(this.#exit, 'the end of the daemon', 40000).catch(() => this.#child.kill('SIGKILL'))
    }
    if (this.dir) await rm(this.dir, { recursive: true, force: true })
  }
}

/** A TCP relay in front of the daemon, whose connections a test can cut. */
export class Relay {
  #server
  #sockets = new Set()

  static async start (t, port) {
    const relay = new Relay()
    relay.#server = net.createServer(near => {
      const far = net.connect(port, '127.0.0.1')
      for (const [socket, other] of [[near, far], [far, near]]) {
        relay.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          relay.#sockets.delete(socket)
          other.destroy()
        })
      }
      near.pipe(far).pipe(near)
    })
    await new Promise(resolve => relay.#server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      relay.#server.close()
      relay.cut()
    })
    return relay
  }

  get url () { return `ws://127.0.0.1:${this.#server.address().port}` }

  cut () {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** As a network that has gone: nothing passes, and nobody is told. */
  freeze () {
    for (const socket of this.#sockets) socket.pause()
  }

  thaw () {
    for (const socket of this.#sockets) socket.resume()
  }
}
