// SPDX-License-Identifier: MIT
/*
 * redistribute-client.js -- follow the channels of a Redistribute gateway,
 * and publish to them, from a browser or from Node.
 *
 * The hard idea: a subscription is a position, not a connection.  Each one
 * remembers the offset of the last message that its handler was given, and the
 * epoch (the data set) that the offset belongs to.  A broken connection costs
 * nothing but time: the next one asks for everything after that offset, so no
 * message is lost or given twice.  What a channel should be (`want`) and what
 * the gateway has been told (`wire`) are kept apart, and sync() brings the
 * second to the first, one request at a time.
 *
 * A publish is the opposite, and so is a call: once sent, only its answer says
 * what became of it.  One that the connection took along is reported as
 * `unknown`, and never sent again.  A gateway that drains is the exception: it
 * answers all that it has taken before it closes with 1012, so what it has not
 * answered then it has never taken, and that goes to the next one.
 *
 * One file, two kinds of module: this is plain ESM, which a browser and a
 * bundler take as it is, without a build step.  Its only export is the last
 * statement, so that redistribute-client.cjs can give the very same text to
 * require(), which cannot load ESM before Node 22.  Keep it so: no import
 * statement, no import.meta, no await outside of a function.
 *
 * The wire is described in ../PROTOCOL.md, the API in README.md and
 * redistribute-client.d.ts.
 */

const SUBPROTOCOL = 'redistribute.json'
const DRAINED_CODE = 1012 //    of a gateway that has said that it drains: all is answered
const STOP_CODES = new Set([1002, 1003, 1007, 1008, 1009])
const LATER_CODES = new Set([1011, 1013]) // "reconnect later"
const LATER_ATTEMPT = 3 //     ... as if so many attempts had failed
const SETTLED_MS = 5000 //     a connection this old that has served was a good one
const SPREAD_MAX_MS = 60000 // no gateway's crowd needs longer to come back
const SILENCE_GRACE_MS = 15000 // beyond the gateway's ping interval
const SILENCE_MAX_MS = 20000 // so long a silence is asked about, whatever that is
const PROBE_MS = 4000 //       and so long may the answer take
const DEFAULT_PING_MS = 25000
const STORE_DELAY_MS = 200 //  arrivals are written to the storage together
const WINDOW = 500 //          requests that await an answer, half of what a gateway
const WINDOW_BYTES = 512 * 1024 // listens to, so that it never has to stop listening
const UNSENT_BYTES = 64 * 1024 // the WebSocket holds so much, and the rest waits here
const UNSENT_LOOK_MS = 25 //   how often it is asked what it still holds

/** An error with a stable `code`; `retry` says whether to try again later. */
class RedistributeError extends Error {
  constructor (code, message, more) {
    super(message)
    this.name = 'RedistributeError'
    this.code = code
    this.retry = false
    Object.assign(this, more)
  }
}

/* ---- Small pure things ------------------------------------------------ */

const encoder = new TextEncoder()

/** Negative, zero or positive, as `a` is before, the same as, or after `b`. */
function compareOffsets (a, b) {
  const [ams, aseq = '0'] = a.split('-')
  const [bms, bseq = '0'] = b.split('-')
  return compareDigits(ams, bms) || compareDigits(aseq, bseq)
}

// 64 bits do not fit into a number; without leading zeros, length decides.
function compareDigits (a, b) {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

/** What the gateways' addresses are as WebSocket addresses. */
function socketAddresses (targets) {
  const list = typeof targets === 'string' ? [targets] : targets
  if (!Array.isArray(list) || list.length === 0) {
    throw new TypeError('targets: one address of a gateway, or several')
  }
  return list.map(target => {
    const text = String(target)
    const url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `ws://${text}`)
    const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol]
    if (!scheme) throw new TypeError(`targets: ${url.protocol}// is not a scheme of a gateway`)
    if (/^\/ws\//.test(url.pathname)) {
      throw new TypeError('targets: /ws/ is the plain mode, which this client does not speak')
    }
    return `${scheme}//${url.host}${url.pathname}${url.search}`
  })
}

function bytesOf (data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
  return null
}

function toBase64 (bytes) {
  let text = ''
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode.apply(null, bytes.subarray(i, i + 0x8000))
  }
  return btoa(text)
}

/** The bytes; null where it is none, for what cannot be read harms nothing else. */
function fromBase64 (base64) {
  try {
    return Uint8Array.from(atob(base64), c => c.charCodeAt(0))
  } catch {
    return null
  }
}

/** An offset: two numbers of 64 bits. */
function isOffset (value) {
  return typeof value === 'string' && /^\d{1,20}-\d{1,20}$/.test(value)
}

function areMessages (value) {
  return Array.isArray(value) && value.every(m => Array.isArray(m) && isOffset(m[0]))
}

/** A message that stands alone: a direct one, or what a call is answered with. */
function payloadOf ({ type, data, data64, msgpack64 }) {
  const message = { type, data: data ?? null }
  if (typeof data64 === 'string') message.data = fromBase64(data64)
  if (typeof msgpack64 === 'string') message.msgpack = fromBase64(msgpack64)
  return message
}

/** [offset, type, data, more] as the object that handlers are given. */
function messageOf (channel, [offset, type, data, more]) {
  const message = { channel, offset, type, data }
  if (more) {
    if (typeof more.data64 === 'string') message.data = fromBase64(more.data64)
    if (typeof more.msgpack64 === 'string') message.msgpack = fromBase64(more.msgpack64)
    if (more.from !== undefined) message.from = more.from
    if (more.key !== undefined) message.key = more.key
  }
  return message
}

function bytesIn (text) {
  return encoder.encode(text).length
}

/*
 * What JSON.stringify() makes of any value, and the gateway does not take:
 * halves of a surrogate pair, NUL in the name of a member.  Both come out as
 * escapes, and a name is what a colon follows.
 */
function flawOf (text) {
  if (!text.includes('\\u')) return null
  for (const { 0: escape, index } of text.matchAll(/\\(?:u(?:0000|d[89a-f]..)|.)/g)) {
    if (escape.startsWith('\\ud')) return 'half of a surrogate pair'
    if (escape !== '\\u0000') continue
    const rest = /[^"\\]*(?:\\.[^"\\]*)*"(:?)/y
    rest.lastIndex = index
    if (rest.exec(text)?.[1] === ':') return "NUL in a member's name"
  }
  return null
}

/*
 * Names in variables, so that no bundler follows them.  `npm install DIRECTORY`
 * makes a link, and Node looks for a package beside the linked file: so it is
 * looked for beside the program, too.
 */
async function webSocketClass () {
  if (globalThis.WebSocket) return globalThis.WebSocket
  const [name, nodeModule] = ['ws', 'node:module']
  try {
    const ws = await import(/* webpackIgnore: true */ /* @vite-ignore */ name).catch(async error => {
      const { createRequire } = await import(/* webpackIgnore: true */ /* @vite-ignore */ nodeModule)
      for (const place of [globalThis.process.argv[1], `${globalThis.process.cwd()}/`]) {
        try { return createRequire(place)(name) } catch { /* nor there */ }
      }
      throw error
    })
    return ws.WebSocket ?? ws.default
  } catch (cause) {
    throw new RedistributeError('no_websocket', 'there is no WebSocket here: ' +
      'use Node 22, or install the package ws, or give one as options.WebSocket', { cause })
  }
}

/** Why a WebSocket did not come about, in words, if anybody has told. */
function reasonOf (cause) {
  return cause?.message || cause?.errors?.[0]?.message || cause?.code || cause?.cause?.message
}

/* ---- What load() finds: messages kept in a localStorage --------------- */

class MemoryStorage {
  #items = new Map()
  get length () { return this.#items.size }
  key (i) { return [...this.#items.keys()][i] }
  getItem (key) { return this.#items.get(key) ?? null }
  setItem (key, value) { this.#items.set(key, value) }
  removeItem (key) { this.#items.delete(key) }
}

function defaultStorage () {
  try {
    // Not globalThis.localStorage: merely to look for it makes Node complain.
    if (typeof window !== 'undefined' && window.localStorage) return window.localStorage
  } catch { /* forbidden by the browser's settings */ }
  return new MemoryStorage()
}

/*
 * One record per channel: {epoch, offset, count, messages}, written with one
 * setItem(), so they never disagree.  The record may lag behind what handlers
 * were given, never run ahead: a tab that dies is given the difference again on
 * its next visit.  What is read may have been written by anybody: a record that
 * is not whole is none.
 *
 * No more than so many channels are stored, where the storage can name them:
 * those go first whose last message is the oldest, and never one that this
 * client keeps.
 */
class Store {
  #storage
  #prefix
  #limit
  #most
  #records = new Map()
  #timer = null

  constructor (storage, prefix, limit, most) {
    this.#storage = storage
    this.#prefix = prefix
    this.#limit = limit
    this.#most = most
  }

  /** From now on, what arrives in this channel is kept. */
  keep (channel) {
    let record = this.#records.get(channel)
    if (!record) {
      const { text, value } = this.#read(channel)
      record = { epoch: null, offset: undefined, count: null, messages: [], ...value, text, dirty: false }
      this.#records.set(channel, record)
    }
    return record
  }

  /** The epoch and the count that belong to an offset that load() has told. */
  placeOf (channel, offset) {
    const record = this.#records.get(channel)
    return record && record.offset === offset ? { epoch: record.epoch, count: record.count } : {}
  }

  note (channel, epoch, offset, messages, count) {
    const record = this.#records.get(channel)
    if (!record) return
    if (record.epoch !== epoch) {
      Object.assign(record, { epoch, offset: undefined, messages: [] })
    }
    const last = record.offset
    if (last !== undefined && compareOffsets(offset, last) <= 0) return
    const fresh = last === undefined
      ? messages
      : messages.filter(m => compareOffsets(m[0], last) > 0)
    record.messages = record.messages.concat(fresh)
    if (record.messages.length > this.#limit) {
      record.messages = record.messages.slice(record.messages.length - this.#limit)
    }
    record.offset = offset
    record.count = count
    record.dirty = true
    if (this.#timer === null) {
      this.#timer = setTimeout(() => this.flush(), STORE_DELAY_MS)
      this.#timer.unref?.()
    }
  }

  flush () {
    clearTimeout(this.#timer)
    this.#timer = null
    for (const [channel, record] of this.#records) {
      if (!record.dirty) continue
      record.dirty = false
      if (!this.#isBehind(channel, record)) this.#write(channel, record)
    }
  }

  // Another tab of the same page may have written a later record meanwhile.
  #isBehind (channel, record) {
    const { text, value } = this.#read(channel)
    return text !== record.text && value?.epoch === record.epoch &&
      compareOffsets(value.offset, record.offset) > 0
  }

  #read (channel) {
    try {
      const text = this.#storage.getItem(this.#prefix + channel)
      const { epoch, offset, count, messages } = JSON.parse(text)
      if (isOffset(offset) && areMessages(messages) && (epoch === null || typeof epoch === 'string')) {
        return {
          text,
          value: {
            epoch,
            offset,
            count: Number.isSafeInteger(count) && count >= 0 ? count : null,
            messages: messages.slice(-this.#limit || messages.length)
          }
        }
      }
    } catch { /* no storage, or nothing of ours in it */ }
    return { text: null, value: null }
  }

  // What does not fit makes others go, then is halved until it does: the offset
  // matters most.
  #write (channel, record) {
    const { epoch, offset } = record
    const count = record.count ?? undefined
    if (record.text === null) this.#forget(this.#most - 1)
    for (let messages = record.messages; ;) {
      try {
        const text = JSON.stringify({ epoch, offset, count, messages })
        this.#storage.setItem(this.#prefix + channel, text)
        record.text = text
        return
      } catch {
        if (this.#forget(this.#stored().length - 1)) continue
        if (messages.length === 0) return
        messages = messages.slice(Math.ceil(messages.length / 2))
      }
    }
  }

  // The channels that are stored.
  #stored () {
    const storage = this.#storage
    const channels = []
    try {
      for (let i = 0; i < storage.length; i++) {
        const key = storage.key(i)
        if (key.startsWith(this.#prefix)) channels.push(key.slice(this.#prefix.length))
      }
    } catch { return [] /* it cannot name them */ }
    return channels
  }

  // Leaves so many, where that can be done; tells whether one has gone.
  #forget (most) {
    const channels = this.#stored()
    if (channels.length <= most) return false
    const others = channels.filter(channel => !this.#records.has(channel)).map(channel => {
      return { channel, offset: this.#read(channel).value?.offset ?? '0-0' }
    }).sort((a, b) => compareOffsets(a.offset, b.offset)).slice(0, channels.length - most)
    try {
      for (const { channel } of others) this.#storage.removeItem(this.#prefix + channel)
    } catch { /* nor does it let go of anything */ }
    return this.#stored().length < channels.length
  }
}

/* ---- The client ------------------------------------------------------- */

/*
 * A request waits in #waiting or travels in #inFlight.  Its kind says what a
 * broken connection means for it:
 *   publish   its fate is unknown: rejected, never repeated; after a drain it
 *             was not taken, and waits again
 *   call      the same
 *   repeat    asks only (history, ping): asked again until its time is over
 *   link      about this connection (subscribe, unsubscribe, probe): forgotten,
 *             and one that is not answered in time means a broken connection
 *
 * What travels is bounded, in number and bytes, except for links.  What the
 * WebSocket still holds has not left: the time for an answer begins when it has.
 */
class Client {
  #options
  #targets
  #turn = 0 //            which target is next
  #state = 'connecting'
  #socket = null
  #socketError = null //  what the WebSocket complained of, if it did
  #welcome = null //      null until the gateway has greeted
  #draining = false //    the gateway is going: nothing new is sent to it
  #since = 0 //           when the gateway greeted
  #served = false //      it has answered something that needs Redis
  #spread = 0 //          over so many ms its clients come back, if it ends without a word
  #attempt = 0
  #timer = null //        until the next connection
  #quiet = null //        until the handshake or the silence is too long
  #pace = null //         until the gateway takes another message
  #lastId = 0
  #inFlight = new Map()
  #flying = 0 //          of these, how many are no links
  #flyingBytes = 0
  #crowded = false //     something waits because too much is in flight
  #waiting = []
  #heldBytes = 0 //       of publishes and calls, waiting or in flight
  #sent = 0 //            bytes given to this WebSocket
  #unsent = [] //         requests that it may still hold
  #look = null //         until it is asked again
  #leftAt = 0 //          when bytes were last seen to leave
  #asked = null //        the ping that is to show that the gateway lives
  #heardAt = 0 //         when the gateway was last heard
  #moved = { id: 0, at: 0 } // the last publish or call that was answered
  #channels = new Map()
  #listeners = new Map()
  #printed = new Set() // errors that nobody has listened to
  #store
  #unhook = () => {}

  constructor (options) {
    if (options === null || typeof options !== 'object') {
      throw new TypeError('options: an object with targets')
    }
    this.#targets = socketAddresses(options.targets)
    this.#options = {
      WebSocket: options.WebSocket,
      queue: options.queue ?? 1000,
      queueBytes: options.queueBytes ?? 16 * 1024 * 1024,
      requestTimeout: options.requestTimeout ?? 10000,
      min: options.backoff?.min ?? 500,
      max: options.backoff?.max ?? 20000,
      keep: options.keep ?? false
    }
    this.#store = new Store(options.storage ?? defaultStorage(),
      options.storagePrefix ?? 'redistribute:', options.history ?? 100, options.channels ?? 100)
    this.#hook()
    queueMicrotask(() => this.#connect())
  }

  /** 'connecting' (also between two attempts), 'connected' or 'closed'. */
  get state () {
    return this.#state
  }

  /* -- Channels -- */

  load (channel, callback) {
    checkChannel(channel)
    checkFunction(callback, 'callback')
    const { messages, offset } = this.#store.keep(channel)
    const loaded = messages.map(message => messageOf(channel, message))
    const sub = this.#channels.get(channel)?.want
    if (sub?.epoch && sub.live) this.#store.note(channel, sub.epoch, sub.offset, [], sub.count)
    queueMicrotask(() => this.#call(callback, loaded, offset))
  }

  subscribe (channel, offset, onMessages) {
    if (typeof offset === 'function' && onMessages === undefined) {
      onMessages = offset
      offset = undefined
    }
    checkChannel(channel)
    checkFunction(onMessages, 'onMessages')
    if (this.#state === 'closed') return quiet(Promise.reject(closedError()))

    let entry = this.#channels.get(channel)
    if (entry?.want) return entry.want.promise
    if (!entry) {
      entry = newEntry(channel)
      this.#channels.set(channel, entry)
    }
    const start = String(offset ?? '$')
    if (entry.joined?.given && start === '$') return this.#adopt(entry, onMessages)
    const sub = { onMessages, offset: start, epoch: null, live: false, any: false }
    sub.promise = quiet(new Promise((resolve, reject) => Object.assign(sub, { resolve, reject })))
    if (this.#options.keep) this.#store.keep(channel)
    Object.assign(sub, this.#store.placeOf(channel, start))
    entry.want = sub
    this.#sync(entry)
    return sub.promise
  }

  unsubscribe (channel) {
    checkChannel(channel)
    const entry = this.#channels.get(channel)
    if (!entry) return Promise.resolve()
    entry.want?.reject(new RedistributeError('unsubscribed', `unsubscribed from ${channel}`))
    entry.want = null
    return new Promise(resolve => {
      entry.leavers.push(resolve)
      this.#sync(entry)
    })
  }

  publish (channel, type, data) {
    if (arguments.length < 3) {
      data = type
      type = undefined
    }
    checkChannel(channel)
    const body = { do: 'publish', channel }
    if (type !== undefined && type !== null) body.type = String(type)
    putData(body, data)
    return quiet(this.#ask('publish', body).then(ok => ok.offset))
  }

  call (channel, type, data = null) {
    checkChannel(channel)
    const body = { do: 'call', channel }
    if (type !== undefined && type !== null) body.type = String(type)
    putData(body, data)
    return this.#ask('call', body).then(ok => {
      const { data, msgpack } = payloadOf(ok)
      return msgpack ?? data
    })
  }

  history (channel, options = {}) {
    checkChannel(channel)
    const { from, to, limit, reverse } = options
    const body = { do: 'history', channel, to, limit, reverse }
    if (from !== undefined) body.from = String(from)
    return this.#ask('repeat', body).then(ok => ({
      messages: ok.messages.map(message => messageOf(channel, message)),
      more: ok.more === true
    }))
  }

  ping () {
    return this.#ask('repeat', { do: 'ping' }).then(ok => ok.time)
  }

  close () {
    if (this.#state === 'closed') return
    const wasConnected = this.#state === 'connected'
    const socket = this.#detach()
    try { socket?.close(1000) } catch { /* it was closed already */ }
    this.#end(closedError())
    if (wasConnected) this.#emit('disconnect', { code: 1000, reason: '', willReconnect: false })
  }

  /* -- Events -- */

  on (event, listener) {
    checkFunction(listener, 'listener')
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Map())
    this.#listeners.get(event).set(listener, listener)
    return this
  }

  once (event, listener) {
    checkFunction(listener, 'listener')
    this.on(event, listener)
    this.#listeners.get(event).set(listener, value => {
      this.off(event, listener)
      return listener(value)
    })
    return this
  }

  off (event, listener) {
    this.#listeners.get(event)?.delete(listener)
    return this
  }

  #emit (event, value) {
    const listeners = this.#listeners.get(event)
    if (!listeners || listeners.size === 0) {
      if (event === 'error') this.#print(value)
      return
    }
    for (const listener of [...listeners.values()]) {
      if (event === 'error') {
        try { listener(value) } catch (error) { throwLater(error) }
      } else {
        this.#call(listener, value)
      }
    }
  }

  // Nobody listens: each kind of error is told once, but what close() leaves is
  // no news to whoever has called it.
  #print (error) {
    const kind = error.code ?? error.name
    const left = kind === 'closed' || (kind === 'unknown' && this.#state === 'closed')
    if (left || this.#printed.has(kind)) return
    this.#printed.add(kind)
    globalThis.console?.error(`redistribute-client: ${kind}: ${error.message} ` +
      "(told once; listen to the event 'error' to hear of each)")
  }

  // The user's code may throw, now or in a promise: that is not our end.
  #call (callback, ...args) {
    try {
      const result = callback(...args)
      if (typeof result?.then === 'function') result.then(undefined, error => this.#report(error))
    } catch (error) {
      this.#report(error)
    }
  }

  #report (error) {
    if (this.#listeners.get('error')?.size > 0) this.#emit('error', error)
    else throwLater(error)
  }

  /* -- Requests -- */

  get #usable () {
    return this.#state === 'connected' && !this.#draining && this.#socket.readyState === 1
  }

  #ask (kind, body) {
    return new Promise((resolve, reject) => {
      const settle = (error, ok) => {
        if (!error) return resolve(ok)
        reject(error)
        if (kind === 'publish') this.#emit('error', error)
      }
      let request
      try {
        request = this.#request(kind, body, settle)
      } catch (error) { // a BigInt, a cycle, or nested too deep for this engine
        return settle(about({ request: body.do, channel: body.channel }, error))
      }
      const flaw = flawOf(request.text)
      if (flaw) {
        const name = Object.keys(body).find(name => flawOf(JSON.stringify(body[name])))
        const error = new RedistributeError('bad_request', `${name}: ${flaw} cannot be sent`)
        return settle(about(request, error))
      }
      this.#submit(request)
    })
  }

  #request (kind, body, settle) {
    const { channel, do: request } = body
    const text = JSON.stringify(body)
    return { id: 0, kind, request, channel, text, bytes: bytesIn(text), end: 0, since: 0, settle, timer: null }
  }

  #submit (request) {
    if (this.#state === 'closed') return request.settle(about(request, closedError()))
    if (isOnce(request)) {
      if (!this.#isRoomToWait(request) && !this.#maySend(request)) {
        return request.settle(about(request, new RedistributeError('queue_full',
          `too much is waiting already: ${this.#waiting.length} requests, ${this.#heldBytes} bytes`, { retry: true })))
      }
      this.#hold(request)
    }
    if (this.#forward(request)) return
    this.#waiting.push(request)
    if (request.kind === 'repeat') this.#limitTime(request)
  }

  #isRoomToWait (request) {
    const { queue, queueBytes } = this.#options
    return this.#waiting.length < queue && this.#heldBytes + request.bytes <= queueBytes
  }

  // Its bytes are counted until it is settled.
  #hold (request) {
    const { settle, bytes } = request
    this.#heldBytes += bytes
    request.settle = (error, ok) => {
      this.#heldBytes -= bytes
      settle(error, ok)
    }
  }

  // The gateway may answer a publish before a subscribe that was sent first;
  // who subscribes to new messages and publishes one is to see it.
  #maySend (request) {
    if (!this.#usable || this.#crowded) return false
    if (request.kind !== 'publish') return true
    return this.#pace === null && this.#channels.get(request.channel)?.wire !== 'joining'
  }

  // Sends it, if it may go now.
  #forward (request) {
    if (!this.#maySend(request)) return false
    this.#crowded = this.#flying > 0 && (this.#flying >= WINDOW ||
      this.#flyingBytes + request.bytes > WINDOW_BYTES || this.#unsentBytes > UNSENT_BYTES)
    if (this.#crowded) this.#lookLater()
    else this.#transmit(request)
    return !this.#crowded
  }

  // Where half of the room is free again, what waits for it goes on.
  #relax () {
    if (!this.#crowded || this.#flying > WINDOW / 2 ||
      this.#flyingBytes > WINDOW_BYTES / 2 || this.#unsentBytes > UNSENT_BYTES / 2) return
    this.#submitWaiting()
  }

  // Too many messages a second: this one was not stored, and goes again before
  // all that has not been sent yet.
  #later (request, after) {
    request.timer = null
    const place = this.#waiting.findIndex(other => other.id === 0 || other.id > request.id)
    this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, request)
    this.#pace ??= setTimeout(() => {
      this.#pace = null
      if (this.#usable) this.#submitWaiting()
    }, after)
  }

  #submitWaiting () {
    const waiting = this.#waiting
    this.#waiting = []
    this.#crowded = false
    const still = waiting.filter(request => !this.#forward(request))
    this.#waiting = still.concat(this.#waiting)
  }

  #transmit (request) {
    request.id = ++this.#lastId
    const frame = `{"id":${request.id},${request.text.slice(1)}`
    const bytes = request.bytes + frame.length - request.text.length
    const limit = this.#welcome.limits?.message
    if (limit && bytes > limit) {
      clearTimeout(request.timer)
      request.settle(about(request, new RedistributeError('too_large',
        `the gateway takes messages of at most ${limit} bytes`)))
      return
    }
    this.#inFlight.set(request.id, request)
    if (request.kind !== 'link') {
      this.#flying++
      this.#flyingBytes += request.bytes
    }
    this.#socket.send(frame)
    this.#sent += bytes
    request.end = this.#sent
    if (this.#unsent.push(request) === 1) this.#leftAt = performance.now()
    this.#lookAtUnsent()
  }

  // It was answered, or nobody waits for that any more.
  #landed (request) {
    if (!this.#inFlight.delete(request.id) || request.kind === 'link') return
    this.#flying--
    this.#flyingBytes -= request.bytes
  }

  get #unsentBytes () {
    return this.#socket?.bufferedAmount ?? 0
  }

  // No event tells that bytes have left: they are looked after while there are any.
  #lookAtUnsent () {
    clearTimeout(this.#look)
    this.#look = null
    if (!this.#socket) return
    const now = performance.now()
    const held = this.#unsentBytes
    let count = 0
    while (count < this.#unsent.length && (held === 0 || this.#unsent[count].end <= this.#sent - held)) count++
    if (count > 0) this.#leftAt = now
    for (const request of this.#unsent.splice(0, count)) {
      if (this.#inFlight.get(request.id) === request && request !== this.#asked) this.#limitTime(request)
    }
    if (this.#unsent.length > 0 && now - Math.max(this.#leftAt, this.#heardAt) > this.#options.requestTimeout) {
      return this.#drop('nothing leaves, and nothing comes')
    }
    if (this.#unsent.length > 0 || this.#crowded) this.#lookLater()
    this.#relax()
  }

  #lookLater () {
    this.#look ??= setTimeout(() => this.#lookAtUnsent(), UNSENT_LOOK_MS)
  }

  #limitTime (request, ms = this.#options.requestTimeout) {
    request.since = performance.now()
    request.timer ??= setTimeout(() => this.#expire(request), ms)
  }

  // While those before it are answered, one after the other, it is on its way.
  #isMoving (request) {
    const rest = this.#moved.at + this.#options.requestTimeout - performance.now()
    if (!isOnce(request) || this.#moved.id >= request.id || this.#moved.at < request.since || rest <= 0) return false
    request.timer = setTimeout(() => this.#expire(request), rest)
    return true
  }

  #expire (request) {
    if (this.#isMoving(request)) return
    if (request.kind !== 'link') this.#landed(request)
    this.#waiting = this.#waiting.filter(other => other !== request)
    if (isOnce(request)) {
      request.settle(about(request, unknownError(request, 'no answer in time')))
    } else if (request.kind === 'repeat') {
      request.settle(about(request, new RedistributeError('timeout', 'no answer in time', { retry: true })))
    } else if (request === this.#asked) {
      if (this.#heardAt <= request.since) return this.#drop('no answer to ping in time')
      this.#asked = null // it has said something else
      return
    } else { // Redis may be away: that is no reason to leave a gateway that lives
      request.timer = null
      this.#limitTime(request)
    }
    if (!this.#draining) this.#probe()
    this.#relax()
    this.#depart()
  }

  #answer (frame) {
    const request = this.#inFlight.get(frame.id)
    const after = frame.error?.after
    const error = frame.error && new RedistributeError(frame.error.code,
      frame.error.message, { retry: frame.error.retry === true, ...after !== undefined && { after } })
    if (request) {
      this.#landed(request)
      clearTimeout(request.timer)
      if (!error && request.request !== 'ping') this.#served = true
      if (isOnce(request)) this.#moved = { id: request.id, at: performance.now() }
      // What would wait for longer than for an answer must hold up no other.
      const soon = error?.code === 'rate' && request.kind === 'publish' && !(after > this.#options.requestTimeout)
      if (soon) this.#later(request, after)
      else if (error) request.settle(about(request, error))
      else request.settle(null, frame.ok)
      this.#relax()
      this.#depart()
    } else if (error && frame.id === null) {
      this.#emit('error', error)
    }
  }

  /* -- Subscriptions: bring the wire to what is wanted -- */

  #sync (entry) {
    const { want, wire } = entry
    if (!want && (wire === 'none' || wire === 'resting')) {
      clearTimeout(entry.timer)
      this.#channels.delete(entry.channel)
      left(entry)
    } else if (!this.#usable) {
      /* the next connection, or the close of this one, comes back here */
    } else if (wire === 'none') {
      this.#join(entry)
    } else if (wire === 'joined' && want !== entry.joined) {
      this.#leave(entry)
    }
  }

  #join (entry) {
    const sub = entry.want
    const body = { do: 'subscribe', channel: entry.channel, offset: sub.offset }
    if (sub.epoch) body.epoch = sub.epoch
    if (sub.count != null) body.count = sub.count // so a gap can tell how many
    entry.wire = 'joining'
    entry.joined = sub
    this.#transmit(this.#request('link', body, (error, ok) => {
      if (error) this.#refused(entry, sub, error)
      else this.#joined(entry, sub, ok)
      this.#sync(entry)
      this.#submitWaiting()
    }))
  }

  #joined (entry, sub, { offset, epoch, count }) {
    if (typeof offset !== 'string') throw new TypeError('a subscription without an offset')
    entry.wire = 'joined'
    entry.tries = 0
    if (entry.want !== sub) return
    Object.assign(sub, { offset, epoch, count, live: true, any: false })
    this.#store.note(entry.channel, epoch, offset, [], count)
    sub.resolve({ offset })
  }

  #refused (entry, sub, error) {
    entry.wire = 'none'
    entry.joined = null
    if (entry.want !== sub) return
    if (error.retry) {
      entry.wire = 'resting'
      entry.timer = setTimeout(() => {
        entry.wire = 'none'
        this.#sync(entry)
      }, this.#jitter(entry.tries++))
    } else {
      entry.want = null
      sub.reject(error)
      this.#emit('error', error)
    }
  }

  #leave (entry) {
    entry.wire = 'leaving'
    entry.joined = null
    const body = { do: 'unsubscribe', channel: entry.channel }
    this.#transmit(this.#request('link', body, () => {
      entry.wire = 'none'
      left(entry)
      this.#sync(entry)
    }))
  }

  /* -- What the gateway pushes -- */

  #receive (text) {
    this.#listen()
    let frame
    try {
      frame = JSON.parse(text)
    } catch {
      return this.#drop('a frame that is not JSON')
    }
    // What users' code throws does not come here: this is the gateway's fault.
    try {
      this.#take(frame)
    } catch (cause) {
      this.#drop('a frame that is not of this protocol')
      this.#emit('error', new RedistributeError('bad_frame',
        `the gateway has sent what is not of this protocol: ${cause.message}`, { retry: true, cause }))
    }
  }

  #take (frame) {
    switch (frame.push) {
      case undefined: return this.#answer(frame)
      case 'welcome': return this.#welcomed(frame)
      case 'messages': return this.#messages(frame)
      case 'gap': return this.#gap(frame)
      case 'direct': return this.#emit('direct', payloadOf(frame))
      case 'subscribed': return this.#given(frame)
      case 'unsubscribed': return this.#taken(frame)
      case 'drain': return this.#drain(frame)
    }
  }

  #welcomed ({ push, ...welcome }) {
    this.#welcome = welcome
    this.#spread = Math.min(Number(welcome.retry) || 0, SPREAD_MAX_MS)
    this.#state = 'connected'
    this.#since = performance.now()
    this.#listen()
    for (const entry of [...this.#channels.values()]) this.#sync(entry)
    this.#submitWaiting()
    this.#emit('connect', welcome)
  }

  #following (channel) {
    const entry = this.#channels.get(channel)
    return entry && entry.wire === 'joined' && entry.want === entry.joined ? entry.want : null
  }

  #messages ({ channel, messages }) {
    if (!areMessages(messages) || messages.length === 0) throw new TypeError('messages without an offset')
    const given = this.#channels.get(channel)?.joined
    if (given?.given) given.offset = messages[messages.length - 1][0]
    const sub = this.#following(channel)
    if (!sub) return
    // The gateway sends none twice; to look again costs a comparison.
    const fresh = sub.any ? messages : messages.filter(m => compareOffsets(m[0], sub.offset) > 0)
    if (fresh.length === 0) return
    sub.any = false
    if (sub.count != null) sub.count += messages.length
    sub.offset = fresh[fresh.length - 1][0]
    const { epoch, offset, count } = sub
    this.#call(sub.onMessages, fresh.map(message => messageOf(channel, message)))
    this.#store.note(channel, epoch, offset, fresh, count)
  }

  // After a flush the offsets may begin again below ours.
  #gap ({ channel, from, first, lost, offset, count, epoch }) {
    const sub = this.#following(channel)
    if (!sub) return
    sub.any = true
    sub.count = count
    if (isOffset(offset)) sub.offset = offset
    if (epoch) sub.epoch = epoch
    this.#emit('gap', { channel, from, first, lost })
  }

  // A handler has subscribed this connection: there is no one to give the
  // messages to, until subscribe() is called.  It ends with the connection.
  #given ({ channel, offset, epoch }) {
    if (typeof offset !== 'string') throw new TypeError('a subscription without an offset')
    let entry = this.#channels.get(channel)
    if (!entry) {
      entry = newEntry(channel)
      this.#channels.set(channel, entry)
    }
    if (entry.wire === 'none') {
      entry.wire = 'joined'
      entry.joined = { given: true, offset, epoch }
    }
    this.#emit('subscribed', { channel, offset })
  }

  #adopt (entry, onMessages) {
    const { offset, epoch } = entry.joined
    const sub = { onMessages, offset, epoch, live: true, any: false, promise: Promise.resolve({ offset }), resolve () {}, reject () {} }
    if (this.#options.keep) this.#store.keep(entry.channel)
    entry.want = entry.joined = sub
    this.#store.note(entry.channel, epoch, offset, [])
    return sub.promise
  }

  // A handler has ended a subscription: it is not made again.
  #taken ({ channel, reason }) {
    const entry = this.#channels.get(channel)
    if (entry?.wire !== 'joined') return
    entry.wire = 'none'
    entry.want = entry.joined = null
    this.#sync(entry)
    this.#emit('unsubscribed', { channel, reason })
  }

  // What is asked from now on is kept for the next gateway; the timer that
  // leads there runs already, whether this one closes before or not.
  #drain ({ after }) {
    this.#draining = true
    this.#schedule(after)
  }

  // It is time to go from a gateway that drains, but not while it owes answers.
  #depart () {
    if (!this.#draining || this.#timer !== null || [...this.#inFlight.values()].some(isOnce)) return
    this.#schedule(0)
    this.#drop('the gateway drains')
  }

  /* -- The connection -- */

  async #connect () {
    if (this.#state === 'closed' || this.#socket) return
    this.#timer = null
    const options = this.#options
    let WebSocketClass
    try {
      WebSocketClass = options.WebSocket ?? globalThis.WebSocket ?? await webSocketClass()
    } catch (error) {
      this.#end(error)
      this.#emit('error', error)
      return
    }
    if (this.#state === 'closed' || this.#socket) return
    try {
      this.#attach(new WebSocketClass(this.#targets[this.#turn], [SUBPROTOCOL]))
    } catch (error) { // refused by the browser, as ws:// in a page of https://
      this.#socketError = error
      this.#lost(1006, '')
    }
  }

  #attach (socket) {
    this.#socket = socket
    socket.onmessage = event => this.#receive(event.data)
    socket.onerror = event => {
      this.#socketError = event.error ?? event
      setTimeout(() => this.#lostWithoutClose(socket), 0)
    }
    socket.onclose = event => this.#lost(event.code, event.reason)
    this.#quiet = setTimeout(() => this.#drop('no welcome in time'), this.#options.requestTimeout)
  }

  // Node's own WebSocket may tell of a failed handshake by an error alone.
  #lostWithoutClose (socket) {
    if (this.#socket === socket && !this.#welcome) this.#drop('')
  }

  // From here on the old socket is not heard any more, whatever it still has.
  #detach () {
    const socket = this.#socket
    this.#socket = null
    this.#welcome = null
    this.#draining = false
    this.#served = false
    this.#asked = null
    this.#sent = 0
    this.#unsent = []
    clearTimeout(this.#quiet)
    clearTimeout(this.#look)
    this.#look = null
    if (socket) {
      socket.onmessage = socket.onclose = null
      socket.onerror = () => {} // one without any is thrown by the package ws
    }
    return socket
  }

  // A browser cannot see the gateway's pings, so silence is asked about; soon,
  // for until then nobody knows that the network has gone.
  #listen () {
    this.#heardAt = performance.now()
    clearTimeout(this.#quiet)
    if (!this.#welcome) return
    const ms = Math.min((this.#welcome.ping ?? DEFAULT_PING_MS) + SILENCE_GRACE_MS, SILENCE_MAX_MS)
    this.#quiet = setTimeout(() => this.#probe(), ms)
  }

  // Does the gateway live?  Whatever it says is a sign of life.
  #probe () {
    if (!this.#welcome || this.#asked) return
    if (!this.#usable) return this.#drop('no sign of life')
    this.#asked = this.#request('link', { do: 'ping' }, () => { this.#asked = null })
    this.#limitTime(this.#asked, Math.min(this.#options.requestTimeout, PROBE_MS))
    this.#transmit(this.#asked)
  }

  // Give the connection up from this side.
  #drop (reason) {
    const socket = this.#socket
    if (!socket) return
    this.#lost(1006, reason)
    try {
      if (socket.terminate) socket.terminate()
      else socket.close(4000, reason)
    } catch { /* it was closed already */ }
  }

  #lost (code, reason) {
    const wasConnected = this.#state === 'connected'
    const wasGood = this.#served || this.#channels.size === 0
    const cause = this.#socketError
    const target = this.#targets[this.#turn]
    const draining = this.#draining
    this.#detach()
    this.#socketError = null
    this.#state = 'connecting'
    this.#turn = (this.#turn + 1) % this.#targets.length
    if (wasConnected && wasGood && performance.now() - this.#since >= SETTLED_MS) this.#attempt = 0
    if (LATER_CODES.has(code)) this.#attempt = Math.max(this.#attempt, LATER_ATTEMPT)

    const stop = STOP_CODES.has(code) && new RedistributeError('refused',
      `the gateway closed for good: ${code} ${reason}`, { closeCode: code, target })
    const unknown = this.#takeBack(draining && code === DRAINED_CODE)
    if (stop) this.#end(stop)
    else if (this.#timer === null) this.#schedule(draining ? 0 : this.#jitter(this.#attempt++, this.#spread))

    for (const request of unknown) {
      request.settle(about(request, unknownError(request, 'the connection broke before the answer')))
    }
    if (wasConnected) this.#emit('disconnect', { code, reason, willReconnect: !stop })
    if (stop) {
      this.#emit('error', stop)
    } else if (!wasConnected) {
      const why = reasonOf(cause) || reason ||
        `the WebSocket does not say why (${code}): is the address right, and its certificate trusted?`
      this.#emit('error', new RedistributeError('connect_failed',
        `no connection to ${target}: ${why}`, { retry: true, closeCode: code, target, cause }))
    }
  }

  // What the broken connection leaves: publishes and calls of unknown fate (returned),
  // questions to ask again, and channels that nobody follows now.  Where all was
  // answered that was taken, publishes and calls go again, too, in their order.
  #takeBack (untaken = false) {
    clearTimeout(this.#pace)
    this.#pace = null
    this.#crowded = false
    const requests = [...this.#inFlight.values()]
    for (const request of requests) {
      this.#landed(request)
      if (request.kind === 'repeat') continue
      clearTimeout(request.timer)
      request.timer = null
    }
    const again = requests.filter(request => request.kind === 'repeat' || (untaken && isOnce(request)))
    // Those that came too fast wait already, by their place; the others have none.
    this.#waiting = again.concat(this.#waiting).sort((a, b) => (a.id || Infinity) - (b.id || Infinity) || 0)
    for (const request of this.#waiting) request.id = 0
    for (const entry of [...this.#channels.values()]) {
      clearTimeout(entry.timer)
      entry.wire = 'none'
      entry.joined = null
      left(entry)
      this.#sync(entry)
    }
    return untaken ? [] : requests.filter(isOnce)
  }

  // The end of the client: asked for by close(), or by the gateway.
  #end (error) {
    this.#state = 'closed'
    clearTimeout(this.#timer)
    this.#timer = null
    this.#unhook()
    this.#store.flush()
    const unknown = this.#takeBack()
    const waiting = this.#waiting
    this.#waiting = []
    for (const request of unknown) {
      request.settle(about(request, unknownError(request, 'closed before the answer')))
    }
    for (const request of waiting) {
      clearTimeout(request.timer)
      request.settle(about(request, error.code === 'closed' ? error : closedError(error)))
    }
    for (const entry of this.#channels.values()) entry.want?.reject(error)
    this.#channels.clear()
  }

  #schedule (ms) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.#socket && this.#draining) this.#depart()
      else this.#connect()
    }, ms)
  }

  // Full jitter: a thousand clients that were cut together come back apart, and
  // a hundred thousand further apart, for the gateway has said how many they are.
  #jitter (attempt, least = 0) {
    const { min, max } = this.#options
    return Math.random() * Math.max(least, Math.min(max, min * 2 ** attempt))
  }

  /* -- The browser's own events -- */

  #hook () {
    const hurry = () => {
      if (this.#state === 'connected') {
        if (!this.#draining) this.#probe()
      } else if (!this.#socket && this.#timer !== null) {
        this.#schedule(0)
      }
    }
    const seen = () => {
      if (globalThis.document.visibilityState === 'visible') hurry()
      else this.#store.flush()
    }
    const hidden = () => this.#store.flush()
    // The browser may be wrong: a gateway on this machine still answers.
    const offline = () => { if (!this.#draining) this.#probe() }
    const hooks = [
      [globalThis, 'online', hurry],
      [globalThis, 'offline', offline],
      [globalThis, 'pagehide', hidden],
      [globalThis.document, 'visibilitychange', seen]
    ].filter(([target]) => typeof target?.addEventListener === 'function')
    for (const [target, event, listener] of hooks) target.addEventListener(event, listener)
    this.#unhook = () => {
      for (const [target, event, listener] of hooks) target.removeEventListener(event, listener)
    }
  }
}

/* ---- Helpers of the client -------------------------------------------- */

function checkChannel (channel) {
  if (typeof channel !== 'string' || channel === '') {
    throw new TypeError('channel: a string that is not empty')
  }
}

function checkFunction (value, name) {
  if (typeof value !== 'function') throw new TypeError(`${name}: a function`)
}

// A promise that may be ignored: its failure is told by the error event too.
function quiet (promise) {
  promise.catch(() => {})
  return promise
}

function left (entry) {
  for (const resolve of entry.leavers.splice(0)) resolve()
}

function about (request, error) {
  error.request = request.request
  if (request.channel !== undefined) error.channel = request.channel
  return error
}

function closedError (cause) {
  return new RedistributeError('closed', 'this client is closed', cause && { cause })
}

function unknownError ({ kind }, why) {
  const fate = kind === 'call' ? 'answered' : 'stored'
  return new RedistributeError('unknown', `${why}: it may or may not have been ${fate}`, { retry: true })
}

/** A request that has an effect, so that it is never sent twice. */
function isOnce (request) {
  return request.kind === 'publish' || request.kind === 'call'
}

function putData (body, data) {
  const bytes = bytesOf(data)
  if (bytes) {
    body.data64 = toBase64(bytes)
  } else if (data === undefined || typeof data === 'function' || typeof data === 'symbol') {
    throw new TypeError('data: a value that JSON can say, or bytes')
  } else {
    body.data = data
  }
}

function newEntry (channel) {
  return { channel, want: null, wire: 'none', joined: null, leavers: [], timer: null, tries: 0 }
}

function throwLater (error) {
  setTimeout(() => { throw error }, 0)
}

/** A client, with `new` or without. */
function RedistributeClient (options) {
  return Reflect.construct(Client, [options], new.target ?? RedistributeClient)
}
RedistributeClient.prototype = Client.prototype
Client.prototype.constructor = RedistributeClient

export { RedistributeClient as default, RedistributeClient, RedistributeError, compareOffsets }
