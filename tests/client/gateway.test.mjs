// SPDX-License-Identifier: MIT
/* The client in Node against the real thing: daemon, gateway and Redis. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import RedistributeClient, { compareOffsets } from '../../gateway/client/redistribute-client.js'
import { Collector, Daemon, event, failure, Inbox, makeClient, Relay, WebSocketHere, within } from './support.mjs'

const nothing = () => {}
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)
const data = messages => messages.map(message => message.data)

test('the client and a gateway', async t => {
  const daemon = await Daemon.start(t)

  for (const [kind, Client] of [
    ['import', RedistributeClient],
    ['require', createRequire(import.meta.url)('../../gateway/client/redistribute-client.cjs')]
  ]) {
    await t.test(`the first example, with ${kind}`, async t => {
      const channel = `myTestChannel-${kind}`
      const received = new Inbox()
      // The example's text; the class is given because this is not installed.
      const client = Client({
        targets: [daemon.url], WebSocket: WebSocketHere
      })
      t.after(() => client.close())
      client.load(channel, (messages, lastOffset) => {
        assert.deepEqual([messages, lastOffset], [[], undefined])
        client.subscribe(channel, lastOffset, messages => {
          received.put(messages)
        })
      })
      await event(client, 'connect')
      await client.subscribe(channel, nothing)
      const offset = await client.publish(channel, 'TEST_MESSAGE', { foo: 'bar' })
      assert.match(offset, /^\d+-\d+$/)
      assert.deepEqual(await received.next(), [{ channel, offset, type: 'TEST_MESSAGE', data: { foo: 'bar' } }])
    })
  }

  await t.test('the welcome', async t => {
    const client = makeClient(t, { targets: daemon.url })
    const welcome = await event(client, 'connect')
    for (const name of ['client', 'gateway', 'version']) assert.equal(typeof welcome[name], 'string', name)
    assert.ok(welcome.limits.message >= 1024)
    assert.ok(Math.abs(await client.ping() - Date.now()) < 60000)
  })

  await t.test('every kind of payload comes back as it went', async t => {
    const client = makeClient(t, { targets: daemon.url })
    const values = [null, true, -1.5, 'plain', '', 'ä€😀\u0000', [1, [2]], { a: { b: null } }, '{"not":"json"}', Uint8Array.of(0, 1, 2, 255), new Uint8Array(0)]
    const all = new Collector()
    await client.subscribe('kinds', all.handler)
    for (const value of values) await client.publish('kinds', value)
    assert.deepEqual(data(await all.count(values.length)), values)
    const page = await client.history('kinds')
    assert.deepEqual(page, { messages: all.messages, more: false })
  })

  await t.test('what other programs write with XADD arrives', async t => {
    const client = makeClient(t, { targets: daemon.url })
    const all = new Collector()
    await client.subscribe('foreign', all.handler)
    const ids = [
      await daemon.redis('XADD', 'rd:ch:foreign', '*', 'json', '{"a":1}'),
      await daemon.redis('XADD', 'rd:ch:foreign', '*', 'text', 'words', 'type', 'T'),
      await daemon.redis('XADD', 'rd:ch:foreign', '*', 'user', 'agent', 'ip', '::1')
    ]
    assert.deepEqual(await all.count(3), [
      { channel: 'foreign', offset: ids[0], type: null, data: { a: 1 } },
      { channel: 'foreign', offset: ids[1], type: 'T', data: 'words' },
      { channel: 'foreign', offset: ids[2], type: null, data: { user: 'agent', ip: '::1' } }
    ])
  })

  await t.test('where to start', async t => {
    const client = makeClient(t, { targets: daemon.url })
    const offsets = []
    for (const n of numbers(0, 5)) offsets.push(await client.publish('starts', n))
    const cases = [['0', numbers(0, 6)], [offsets[2], [3, 4, 5]], ['-2', [3, 4, 5]], [-1, [4, 5]], ['@0', numbers(0, 6)], ['$', [5]], [undefined, [5]]]
    const collectors = []
    for (const [offset] of cases) {
      const reader = makeClient(t, { targets: daemon.url })
      const all = new Collector()
      collectors.push(all)
      await reader.subscribe('starts', offset, all.handler)
    }
    await client.publish('starts', 5)
    for (const [i, [offset, wanted]] of cases.entries()) {
      assert.deepEqual(data(await collectors[i].count(wanted.length)), wanted, String(offset))
    }
    assert.equal((await failure(client.subscribe('starts', 'yesterday', nothing))).code, 'bad_offset')
    assert.equal((await failure(client.subscribe('a\nb', nothing))).code, 'bad_channel')
    assert.equal((await failure(client.publish('{a', 1))).code, 'bad_channel')
  })

  await t.test('history in pages, from both ends', async t => {
    const client = makeClient(t, { targets: daemon.url })
    await Promise.all(numbers(0, 25).map(n => client.publish('pages', n)))
    const found = []
    for (let from = '0', more = true; more;) {
      const page = await client.history('pages', { from, limit: 10 })
      found.push(...page.messages)
      from = page.messages.at(-1).offset
      more = page.more
    }
    assert.deepEqual(data(found), numbers(0, 25))
    const last = await client.history('pages', { limit: 3, reverse: true })
    assert.deepEqual([data(last.messages), last.more], [[24, 23, 22], true])
    const middle = await client.history('pages', { from: found[4].offset, to: found[7].offset })
    assert.deepEqual(data(middle.messages), [5, 6, 7])
  })

  await t.test('after unsubscribe nothing comes', async t => {
    const client = makeClient(t, { targets: daemon.url })
    const first = new Collector()
    await client.subscribe('left', first.handler)
    await client.publish('left', 1)
    await first.count(1)
    await client.unsubscribe('left')
    const last = await client.publish('left', 2)
    const second = new Collector()
    await client.subscribe('left', '0', second.handler)
    assert.deepEqual(data(await second.count(2)), [1, 2])
    assert.equal(first.messages.length, 1)
    assert.equal(second.messages[1].offset, last)
  })

  await t.test('a second visit is given what it missed', async t => {
    const items = new Map()
    const storage = { getItem: key => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) }
    const visit = () => {
      const client = makeClient(t, { targets: daemon.url, storage })
      const all = new Collector()
      const loaded = within(new Promise(resolve => client.load('visits', (messages, lastOffset) => {
        resolve(data(messages))
        client.subscribe('visits', lastOffset, all.handler)
      })), 'load')
      return { client, all, loaded }
    }
    const publisher = makeClient(t, { targets: daemon.url })
    const first = visit()
    assert.deepEqual(await first.loaded, [])
    await first.client.subscribe('visits', nothing)
    await publisher.publish('visits', 'seen')
    await first.all.count(1)
    first.client.close()
    await publisher.publish('visits', 'missed')
    const second = visit()
    assert.deepEqual(await second.loaded, ['seen'])
    assert.deepEqual(data(await second.all.count(1)), ['missed'])
  })

  await t.test('no message is lost or given twice when connections are cut', async t => {
    const relay = await Relay.start(t, daemon.port)
    const reader = makeClient(t, { targets: relay.url })
    const publisher = makeClient(t, { targets: daemon.url })
    const all = new Collector()
    await reader.subscribe('cut', all.handler)
    let cuts = 0
    reader.on('disconnect', () => cuts++)
    const total = 3000
    for (let n = 0; n < total; n += 50) {
      const batch = numbers(n, n + 50).map(n => publisher.publish('cut', n))
      if (n % 150 === 0) {
        // Once in the middle of a batch, once as soon as the link is back.
        await batch[25]
        if (reader.state === 'connecting' && n % 300 === 0) await event(reader, 'connect')
        relay.cut()
      }
      await Promise.all(batch)
    }
    const messages = await all.count(total)
    assert.deepEqual(data(messages), numbers(0, total))
    for (let i = 1; i < total; i++) assert.ok(compareOffsets(messages[i].offset, messages[i - 1].offset) > 0)
    assert.ok(cuts >= 10, `${cuts} cuts`)
  })

  await t.test('of publishes that are cut, each is stored once or of unknown fate', async t => {
    const relay = await Relay.start(t, daemon.port)
    const publisher = makeClient(t, { targets: relay.url })
    const outcome = new Map()
    const settled = []
    for (let n = 0; n < 600; n++) {
      settled.push(publisher.publish('fate', n).then(
        offset => outcome.set(n, offset),
        error => outcome.set(n, error.code)))
      if (n % 40 === 20) {
        await Promise.race(settled.slice(-10))
        relay.cut()
      }
    }
    await within(Promise.all(settled), 'all answers')
    const reader = makeClient(t, { targets: daemon.url })
    const all = new Collector()
    await publisher.publish('fate', 'end')
    await reader.subscribe('fate', '0', all.handler)
    while (all.messages.at(-1)?.data !== 'end') await all.count(all.messages.length + 1)
    const stored = new Map()
    for (const { data, offset } of all.messages.slice(0, -1)) {
      assert.ok(!stored.has(data), `${data} is stored twice`)
      stored.set(data, offset)
    }
    for (const [n, result] of outcome) {
      if (result !== 'unknown') assert.equal(stored.get(n), result, `number ${n}`)
    }
    assert.ok([...outcome.values()].includes('unknown'))
  })

  await t.test('a killed gateway comes back, and everything goes on', async t => {
    const client = makeClient(t, { targets: daemon.url })
    const all = new Collector()
    await client.subscribe('killed', all.handler)
    await client.publish('killed', 0)
    await all.count(1)
    const [pid] = await daemon.children('redistribute-gateway')
    const down = event(client, 'disconnect')
    process.kill(pid, 'SIGKILL')
    await down
    await client.publish('killed', 1)
    await client.publish('killed', 2)
    assert.deepEqual(data(await all.count(3)), [0, 1, 2])
  })

  await t.test('a flushed Redis is told by a gap', async t => {
    const relay = await Relay.start(t, daemon.port)
    const client = makeClient(t, { targets: relay.url })
    const all = new Collector()
    const gaps = new Inbox()
    client.on('gap', gap => gaps.put(gap))
    await client.subscribe('flushed', all.handler)
    await client.publish('flushed', 'before')
    await all.count(1)
    const back = event(client, 'connect')
    await daemon.redis('FLUSHALL')
    relay.cut()
    const gap = await gaps.next() // told at once, or after the reconnect
    assert.equal(gap.channel, 'flushed')
    await within(back, 'the reconnect')
    await client.publish('flushed', 'after')
    assert.equal((await all.count(2)).at(-1).data, 'after')
  })

  await t.test('the daemon ends well, with a client connected', async t => {
    const client = makeClient(t, { targets: daemon.url })
    await client.subscribe('end', nothing)
    const down = event(client, 'disconnect')
    await daemon.stop()
    assert.equal((await within(down, 'the disconnect')).willReconnect, true)
  })
})

test('the client, a gateway and a handler', async t => {
  const daemon = await Daemon.start(t, '--events', 'ev', '--rule', '* subscribe=anyone publish=anyone call=handler')
  const client = makeClient(t, { targets: daemon.url })
  await event(client, 'connect')
  // Answers by hand what stands in the channel of the events.
  async function handle (...answer) {
    let fields
    do {
      fields = (await daemon.redis('XREVRANGE', 'rd:ch:ev', '+', '-', 'COUNT', '1')).split('\n')
    } while (fields.length < 2)
    const { socket, ask } = Object.fromEntries(fields.slice(1).flatMap((name, i, all) => i % 2 ? [] : [[name, all[i + 1]]]))
    const mailbox = `rd:gw:${socket.slice(0, socket.lastIndexOf('/'))}`
    const write = (...more) => daemon.redis('XADD', mailbox, 'NOMKSTREAM', '*', ...more)
    await write('op', 'answer', 'ask', ask, ...answer)
    return { socket, write }
  }

  const sum = client.call('math', 'ADD', [2, 3])
  const { socket, write } = await handle('allow', '1', 'json', '5')
  assert.equal(await within(sum, 'the answer to a call'), 5)
  await daemon.redis('DEL', 'rd:ch:ev')

  const refused = failure(client.call('math', 'DIVIDE', [2, 0]))
  await handle('allow', '0', 'reason', 'not by zero')
  const error = await refused
  assert.deepEqual([error.code, error.message, error.retry], ['denied', 'not by zero', false])

  const direct = event(client, 'direct')
  await write('op', 'direct', 'socket', socket, 'type', 'HI', 'json', '{"a":1}')
  assert.deepEqual(await direct, { type: 'HI', data: { a: 1 } })

  const all = new Collector()
  client.on('subscribed', ({ channel }) => client.subscribe(channel, all.handler))
  const subscribed = event(client, 'subscribed')
  await write('op', 'subscribe', 'socket', socket, 'channel', 'given')
  await subscribed
  await client.publish('given', 7)
  assert.deepEqual(data(await all.count(1)), [7])
  const unsubscribed = event(client, 'unsubscribed')
  await write('op', 'unsubscribe', 'socket', socket, 'channel', 'given', 'reason', 'enough')
  assert.deepEqual(await unsubscribed, { channel: 'given', reason: 'enough' })
})

test('the client publishes faster than it may', async t => {
  const daemon = await Daemon.start(t, '--publish-rate', '40', '--publish-burst', '5')
  const client = makeClient(t, { targets: daemon.url })
  const all = new Collector()
  await client.subscribe('fast', all.handler)
  const begin = performance.now()
  await Promise.all(numbers(0, 25).map(n => client.publish('fast', n)))
  assert.ok(performance.now() - begin >= 400)
  assert.deepEqual(data(await all.count(25)).sort((a, b) => a - b), numbers(0, 25))
})

test('one bad publish is refused, and nothing else breaks', async t => {
  const daemon = await Daemon.start(t)
  const client = makeClient(t, { targets: daemon.url })
  let cuts = 0
  client.on('disconnect', () => cuts++)
  const all = new Collector()
  await client.subscribe('c', all.handler)
  const nested = depth => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
  const raw = { toJSON: () => undefined }
  for (const data of ['\ud83d', { '\0': 1 }, nested(3000), raw]) {
    assert.equal((await failure(client.publish('c', data))).code, 'bad_request')
  }
  assert.equal((await failure(client.subscribe('\ud800', () => {}))).code, 'bad_request')
  assert.equal((await failure(client.history('\ud800'))).code, 'bad_request')
  await client.publish('c', 'good')
  assert.deepEqual(data(await all.count(1)), ['good'])
  assert.equal(cuts, 0)
})

test('thirty thousand publishes at once: what is taken is stored, the rest is told', async t => {
  const daemon = await Daemon.start(t)
  const client = makeClient(t, { targets: daemon.url })
  await client.ping()
  const codes = {}
  let stored = 0
  const text = 'x'.repeat(1000)
  await within(Promise.all(Array.from({ length: 30000 }, () => client.publish('many', text).then(
    () => stored++,
    error => { codes[error.code] = (codes[error.code] ?? 0) + 1 }))), 'all answers', 60000)
  assert.deepEqual(Object.keys(codes), ['queue_full'])
  assert.equal(Number(await daemon.redis('XLEN', 'rd:ch:many')), stored)

  // Whoever waits for room loses nothing.
  const queue = numbers(0, 30000)
  const worker = async () => { while (queue.length > 0) await client.publish('paced', queue.shift()) }
  await within(Promise.all(numbers(0, 800).map(worker)), 'all answers', 60000)
  assert.equal(await daemon.redis('XLEN', 'rd:ch:paced'), '30000')
})

/** Clients that publish without a pause, each with some publishes under way. */
class Busy {
  stored = []
  failed = []
  #running = true

  constructor (t, url, count) {
    this.clients = numbers(0, count).map(() => makeClient(t, { targets: url, backoff: undefined }))
    this.loops = this.clients.flatMap((client, c) => numbers(0, 3).map(async loop => {
      for (let n = 0; this.#running; n++) {
        const name = `${c}.${loop}.${n}`
        await client.publish('busy', name).then(() => this.stored.push(name), error => this.failed.push(`${name} ${error.code}`))
      }
    }))
  }

  async end () {
    this.#running = false
    await within(Promise.all(this.loops), 'the last answers', 60000)
  }
}

async function dataOf (daemon, channel) {
  const lines = (await daemon.redis('XRANGE', `rd:ch:${channel}`, '-', '+')).split('\n')
  return lines.filter((line, i) => lines[i - 1] === 'json').map(line => JSON.parse(line))
}

for (const rate of [20, 5000]) {
  test(`in a rolling replacement under load every publish is stored once, drain-rate ${rate}`, async t => {
    const daemon = await Daemon.start(t, '--gateways', '2', '--drain-rate', rate, '--maxlen', 900000)
    const busy = new Busy(t, daemon.url, 60)
    const away = busy.clients.map(client => new Promise(resolve => client.once('disconnect', resolve)))
    await Promise.all(busy.clients.map(client => client.ping()))
    const ready = daemon.lines(2, line => /event=child.ready role=gateway/.test(line), 60000)
    daemon.signal('SIGUSR2')
    await ready
    await within(Promise.all(away), 'all to be sent away', 30000)
    await busy.end()
    assert.deepEqual(busy.failed, [])
    const found = await dataOf(daemon, 'busy')
    const seen = new Set(found)
    assert.equal(seen.size, found.length, 'none doubled')
    assert.deepEqual(busy.stored.filter(name => !seen.has(name)), [], 'none lost')
    assert.equal(found.length, busy.stored.length)
  })
}

test('while Redis is away no connection is cut, and all goes on afterwards', async t => {
  const daemon = await Daemon.start(t)
  const client = makeClient(t, { targets: daemon.url, requestTimeout: 4000 })
  const all = new Collector()
  await client.subscribe('before', all.handler)
  let cuts = 0
  client.on('disconnect', () => cuts++)
  const [redis] = await daemon.children('redis-server')
  process.kill(redis, 'SIGSTOP')
  const made = client.subscribe('meanwhile', all.handler)
  // One that the gateway holds behind the subscribe must not make it deaf.
  const fate = client.publish('other', 1).catch(error => error.code)
  // Long enough for three rounds of waiting in vain.
  await new Promise(resolve => setTimeout(resolve, 14000)).finally(() => process.kill(redis, 'SIGCONT'))
  assert.equal(cuts, 0)
  await within(made, 'the subscription')
  await within(fate, 'the publish')
  await client.publish('before', 1)
  await client.publish('meanwhile', 2)
  assert.deepEqual(data(await all.count(2)), [1, 2])
  assert.equal(cuts, 0)
})
