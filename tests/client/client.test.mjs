// SPDX-License-Identifier: MIT
/* The client against gateways of paper: above all, against their faults. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import RedistributeClient, { compareOffsets, RedistributeError } from '../../gateway/client/redistribute-client.js'
import {
  Collector, event, failure, Inbox, makeClient, MemoryGateway, ScriptedGateway, WELCOME, WebSocketHere, within
} from './support.mjs'

const nothing = () => {}

/* ---- The API of the seed ---------------------------------------------- */

test('load, subscribe and publish, as in the first example', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = RedistributeClient({ targets: [gateway.url], WebSocket: WebSocketHere })
  t.after(() => client.close())
  const batches = new Inbox()
  let inside = true
  const loaded = new Inbox()
  client.load('myTestChannel', (messages, lastOffset) => {
    loaded.put({ messages, lastOffset, inside })
    client.subscribe('myTestChannel', lastOffset, messages => batches.put(messages))
  })
  const published = client.publish('myTestChannel', 'TEST_MESSAGE', { foo: 'bar' })
  inside = false

  const connection = await gateway.welcomed()
  assert.equal(connection.socket.protocol, 'redistribute.json')
  const subscribe = await connection.request('subscribe')
  assert.deepEqual(subscribe, { id: subscribe.id, do: 'subscribe', channel: 'myTestChannel', offset: '$' })
  connection.ok(subscribe, { channel: 'myTestChannel', offset: '5-0', epoch: 'E1' })
  const publish = await connection.request('publish')
  assert.deepEqual(publish, { id: publish.id, do: 'publish', channel: 'myTestChannel', type: 'TEST_MESSAGE', data: { foo: 'bar' } })
  connection.ok(publish, { offset: '6-0' })
  connection.messages('myTestChannel', ['6-0', 'TEST_MESSAGE', { foo: 'bar' }], ['6-1', null, 7, { from: 'bob', key: 'k' }])

  assert.deepEqual(await loaded.next(), { messages: [], lastOffset: undefined, inside: false })
  assert.equal(await published, '6-0')
  assert.deepEqual(await batches.next(), [
    { channel: 'myTestChannel', offset: '6-0', type: 'TEST_MESSAGE', data: { foo: 'bar' } },
    { channel: 'myTestChannel', offset: '6-1', type: null, data: 7, from: 'bob', key: 'k' }
  ])
  assert.ok(client instanceof RedistributeClient)
})

test('addresses: http is ws, https is wss, host:port is ws', async t => {
  const cases = [
    ['http://h:8080', 'ws://h:8080/'],
    ['https://h', 'wss://h/'],
    ['ws://h/x?y=1#z', 'ws://h/x?y=1'],
    ['WSS://h:8443/', 'wss://h:8443/'],
    ['localhost:6379', 'ws://localhost:6379/'],
    ['[::1]:8080', 'ws://[::1]:8080/']
  ]
  for (const [target, address] of cases) {
    const opened = new Inbox()
    class Fake {
      constructor (url, protocols) { opened.put([url, protocols]) }
      close () {}
    }
    for (const targets of [target, [target]]) {
      const client = makeClient(t, { targets, WebSocket: Fake })
      assert.deepEqual(await opened.next(), [address, ['redistribute.json']])
      client.close()
    }
  }
})

test('what cannot work is said at once', t => {
  for (const targets of [undefined, [], '', 'ftp://h', ['ws://h/ws/room'], 'http://']) {
    assert.throws(() => new RedistributeClient({ targets }), TypeError, String(targets))
  }
  assert.throws(() => new RedistributeClient(), TypeError)
  const client = makeClient(t, { targets: 'ws://127.0.0.1:1' })
  assert.throws(() => client.subscribe('c'), TypeError)
  assert.throws(() => client.subscribe('c', '$'), TypeError)
  assert.throws(() => client.subscribe('', nothing), TypeError)
  assert.throws(() => client.subscribe(7, nothing), TypeError)
  assert.throws(() => client.load('c'), TypeError)
  assert.throws(() => client.publish('c', 'T', undefined), TypeError)
  assert.throws(() => client.publish('c'), TypeError)
  assert.throws(() => client.publish('c', nothing), TypeError)
  assert.throws(() => client.on('connect'), TypeError)
})

test('offsets are compared as two numbers', () => {
  const ascending = ['0-0', '0-1', '9-0', '10-0', '10-2', '10-10', '18446744073709551615-18446744073709551615']
  ascending.forEach((a, i) => ascending.forEach((b, j) => {
    assert.equal(Math.sign(compareOffsets(a, b)), Math.sign(i - j), `${a} ${b}`)
  }))
})

test('bytes go as base64 and come as Uint8Array', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const bytes = Uint8Array.from([0, 1, 2, 255])
  const wide = new Uint8Array(8).fill(9)
  wide.set(bytes, 2)
  for (const data of [bytes, bytes.buffer, wide.subarray(2, 6), new DataView(wide.buffer, 2, 4), Buffer.from(bytes)]) {
    client.publish('b', data)
    const { id, ...request } = await connection.request('publish')
    assert.deepEqual(request, { do: 'publish', channel: 'b', data64: 'AAEC/w==' })
    connection.ok({ id }, { offset: '1-0' })
  }
  const big = Uint8Array.from({ length: 40000 }, (_, i) => i * 7)
  client.publish('b', null, big)
  assert.deepEqual(Buffer.from((await connection.request('publish')).data64, 'base64'), Buffer.from(big))

  const all = new Collector()
  client.subscribe('b', '0', all.handler)
  await connection.subscribed('0-0')
  connection.messages('b', ['1-0', null, null, { data64: 'AAEC/w==' }], ['2-0', null, null, { msgpack64: 'wA==' }], ['3-0', 'T', null])
  const [first, second, third] = await all.count(3)
  assert.deepEqual(first, { channel: 'b', offset: '1-0', type: null, data: bytes })
  assert.deepEqual(second, { channel: 'b', offset: '2-0', type: null, data: null, msgpack: Uint8Array.of(0xc0) })
  assert.deepEqual(third, { channel: 'b', offset: '3-0', type: 'T', data: null })
})

test('a value is taken as it is when it is published', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const data = { a: 1 }
  client.publish('c', data)
  data.a = 2
  const connection = await gateway.welcomed()
  assert.deepEqual((await connection.request('publish')).data, { a: 1 })
  assert.equal((await failure(client.publish('c', { again: 1n }))).name, 'TypeError')
  for (const value of [null, 0, '', false]) {
    client.publish('c', value)
    assert.strictEqual((await connection.request('publish')).data, value)
  }
})

/* ---- Subscriptions ---------------------------------------------------- */

test('subscribing twice has no effect: the first handler stays', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const all = new Collector()
  const first = client.subscribe('c', '3-0', all.handler)
  const second = client.subscribe('c', '0', () => assert.fail('the second handler'))
  const connection = await gateway.welcomed()
  const request = await connection.subscribed('3-0')
  assert.equal(request.offset, '3-0')
  assert.deepEqual(await first, { offset: '3-0' })
  assert.deepEqual(await second, { offset: '3-0' })
  assert.deepEqual(await client.subscribe('c', nothing), { offset: '3-0' })
  connection.messages('c', ['4-0', null, 1])
  await all.count(1)
  await connection.roundTrip()
  assert.equal(connection.requests.size, 0)
})

test('nothing is sent before the welcome, then all of it in order', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  client.publish('c', 1)
  client.subscribe('a', nothing)
  client.publish('c', 2)
  client.subscribe('b', -5, nothing)
  client.subscribe('gone', nothing)
  client.unsubscribe('gone')
  const connection = await gateway.connection()
  await connection.roundTrip()
  assert.equal(connection.requests.size, 0)
  connection.welcome()
  const sent = []
  for (let i = 0; i < 4; i++) sent.push(await connection.requests.next())
  assert.deepEqual(sent.map(({ id, ...rest }) => rest), [
    { do: 'subscribe', channel: 'a', offset: '$' },
    { do: 'subscribe', channel: 'b', offset: '-5' },
    { do: 'publish', channel: 'c', data: 1 },
    { do: 'publish', channel: 'c', data: 2 }
  ])
  assert.equal(new Set(sent.map(request => request.id)).size, 4)
})

test('unsubscribing and subscribing again go one by one', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const first = client.subscribe('c', () => assert.fail('unsubscribed'))
  const request = await connection.request('subscribe')
  const gone = client.unsubscribe('c')
  const all = new Collector()
  const second = client.subscribe('c', '1-0', all.handler)
  assert.equal((await failure(first)).code, 'unsubscribed')
  await connection.roundTrip()
  assert.equal(connection.requests.size, 0, 'waits for the answer to subscribe')

  connection.ok(request, { channel: 'c', offset: '8-0', epoch: 'E1' })
  connection.messages('c', ['9-0', null, 'of the old one'])
  const leave = await connection.request('unsubscribe')
  connection.messages('c', ['9-1', null, 'of the old one'])
  connection.ok(leave, { channel: 'c' })
  await gone
  assert.equal((await connection.subscribed('1-0')).offset, '1-0')
  await second
  connection.messages('c', ['9-2', null, 'of the new one'])
  assert.deepEqual((await all.count(1)).map(m => m.data), ['of the new one'])
  await client.unsubscribe('never subscribed')
})

test('a subscription that is refused for now is tried again', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const made = client.subscribe('c', nothing)
  for (const code of ['unavailable', 'busy', 'unavailable']) {
    connection.error(await connection.request('subscribe'), code, true)
  }
  await connection.subscribed('1-0')
  assert.deepEqual(await made, { offset: '1-0' })
})

test('a subscription that is refused for good is over', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  let connection = await gateway.welcomed()
  const told = event(client, 'error')
  const made = client.subscribe('c', 'yesterday', nothing)
  connection.error(await connection.request('subscribe'), 'bad_offset')
  const error = await failure(made)
  assert.ok(error instanceof RedistributeError)
  assert.deepEqual({ ...error }, { name: 'RedistributeError', code: 'bad_offset', retry: false, request: 'subscribe', channel: 'c' })
  assert.equal(await told, error)

  // The same after a reconnect, where no promise is there to tell.
  client.subscribe('c', nothing)
  await connection.subscribed('1-0')
  connection.cut()
  connection = await gateway.welcomed()
  const limit = event(client, 'error')
  connection.error(await connection.request('subscribe'), 'limit')
  assert.equal((await limit).code, 'limit')
  client.subscribe('c', nothing)
  assert.equal((await connection.subscribed('1-0')).offset, '$')
})

test('a message that came too fast is sent again, in its place, and later ones wait', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const stored = []
  const publish = n => client.publish('c', n).then(() => stored.push(n))
  const refuse = (request, after) => connection.send({
    id: request.id, error: { code: 'rate', message: 'slowly', retry: true, after }
  })
  const all = [publish(1), publish(2), publish(3)]
  const sent = []
  for (let i = 0; i < 3; i++) sent.push(await connection.request('publish'))
  const begin = performance.now()
  connection.send({ id: sent[0].id, ok: { offset: '1-0' } })
  refuse(sent[1], 100)
  refuse(sent[2], 150)
  await all[0]
  all.push(publish(4))
  for (const n of [2, 3, 4]) {
    const request = await connection.request('publish')
    assert.equal(request.data, n)
    connection.send({ id: request.id, ok: { offset: `${n}-0` } })
  }
  assert.ok(performance.now() - begin >= 95)
  await Promise.all(all)
  assert.deepEqual(stored, [1, 2, 3, 4])
})

test('a message that would have to wait for long is refused, and holds up no other', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const refused = failure(client.publish('new', 1))
  const later = client.publish('there', 2)
  const first = await connection.request('publish')
  connection.send({ id: first.id, error: { code: 'rate', message: 'no more channels today', retry: true, after: 80000000 } })
  const error = await refused
  assert.deepEqual({ ...error }, { name: 'RedistributeError', code: 'rate', retry: true, after: 80000000, request: 'publish', channel: 'new' })
  const second = await connection.request('publish')
  assert.equal(second.channel, 'there')
  connection.send({ id: second.id, ok: { offset: '1-0' } })
  await later
  const third = client.publish('there', 3)
  connection.send({ id: (await connection.request('publish')).id, ok: { offset: '2-0' } })
  await third
})

test('an error without an id is told', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  connection.send({ id: null, error: { code: 'bad_request', message: 'what?', retry: false } })
  assert.equal((await event(client, 'error')).message, 'what?')
})

/* ---- Reconnecting ----------------------------------------------------- */

test('a new connection goes on after the last message, with its epoch', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const all = new Collector()
  client.subscribe('c', '0', all.handler)
  client.subscribe('quiet', nothing)
  let connection = await gateway.connection()
  const up = event(client, 'connect')
  connection.welcome()
  const { epoch, ...welcome } = WELCOME
  assert.deepEqual(await up, { epoch, ...welcome })
  await connection.subscribed('0-0')
  await connection.subscribed('7-0')
  connection.messages('c', ['1-0', null, 1], ['2-0', null, 2])
  await all.count(2)
  const down = event(client, 'disconnect')
  connection.cut()
  assert.deepEqual(await down, { code: 1006, reason: '', willReconnect: true })
  assert.equal(client.state, 'connecting')

  connection = await gateway.welcomed({ epoch: 'E2' })
  const again = [await connection.request('subscribe'), await connection.request('subscribe')]
  assert.deepEqual(again.map(({ id, do: verb, ...rest }) => rest), [
    { channel: 'c', offset: '2-0', epoch: 'E1' },
    { channel: 'quiet', offset: '7-0', epoch: 'E1' }
  ])
  // The gateway repeats one, which a good one does not: it is not handed twice.
  connection.ok(again[0], { channel: 'c', offset: '2-0', epoch: 'E1' })
  connection.messages('c', ['2-0', null, 2], ['3-0', null, 3])
  assert.deepEqual((await all.count(3)).map(m => m.data), [1, 2, 3])
})

test('a subscription that was not confirmed starts where it was asked to', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const made = client.subscribe('c', '-3', nothing)
  let connection = await gateway.welcomed()
  await connection.request('subscribe')
  connection.cut()
  connection = await gateway.welcomed()
  const request = await connection.subscribed('4-0')
  assert.deepEqual([request.offset, request.epoch], ['-3', undefined])
  assert.deepEqual(await made, { offset: '4-0' })
})

test('no message is lost or given twice, wherever the connection is cut', async t => {
  const gateway = await MemoryGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const all = new Collector()
  const live = new Collector()
  gateway.publish('c', [null, 0])
  client.subscribe('c', '0', all.handler)
  await client.subscribe('live', live.handler)

  let cuts = 0
  client.on('disconnect', () => cuts++)
  let state = 12345 // a small generator, so that a failure can be repeated
  const random = below => (state = (state * 1103515245 + 12345) % 2147483648) % below
  let number = 1
  while (number < 2000) {
    const batch = Array.from({ length: 1 + random(5) }, () => [null, number++])
    gateway.publish('c', ...batch)
    gateway.publish('live', ...batch)
    if (random(6) === 0) {
      const where = random(3)
      if (where === 1) await new Promise(setImmediate)
      if (where === 2 && client.state === 'connecting') await event(client, 'connect')
      gateway.cut()
    }
    if (random(4) === 0) await new Promise(setImmediate)
  }
  const numbers = Array.from({ length: number }, (_, i) => i)
  assert.deepEqual((await all.count(number)).map(m => m.data), numbers)
  assert.deepEqual((await live.count(number - 1)).map(m => m.data), numbers.slice(1))
  assert.ok(cuts > 20, `${cuts} cuts`)
})

test('a handler that reacts inside of a batch loses nothing either', async t => {
  const gateway = await MemoryGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const numbers = []
  const done = new Inbox()
  gateway.publish('c', ...Array.from({ length: 50 }, (_, i) => [null, i]))
  await client.subscribe('c', '0', messages => {
    numbers.push(...messages.map(m => m.data))
    if (numbers.length % 7 === 1) gateway.cut()
    if (numbers.length < 100) gateway.publish('c', [null, numbers.length])
    else done.put(true)
  })
  await done.next()
  assert.deepEqual(numbers, Array.from({ length: 100 }, (_, i) => i))
})

test('a flushed Redis is told by a gap, and its offsets may begin again below', async t => {
  const gateway = await MemoryGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const all = new Collector()
  gateway.publish('c', [null, 'a'], [null, 'b'])
  await client.subscribe('c', '0', all.handler)
  await all.count(2)

  const scripted = await ScriptedGateway.start(t)
  const other = makeClient(t, { targets: scripted.url })
  const rest = new Collector()
  other.subscribe('c', '9-0', rest.handler)
  const connection = await scripted.welcomed()
  await connection.subscribed('9-0')
  connection.messages('c', ['10-0', null, 'old'])
  const gap = event(other, 'gap')
  connection.push('gap', { channel: 'c', from: '10-0', first: '1-0', lost: null })
  connection.messages('c', ['1-0', null, 'new'], ['2-0', null, 'newer'])
  assert.deepEqual(await gap, { channel: 'c', from: '10-0', first: '1-0', lost: null })
  assert.deepEqual((await rest.count(3)).map(m => m.data), ['old', 'new', 'newer'])
  connection.push('gap', { channel: 'not ours', from: '1-0', first: null, lost: 3 })

  gateway.epoch = 'E2'
  const flushed = event(client, 'gap')
  gateway.cut()
  assert.equal((await flushed).channel, 'c')
  assert.deepEqual((await all.count(4)).map(m => m.data), ['a', 'b', 'a', 'b'])
})

test('it counts with the gateway, and resumes behind a gap', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const all = new Collector()
  client.subscribe('c', all.handler)
  let connection = await gateway.welcomed()
  const first = await connection.request('subscribe')
  assert.ok(!('count' in first))
  connection.ok(first, { channel: 'c', offset: '5-0', count: 40, epoch: 'E1' })
  connection.messages('c', ['6-0', null, 1], ['7-0', null, 2])
  await all.count(2)
  connection.cut()

  const resumed = async wanted => {
    connection = await gateway.welcomed()
    const { offset, count, epoch } = await connection.subscribed('7-0')
    assert.deepEqual([offset, count, epoch], wanted)
  }
  await resumed(['7-0', 42, 'E1'])
  const gap = event(client, 'gap')
  connection.push('gap', { channel: 'c', from: '7-0', first: '20-0', lost: 8, offset: '19-5', count: 50, epoch: 'E1' })
  assert.deepEqual(await gap, { channel: 'c', from: '7-0', first: '20-0', lost: 8 })
  connection.cut()
  await resumed(['19-5', 50, 'E1'])
  connection.messages('c', ['20-0', null, 3])
  await all.count(3)
  connection.cut()
  // The reply to that subscribe told no count: none is sent.
  await resumed(['20-0', undefined, 'E1'])
})

test('several targets are tried in rotation', async t => {
  const one = await ScriptedGateway.start(t)
  const two = await ScriptedGateway.start(t)
  const dead = await ScriptedGateway.start(t)
  const deadUrl = dead.url
  await dead.stop()
  const client = makeClient(t, { targets: [one.url, deadUrl, two.url] })
  const failed = event(client, 'error')
  const first = await one.welcomed()
  first.close(1011, 'has failed')
  const error = await failed
  assert.equal(error.code, 'connect_failed')
  assert.equal(error.target, deadUrl + '/')
  assert.equal(error.retry, true)
  const second = await two.welcomed()
  second.close(1012)
  const third = await one.welcomed()
  await third.roundTrip()
})

test('a WebSocket that fails without a close event, as that of Node 22, is given up', async t => {
  const opened = new Inbox()
  class Fake {
    constructor () {
      opened.put(this)
      queueMicrotask(() => this.onerror({ message: 'refused' }))
    }

    close () {}
  }
  const client = makeClient(t, { targets: 'ws://h', WebSocket: Fake, requestTimeout: 1e6 })
  assert.match((await event(client, 'error')).message, /no connection to ws:\/\/h\/: refused/)
  for (let i = 0; i < 3; i++) await opened.next()
})

for (const code of [1002, 1003, 1007, 1008, 1009]) {
  test(`close ${code} means stop`, async t => {
    const gateway = await ScriptedGateway.start(t)
    const client = makeClient(t, { targets: gateway.url })
    const connection = await gateway.welcomed()
    const sent = client.publish('c', 1)
    const asked = client.history('c')
    const joined = client.subscribe('d', nothing)
    const down = event(client, 'disconnect')
    const stopped = event(client, 'error', error => error.code === 'refused')
    for (let i = 0; i < 3; i++) await connection.requests.next()
    connection.close(code, 'because')
    assert.deepEqual(await down, { code, reason: 'because', willReconnect: false })
    assert.equal((await stopped).closeCode, code)
    assert.equal(client.state, 'closed')
    assert.equal((await failure(sent)).code, 'unknown')
    assert.equal((await failure(asked)).code, 'closed')
    assert.equal((await failure(joined)).code, 'refused')
    assert.equal((await failure(client.publish('c', 1))).code, 'closed')
    assert.equal((await failure(client.subscribe('c', nothing))).code, 'closed')
    assert.equal(gateway.accepted, 1)
  })
}

for (const code of [1000, 1001, 1011, 1012, 1013, 4321]) {
  test(`close ${code} means reconnect`, async t => {
    const gateway = await ScriptedGateway.start(t)
    const client = makeClient(t, { targets: gateway.url })
    const connection = await gateway.welcomed()
    await connection.roundTrip()
    const down = event(client, 'disconnect')
    connection.close(code, 'for now')
    assert.deepEqual(await down, { code, reason: 'for now', willReconnect: true })
    await (await gateway.welcomed()).roundTrip()
  })
}

test('the times between attempts have full jitter, and a limit', async t => {
  const attempts = (random, count, code) => new Promise(resolve => {
    const delays = []
    const realTimeout = globalThis.setTimeout
    const mocks = [
      t.mock.method(Math, 'random', () => random),
      t.mock.method(globalThis, 'setTimeout', (callback, ms) => {
        if (ms === 777) return 0 // the time for the handshake
        delays.push(ms)
        if (delays.length < count) return realTimeout(callback, 0)
        client.close()
        mocks.forEach(mock => mock.mock.restore())
        resolve(delays)
      })
    ]
    class Fake {
      constructor () { queueMicrotask(() => this.onclose?.({ code, reason: '' })) }
      close () {}
    }
    const client = new RedistributeClient({ targets: 'ws://h', WebSocket: Fake, requestTimeout: 777 })
  })
  assert.deepEqual(await attempts(0.5, 8, 1006), [250, 500, 1000, 2000, 4000, 8000, 10000, 10000])
  assert.deepEqual(await attempts(0, 3, 1006), [0, 0, 0])
  assert.deepEqual(await attempts(1, 3, 1006), [500, 1000, 2000])
  assert.deepEqual(await attempts(1, 4, 1013), [4000, 8000, 16000, 20000], 'reconnect later')
  assert.deepEqual((await attempts(1, 1100, 1006)).at(-1), 20000)
})

test('a drain is honoured: what is asked meanwhile goes to the next gateway', async t => {
  for (const closes of [true, false]) {
    const gateway = await ScriptedGateway.start(t)
    // A reconnect by backoff would come after minutes.
    const client = makeClient(t, { targets: gateway.url, backoff: { min: 1e6, max: 1e6 } })
    const all = new Collector()
    client.subscribe('c', '1-0', all.handler)
    const old = await gateway.welcomed()
    await old.subscribed('1-0')
    old.push('drain', { after: 300 })
    const begin = performance.now()
    old.messages('c', ['2-0', null, 'while it drains'])
    await all.count(1)
    const published = client.publish('c', 'held')
    client.subscribe('d', nothing)
    await old.roundTrip()
    assert.equal(old.requests.size, 0)
    if (closes) old.close(1012, 'drain')
    const next = await gateway.connection()
    const elapsed = performance.now() - begin
    assert.ok(elapsed >= 295, `${elapsed} ms`)
    if (!closes) await within(old.closed, 'the end of the old connection')
    next.welcome()
    assert.equal((await next.subscribed('2-0')).offset, '2-0')
    assert.equal((await next.subscribed('1-0')).channel, 'd')
    next.ok(await next.request('publish'), { offset: '3-0' })
    assert.equal(await published, '3-0')
    client.close()
  }
})

test('a gateway that drains is not left before it has answered', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, backoff: { min: 1e6, max: 1e6 } })
  const old = await gateway.welcomed()
  const all = [1, 2, 3].map(n => client.publish('c', n))
  const call = client.call('c', 'T', 4)
  const page = client.history('c')
  const sent = []
  for (let i = 0; i < 5; i++) sent.push(await old.requests.next())
  old.push('drain', { after: 1 })
  await old.roundTrip()
  old.ok(sent[0], { offset: '1-0' })
  await all[0]
  await old.roundTrip()
  assert.equal(gateway.accepted, 1)
  all.push(client.publish('c', 5))
  // 2 to 4 were never taken: they go to the next one, before what waited.
  old.close(1012, 'the gateway restarts')
  const next = await gateway.welcomed()
  const again = []
  for (let i = 0; i < 5; i++) again.push(await next.requests.next())
  assert.deepEqual(again.map(request => request.do), ['publish', 'publish', 'call', 'history', 'publish'])
  assert.deepEqual(again.map(request => request.data), [2, 3, 4, undefined, 5])
  for (const request of again) {
    next.ok(request, request.do === 'publish' ? { offset: `${request.data}-0` } : { type: null, data: 'done', messages: [] })
  }
  assert.deepEqual(await Promise.all(all), ['1-0', '2-0', '3-0', '5-0'])
  assert.equal(await call, 'done')
  assert.deepEqual(await page, { messages: [], more: false })
})

test('a gateway that drains is left when it has answered, or cannot', async t => {
  for (const answers of [true, false]) {
    const gateway = await ScriptedGateway.start(t)
    const client = makeClient(t, { targets: gateway.url, requestTimeout: 500, backoff: { min: 1e6, max: 1e6 } })
    const old = await gateway.welcomed()
    const published = client.publish('c', 1)
    const request = await old.request('publish')
    old.push('drain', { after: 1 })
    await old.roundTrip()
    if (answers) old.ok(request, { offset: '1-0' })
    const next = await gateway.welcomed()
    await within(old.closed, 'the end of the old connection')
    if (answers) assert.equal(await published, '1-0')
    else assert.equal((await failure(published)).code, 'unknown')
    await next.roundTrip()
    assert.equal(next.requests.size, 0)
    client.close()
  }
})

test('without a drain, or with another code, nothing says what was taken', async t => {
  for (const [drain, code] of [[false, 1012], [true, 1011], [true, 1001], [true, undefined]]) {
    const gateway = await ScriptedGateway.start(t)
    const client = makeClient(t, { targets: gateway.url })
    const connection = await gateway.welcomed()
    const published = client.publish('c', 1)
    await connection.request('publish')
    if (drain) connection.push('drain', { after: 1000 })
    if (code) connection.close(code)
    else connection.cut()
    assert.equal((await failure(published)).code, 'unknown')
    client.close()
  }
})

/** The events of a browser's window; its target and document. */
function fakeWindow (t) {
  const target = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const fake = {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    document
  }
  const before = Object.fromEntries(Object.keys(fake).map(key => [key, Object.getOwnPropertyDescriptor(globalThis, key)]))
  for (const key of Object.keys(fake)) {
    Object.defineProperty(globalThis, key, { value: fake[key], configurable: true, writable: true })
  }
  t.after(() => {
    for (const key of Object.keys(fake)) {
      if (before[key]) Object.defineProperty(globalThis, key, before[key])
      else delete globalThis[key]
    }
  })
  return { target, document }
}

test('coming online means to try at once', async t => {
  const { target, document } = fakeWindow(t)
  t.mock.method(Math, 'random', () => 1)
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, backoff: { min: 1e6, max: 1e6 } })
  for (const wake of [() => target.dispatchEvent(new Event('online')), () => document.dispatchEvent(new Event('visibilitychange'))]) {
    const connection = await gateway.welcomed()
    await connection.roundTrip()
    const down = event(client, 'disconnect')
    connection.cut()
    await down
    wake()
  }
  // Where a connection seems to be there, it is asked for a sign of life.
  const connection = await gateway.welcomed()
  await connection.roundTrip()
  target.dispatchEvent(new Event('online'))
  await connection.request('ping')
  client.close() // while it still has somewhere to unregister
})

test('a network that has gone is noticed within 5 seconds of the first sign', async t => {
  const { target } = fakeWindow(t)
  const signs = {
    offline: () => target.dispatchEvent(new Event('offline')),
    silence: () => {},
    'a publish': client => client.publish('c', 1).catch(nothing)
  }
  for (const [name, sign] of Object.entries(signs)) {
    const gateway = await ScriptedGateway.start(t)
    const requestTimeout = name === 'a publish' ? 1000 : 10000
    const client = makeClient(t, { targets: gateway.url, requestTimeout })
    const up = event(client, 'connect')
    const connection = await gateway.welcomed({ ping: name === 'silence' ? -14000 : 25000 })
    await up
    connection.socket.pause() // what is sent to it is not answered
    const begin = performance.now()
    const down = event(client, 'disconnect')
    sign(client)
    assert.equal((await down).reason, 'no answer to ping in time')
    const late = name === 'offline' ? 0 : 1000
    const elapsed = performance.now() - begin - late
    assert.ok(elapsed < 5000, `${name}: ${elapsed} ms`)
    client.close()
  }
})

test('who is offline and hears the gateway is connected', async t => {
  const { target } = fakeWindow(t)
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 200 })
  const up = event(client, 'connect')
  const connection = await gateway.welcomed()
  await up
  for (let i = 0; i < 3; i++) {
    target.dispatchEvent(new Event('offline'))
    const ping = await connection.request('ping')
    // Any word will do.
    if (i === 1) connection.push('nothing')
    else connection.ok(ping, { time: 1 })
    const time = client.ping()
    connection.ok(await connection.request('ping'), { time: 2 })
    assert.equal(await time, 2)
    if (i === 1) await tick(250)
  }
  assert.equal(client.state, 'connected')
  assert.equal(gateway.accepted, 1)
  client.close() // while it still has somewhere to unregister
})

/* ---- Half-open links -------------------------------------------------- */

const BRISK = -14950 // and 15 s of grace make 50 ms

test('a silent connection is asked, and kept if it answers', async t => {
  const gateway = await ScriptedGateway.start(t)
  makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed({ ping: BRISK })
  for (let i = 0; i < 3; i++) connection.ok(await connection.request('ping'), { time: 1 })
  assert.equal(gateway.accepted, 1)
})

test('a silent connection that does not answer is broken', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 100 })
  const all = new Collector()
  client.subscribe('c', '1-0', all.handler)
  const connection = await gateway.welcomed({ ping: BRISK })
  await connection.subscribed('1-0')
  const down = event(client, 'disconnect')
  await connection.request('ping')
  assert.deepEqual(await down, { code: 1006, reason: 'no answer to ping in time', willReconnect: true })
  // What the old one says now is not heard any more.
  connection.messages('c', ['2-0', null, 'too late'])
  const next = await gateway.welcomed()
  assert.equal((await next.subscribed('1-0')).offset, '1-0')
  next.messages('c', ['2-0', null, 'in time'])
  assert.deepEqual((await all.count(1)).map(m => m.data), ['in time'])
})

test('a gateway that lives is not left because Redis is away', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 300 })
  const made = client.subscribe('c', nothing)
  const connection = await gateway.welcomed()
  const subscribe = await connection.request('subscribe')
  for (let i = 0; i < 3; i++) connection.ok(await connection.request('ping'), { time: 1 })
  connection.ok(subscribe, { channel: 'c', offset: '1-0', epoch: 'E1' })
  assert.deepEqual(await made, { offset: '1-0' })
  assert.equal(gateway.accepted, 1)
})

test('the backoff begins anew only where a subscribe was answered', async t => {
  const now = performance.now.bind(performance)
  const timeout = globalThis.setTimeout
  const waits = []
  let later = 0
  t.mock.method(performance, 'now', () => now() + later)
  t.mock.method(Math, 'random', () => 1)
  t.mock.method(globalThis, 'setTimeout', (callback, ms, ...more) => {
    if ([7, 14, 28, 56, 112].includes(ms)) waits.push(ms)
    return timeout(callback, ms, ...more)
  })
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, backoff: { min: 7, max: 1e6 } })
  client.subscribe('c', nothing)
  client.on('error', nothing)
  for (const serves of [false, false, false, true, false]) {
    const connection = await gateway.welcomed()
    const request = await connection.request('subscribe')
    if (serves) connection.ok(request, { channel: 'c', offset: '1-0', epoch: 'E1' })
    const time = client.ping()
    connection.ok(await connection.request('ping'), { time: 1 })
    await time
    later += 6000 // it was there for long
    const down = event(client, 'disconnect')
    connection.cut()
    await down
  }
  assert.deepEqual(waits, [7, 14, 28, 7, 14])
})

test('the first wait is as long as the gateway says that its crowd needs', async t => {
  t.mock.method(Math, 'random', () => 1)
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, backoff: { min: 1, max: 2 } })
  const connection = await gateway.welcomed({ retry: 400 })
  await connection.roundTrip()
  const begin = performance.now()
  connection.cut()
  await gateway.welcomed({ retry: 'soon' })
  assert.ok(performance.now() - begin >= 395)
  client.close()
})

test('a gateway that does not greet, or does not answer a subscribe, is left', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 100 })
  const failed = event(client, 'error')
  await gateway.connection()
  assert.match((await failed).message, /no welcome in time/)
  const made = client.subscribe('c', nothing)
  const deaf = await gateway.welcomed()
  await deaf.request('subscribe')
  await (await gateway.welcomed()).subscribed('1-0')
  assert.deepEqual(await made, { offset: '1-0' })
})

test('a frame that is not JSON is a broken connection', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const down = event(client, 'disconnect')
  connection.socket.send('{"push":"mess')
  assert.equal((await down).reason, 'a frame that is not JSON')
  await gateway.welcomed()
})

test('a frame that is not of the protocol is a broken connection, and ends nothing else', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const all = new Collector()
  client.subscribe('c', '1-0', all.handler)
  for (const frame of [
    null, { push: 'messages', channel: 'c', messages: null }, { push: 'messages', channel: 'c', messages: [] },
    { push: 'messages', channel: 'c', messages: [null] }, { push: 'messages', channel: 'c', messages: [['soon', null, 1]] },
    { push: 'messages', channel: 'c', messages: [[7, null, 1]] }, { push: 'subscribed', channel: 'd' }
  ]) {
    const connection = await gateway.welcomed()
    await connection.subscribed('1-0')
    const [down, told] = [event(client, 'disconnect'), event(client, 'error')]
    connection.send(frame)
    assert.equal((await down).reason, 'a frame that is not of this protocol', JSON.stringify(frame))
    assert.equal((await told).code, 'bad_frame')
  }
  const connection = await gateway.welcomed()
  const request = await connection.request('subscribe')
  const told = event(client, 'error')
  connection.ok(request, { epoch: 'E1' })
  assert.equal((await told).code, 'bad_frame')
  const next = await gateway.welcomed()
  await next.subscribed('1-0')
  // Numbers and words are no push either, and harm nobody.
  for (const frame of [7, 'word', [], {}, { push: 7 }, { push: 'gap' }, { id: {} }, { push: 'unsubscribed' }]) next.send(frame)
  next.messages('c', ['2-0', null, null, { data64: '%' }], ['3-0', null, null, { msgpack64: 'A' }], ['4-0', 'T', 'good'])
  next.push('direct', { type: 'T', data64: '***' })
  const direct = event(client, 'direct')
  assert.deepEqual((await all.count(3)).map(m => m.data), [null, null, 'good'])
  assert.deepEqual(await direct, { type: 'T', data: null })
})

test('what is not known is ignored', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed({ novelty: 1 })
  connection.push('novelty', { channel: 'c' })
  connection.send({ id: 4711, ok: {} })
  connection.messages('not subscribed', ['1-0', null, 1])
  const time = client.ping()
  connection.ok(await connection.request('ping'), { time: 5, novelty: 2 })
  assert.equal(await time, 5)
})

/* ---- Requests --------------------------------------------------------- */

test('a publish in flight is of unknown fate when the connection breaks', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  let connection = await gateway.welcomed()
  const first = client.publish('c', 'T', 'in flight')
  await connection.request('publish')
  const told = event(client, 'error')
  const down = event(client, 'disconnect')
  connection.cut()
  const error = await failure(first)
  assert.deepEqual([error.code, error.retry, error.request, error.channel], ['unknown', true, 'publish', 'c'])
  assert.equal(await told, error)
  await down
  const second = client.publish('c', 'T', 'waited')
  connection = await gateway.welcomed()
  const request = await connection.request('publish')
  assert.equal(request.data, 'waited')
  connection.ok(request, { offset: '2-0' })
  assert.equal(await second, '2-0')
  await connection.roundTrip()
  assert.equal(connection.requests.size, 0)
})

test('a publish that is not answered in time is of unknown fate', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 500 })
  const connection = await gateway.welcomed()
  const published = client.publish('c', 1)
  const request = await connection.request('publish')
  assert.equal((await failure(published)).code, 'unknown')
  // That may be a network that has gone: the gateway is asked for a sign of life.
  connection.ok(await connection.request('ping'), { time: 1 })
  connection.ok(request, { offset: '1-0' })
  const next = client.publish('c', 2)
  connection.ok(await connection.request('publish'), { offset: '2-0' })
  assert.equal(await next, '2-0')
})

test('the answer of the gateway to a publish is told', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const published = client.publish('c', 1)
  connection.error(await connection.request('publish'), 'busy', true)
  const error = await failure(published)
  assert.deepEqual([error.code, error.message, error.retry], ['busy', 'it is busy', true])
})

test('the queue of what waits is bounded', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, queue: 3 })
  const kept = [1, 2, 3].map(n => client.publish('c', n))
  const error = await failure(client.publish('c', 4))
  assert.deepEqual([error.code, error.retry], ['queue_full', true])
  const connection = await gateway.welcomed()
  for (const n of [1, 2, 3]) {
    const request = await connection.request('publish')
    assert.equal(request.data, n)
    connection.ok(request, { offset: `${n}-0` })
  }
  assert.deepEqual(await Promise.all(kept), ['1-0', '2-0', '3-0'])
})

test('what is in flight is bounded, too, and goes on in order', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, queue: 1000 })
  const up = event(client, 'connect')
  const connection = await gateway.welcomed()
  await up
  const codes = {}
  const stored = []
  const all = Array.from({ length: 30000 }, (_, n) => client.publish('c', n).then(
    () => { stored.push(n) },
    error => { codes[error.code] = (codes[error.code] ?? 0) + 1 }))
  await connection.roundTrip()
  const first = connection.requests.size
  assert.ok(first > 0 && first <= 1000, `${first} in flight`)
  const wanted = first + 1000
  const ids = []
  for (let n = 0; n < wanted; n++) {
    const request = await connection.request('publish')
    assert.equal(request.data, n)
    ids.push(request.id)
    assert.ok(connection.requests.size <= first)
    connection.ok(request, { offset: `${n + 1}-0` })
  }
  await within(Promise.all(all), 'all answers')
  assert.deepEqual(codes, { queue_full: 30000 - wanted })
  assert.equal(stored.length, wanted)
  const last = client.publish('c', 'last')
  connection.ok(await connection.request('publish'), { offset: '9-0' })
  assert.equal(await last, '9-0')
})

test('what is in flight and what waits are bounded in bytes', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, queueBytes: 4e6 })
  const up = event(client, 'connect')
  const connection = await gateway.welcomed()
  await up
  const text = 'ä'.repeat(25000)
  const results = Array.from({ length: 100 }, () => client.publish('c', text).catch(error => error.code))
  await connection.roundTrip()
  assert.ok(connection.requests.size <= 20, `${connection.requests.size} in flight`)
  for (let n = 0; n < 79; n++) connection.ok(await connection.request('publish'), { offset: `${n + 1}-0` })
  const codes = await Promise.all(results)
  assert.equal(codes.filter(code => code === 'queue_full').length, 21)
  assert.equal(codes[78], '79-0')
  // One that is larger than the whole window goes alone.
  const large = client.publish('c', 'x'.repeat(60000))
  connection.ok(await connection.request('publish'), { offset: '80-0' })
  assert.equal(await large, '80-0')
})

/** A WebSocket whose bytes leave when a test says so. */
class SlowSocket {
  static opened = new Inbox()
  readyState = 1
  bufferedAmount = 0
  frames = []

  constructor () {
    SlowSocket.opened.put(this)
  }

  send (frame) {
    this.frames.push(JSON.parse(frame))
    this.bufferedAmount += frame.length
  }

  get publishes () { return this.frames.filter(frame => frame.do === 'publish') }
  receive (frame) { this.onmessage({ data: JSON.stringify(frame) }) }
  close () {}
}

const tick = ms => new Promise(resolve => setTimeout(resolve, ms))

test('what has not left waits here, and its time has not begun', async t => {
  const client = makeClient(t, { targets: 'ws://h', WebSocket: SlowSocket, requestTimeout: 300 })
  const socket = await SlowSocket.opened.next()
  socket.receive({ push: 'welcome', ...WELCOME })
  const all = Array.from({ length: 30 }, () => client.publish('c', 'x'.repeat(10000)).catch(error => error.code))
  const few = socket.frames.length
  assert.ok(few < 10, `${few} frames given to the WebSocket`)
  // It hears of other things meanwhile, so that the connection lives.
  for (let i = 0; i < 8; i++) {
    await tick(100)
    socket.receive({ push: 'nothing' })
  }
  assert.equal(socket.publishes.length, few)
  for (let answered = 0; answered < 29;) {
    socket.bufferedAmount = 0
    for (const { id } of socket.publishes.slice(answered, 29)) {
      socket.receive({ id, ok: { offset: `${++answered}-0` } })
    }
    await tick(1)
  }
  socket.bufferedAmount = 0
  const codes = await within(Promise.all(all), 'the last one to expire')
  assert.deepEqual(codes, [...Array.from({ length: 29 }, (_, i) => `${i + 1}-0`), 'unknown'])
})

test('a connection that takes nothing and says nothing is given up', async t => {
  const client = makeClient(t, { targets: 'ws://h', WebSocket: SlowSocket, requestTimeout: 100 })
  const socket = await SlowSocket.opened.next()
  socket.receive({ push: 'welcome', ...WELCOME })
  const published = client.publish('c', 1)
  const { reason } = await event(client, 'disconnect')
  assert.equal(reason, 'nothing leaves, and nothing comes')
  assert.equal((await failure(published)).code, 'unknown')
})

test('while those before it are answered, a publish is not given up', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 200 })
  const connection = await gateway.welcomed()
  const all = Array.from({ length: 6 }, (_, n) => client.publish('c', n).catch(error => error.code))
  for (let n = 0; n < 5; n++) {
    const request = await connection.request('publish')
    await tick(100)
    connection.ok(request, { offset: `${n + 1}-0` })
  }
  assert.deepEqual(await Promise.all(all), ['1-0', '2-0', '3-0', '4-0', '5-0', 'unknown'])
})

test('a publish waits for the subscribe of its channel, and only for that', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, queue: 2 })
  const up = event(client, 'connect')
  const connection = await gateway.welcomed()
  await up
  for (const answer of ['ok', 'error', 'cut']) {
    client.subscribe(answer, nothing)
    const held = [client.publish(answer, 1), client.publish(answer, 2)]
    assert.equal((await failure(client.publish(answer, 3))).code, 'queue_full')
    const request = await connection.request('subscribe')
    client.publish('other', 0)
    assert.equal((await connection.request('publish')).channel, 'other')
    let next = connection
    if (answer === 'ok') connection.ok(request, { channel: answer, offset: '1-0', epoch: 'E1' })
    if (answer === 'error') connection.error(request, 'unavailable', true)
    if (answer === 'cut') {
      connection.cut()
      next = await gateway.welcomed()
      await next.subscribed('1-0')
      await next.subscribed('1-0')
    } else if (answer === 'error') {
      client.unsubscribe(answer)
    }
    const sent = [await next.request('publish'), await next.request('publish')]
    assert.deepEqual(sent.map(publish => publish.data), [1, 2])
    sent.forEach((publish, i) => next.ok(publish, { offset: `${i}-1` }))
    assert.deepEqual(await Promise.all(held), ['0-1', '1-1'])
  }
})

test('a message above the limit does not cost the connection', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const tooLong = client.publish('c', 'ä'.repeat(60)) // 60 characters, 120 bytes
  const connection = await gateway.welcomed({ limits: { message: 128, subscriptions: 1 } })
  assert.equal((await failure(tooLong)).code, 'too_large')
  const fits = client.publish('c', 'a'.repeat(60))
  connection.ok(await connection.request('publish'), { offset: '1-0' })
  assert.equal(await fits, '1-0')
})

test('what no gateway takes is refused at once, and costs nothing else', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const told = []
  client.on('error', error => told.push(error.code ?? error.name))
  const connection = await gateway.welcomed()
  const deep = []
  let inner = deep
  for (let i = 0; i < 1e6; i++) inner.push(inner = [])
  for (const [data, field] of [
    ['\ud83d', 'data'], [{ a: ['x\\', 'b\udc00'] }, 'data'], [{ '\ud83d': 1 }, 'data'], [{ 'a\0': 1 }, 'data'], [{ '"\0\\"': [] }, 'data']
  ]) {
    const error = await failure(client.publish('c', data))
    assert.deepEqual([error.code, error.retry, error.request, error.channel], ['bad_request', false, 'publish', 'c'])
    assert.match(error.message, new RegExp(`^${field}: `))
  }
  assert.match((await failure(client.publish('c', 'T\udfff', 1))).message, /^type: half of a surrogate pair/)
  assert.match((await failure(client.publish('\ud800', 1))).message, /^channel: /)
  assert.match((await failure(client.call('c', 'T', '\ud800'))).message, /^data: /)
  assert.equal((await failure(client.publish('c', deep))).name, 'RangeError')
  assert.equal((await failure(client.publish('c', 1n))).name, 'TypeError')
  assert.deepEqual(told, [...Array(7).fill('bad_request'), 'RangeError', 'TypeError'])

  for (const data of ['\0', '😀', '\\ud83d', ['\\u0000', { '\\ud83d': 'a\0:' }], { '\\\\u0000': '"' }]) {
    const published = client.publish('c', data)
    const request = await connection.request('publish')
    assert.deepEqual(request.data, data)
    connection.ok(request, { offset: '1-0' })
    await published
  }
})

test('what the gateway does not take is the failure of that request alone', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const [bad, good] = [client.publish('c', 1), client.publish('c', 2)]
  connection.error(await connection.request('publish'), 'bad_request')
  connection.ok(await connection.request('publish'), { offset: '2-0' })
  assert.equal((await failure(bad)).code, 'bad_request')
  assert.equal(await good, '2-0')
})

test('questions are asked again on the next connection', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const page = client.history('c', { from: 5, to: '9-0', limit: 2, reverse: true })
  const time = client.ping()
  let connection = await gateway.welcomed()
  await connection.request('history')
  connection.cut()
  connection = await gateway.welcomed()
  const request = await connection.request('history')
  assert.deepEqual(request, { id: request.id, do: 'history', channel: 'c', from: '5', to: '9-0', limit: 2, reverse: true })
  connection.ok(await connection.request('ping'), { time: 17 })
  connection.ok(request, { channel: 'c', messages: [['9-0', 'T', 1], ['8-0', null, null, { data64: '' }]], more: true })
  assert.equal(await time, 17)
  assert.deepEqual(await page, {
    messages: [
      { channel: 'c', offset: '9-0', type: 'T', data: 1 },
      { channel: 'c', offset: '8-0', type: null, data: new Uint8Array(0) }
    ],
    more: true
  })
  const plain = client.history('c')
  const { id, ...rest } = await connection.request('history')
  assert.deepEqual(rest, { do: 'history', channel: 'c' })
  connection.error({ id }, 'unavailable', true)
  assert.equal((await failure(plain)).code, 'unavailable')
})

test('a question without an answer ends in time', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url, requestTimeout: 50 })
  assert.equal((await failure(client.ping())).code, 'timeout')
  assert.equal((await failure(client.history('c'))).code, 'timeout')
})

test('close ends all that waits', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const flying = client.publish('c', 1)
  await connection.request('publish')
  const joining = client.subscribe('c', nothing)
  const asked = failure(client.ping())
  const down = event(client, 'disconnect')
  client.close()
  client.close()
  assert.deepEqual(await down, { code: 1000, reason: '', willReconnect: false })
  assert.equal(await within(connection.closed, 'the close'), 1000)
  assert.equal((await failure(flying)).code, 'unknown')
  assert.equal((await failure(joining)).code, 'closed')
  assert.equal((await asked).code, 'closed')
  assert.equal((await failure(client.publish('c', 1))).code, 'closed')
  assert.equal((await failure(client.ping())).code, 'closed')
  await client.unsubscribe('c')

  const waiting = makeClient(t, { targets: 'ws://127.0.0.1:1' })
  const publish = waiting.publish('c', 1)
  waiting.close()
  assert.equal((await failure(publish)).code, 'closed')
})

/* ---- What users' code does -------------------------------------------- */

test('a handler that throws disturbs nobody', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const errors = new Inbox()
  client.on('error', error => errors.put(error.message))
  client.on('connect', () => { throw new Error('in connect') })
  client.load('c', () => { throw new Error('in load') })
  let count = 0
  client.subscribe('c', '0', messages => {
    count += messages.length
    if (count === 1) throw new Error('in a handler')
    return Promise.reject(new Error('in a promise'))
  })
  const connection = await gateway.welcomed()
  await connection.subscribed('0-0')
  connection.messages('c', ['1-0', null, 1])
  connection.messages('c', ['2-0', null, 2])
  for (const text of ['in load', 'in connect', 'in a handler', 'in a promise']) {
    assert.equal(await errors.next(), text)
  }
  assert.equal(count, 2)
  connection.cut()
  assert.equal((await (await gateway.welcomed()).subscribed('2-0')).offset, '2-0')
})

test('without a listener, what a handler throws is an uncaught exception', async t => {
  const gateway = await MemoryGateway.start(t)
  const script = `
    import RedistributeClient from '${new URL('../../gateway/client/redistribute-client.js', import.meta.url)}'
    import WebSocket from 'ws'
    const client = new RedistributeClient({ targets: '${gateway.url}', WebSocket })
    process.on('uncaughtException', error => {
      console.log('uncaught', error.message)
      client.publish('c', 2)
    })
    client.subscribe('c', '0', ([{ data }]) => {
      if (data === 1) throw new Error('one')
      console.log('two')
      client.close()
    })
    client.publish('c', 1)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: new URL('.', import.meta.url), stdio: ['ignore', 'pipe', 'inherit']
  })
  t.after(() => child.kill())
  let output = ''
  child.stdout.on('data', data => { output += data })
  // That it ends by itself says also that close() leaves no timer behind.
  assert.equal(await within(new Promise(resolve => child.on('close', resolve)), 'the end'), 0)
  assert.equal(output, 'uncaught one\ntwo\n')
})

test('a handler may unsubscribe or close', async t => {
  const gateway = await MemoryGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  gateway.publish('c', [null, 1])
  const calls = []
  const left = new Inbox()
  client.subscribe('c', '0', messages => {
    calls.push(...messages)
    left.put(client.unsubscribe('c'))
    gateway.publish('c', [null, 2])
  })
  await (await left.next())
  gateway.publish('c', [null, 3])
  const closed = new Inbox()
  client.subscribe('c', '-1', () => {
    client.close()
    closed.put(true)
  })
  gateway.publish('c', [null, 4])
  await closed.next()
  assert.equal(calls.length, 1)
  assert.equal(client.state, 'closed')
})

test('listeners: on, once, off', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const heard = []
  const off = () => heard.push('off')
  client.on('connect', () => heard.push('on')).once('connect', () => heard.push('once')).on('connect', off).off('connect', off)
  for (let i = 0; i < 2; i++) {
    const up = event(client, 'connect')
    const connection = await gateway.welcomed()
    await up
    connection.cut()
  }
  assert.deepEqual(heard, ['on', 'once', 'on'])
})

test('an ignored publish or subscribe is no unhandled rejection', async t => {
  const unhandled = []
  const listener = reason => unhandled.push(reason)
  process.on('unhandledRejection', listener)
  t.after(() => process.off('unhandledRejection', listener))
  const client = makeClient(t, { targets: 'ws://127.0.0.1:1' })
  client.publish('c', 1)
  client.subscribe('c', nothing)
  client.close()
  client.publish('c', 1)
  client.subscribe('c', nothing)
  await new Promise(setImmediate)
  assert.deepEqual(unhandled, [])
})

/* ---- What load() finds ------------------------------------------------ */

class Storage {
  items = new Map()
  getItem (key) { return this.items.get(key) ?? null }
  setItem (key, value) { this.items.set(key, value) }
}

const load = (client, channel) => within(new Promise(resolve => {
  client.load(channel, (messages, lastOffset) => resolve({ data: messages.map(m => m.data), lastOffset }))
}), 'load')

test('a second visit shows what is stored and goes on from there', async t => {
  const gateway = await ScriptedGateway.start(t)
  const storage = new Storage()
  const visit = () => makeClient(t, { targets: gateway.url, storage, history: 3 })

  let client = visit()
  assert.deepEqual(await load(client, 'c'), { data: [], lastOffset: undefined })
  const all = new Collector()
  client.subscribe('c', undefined, all.handler)
  client.subscribe('not loaded', nothing)
  let connection = await gateway.welcomed()
  await connection.subscribed('1-0')
  await connection.subscribed('1-0')
  connection.messages('c', ['2-0', null, 2], ['3-0', null, null, { data64: 'AAEC/w==' }])
  connection.messages('c', ['4-0', null, 4], ['5-0', 'T', 5])
  await all.count(4)
  assert.deepEqual(await load(client, 'c'), { data: [Uint8Array.of(0, 1, 2, 255), 4, 5], lastOffset: '5-0' })
  client.close()
  assert.deepEqual([...storage.items.keys()], ['redistribute:c'])

  client = visit()
  assert.deepEqual(await load(client, 'c'), { data: [Uint8Array.of(0, 1, 2, 255), 4, 5], lastOffset: '5-0' })
  client.subscribe('c', '5-0', new Collector().handler)
  connection = await gateway.welcomed()
  const request = await connection.subscribed('5-0')
  assert.deepEqual([request.offset, request.epoch], ['5-0', 'E1'])
  client.close()
})

test('the place of a channel without messages is stored, too', async t => {
  const gateway = await ScriptedGateway.start(t)
  const storage = new Storage()
  const client = makeClient(t, { targets: gateway.url, storage })
  await load(client, 'c')
  const made = client.subscribe('c', nothing)
  await (await gateway.welcomed()).subscribed('7-0')
  await made
  client.close()
  assert.deepEqual(await load(makeClient(t, { targets: gateway.url, storage }), 'c'), { data: [], lastOffset: '7-0' })
})

test('a replay stores nothing twice, another data set begins anew', async t => {
  const gateway = await ScriptedGateway.start(t)
  const storage = new Storage()
  storage.setItem('redistribute:c', JSON.stringify({ epoch: 'E1', offset: '3-0', messages: [['2-0', null, 2], ['3-0', null, 3]] }))
  const client = makeClient(t, { targets: gateway.url, storage })
  await load(client, 'c')
  const all = new Collector()
  client.subscribe('c', '0', all.handler)
  let connection = await gateway.welcomed()
  assert.equal((await connection.subscribed('0-0')).epoch, undefined)
  connection.messages('c', ['1-0', null, 1], ['2-0', null, 2], ['3-0', null, 3], ['4-0', null, 4])
  await all.count(4)
  assert.deepEqual(await load(client, 'c'), { data: [2, 3, 4], lastOffset: '4-0' })

  connection.cut()
  connection = await gateway.welcomed({ epoch: 'E2' })
  await connection.subscribed('0-0', 'E2')
  connection.push('gap', { channel: 'c', from: '4-0', first: '1-0', lost: null })
  connection.messages('c', ['1-0', null, 'new'])
  await all.count(5)
  assert.deepEqual(await load(client, 'c'), { data: ['new'], lastOffset: '1-0' })
})

test('keep stores every channel', async t => {
  const gateway = await MemoryGateway.start(t)
  const storage = new Storage()
  const client = makeClient(t, { targets: gateway.url, storage, keep: true, storagePrefix: 'x:' })
  const all = new Collector()
  await client.subscribe('c', all.handler)
  await client.publish('c', 1)
  await all.count(1)
  client.close()
  assert.deepEqual([...storage.items.keys()], ['x:c'])
})

test('a later record of another tab is not overwritten', async t => {
  const gateway = await ScriptedGateway.start(t)
  const storage = new Storage()
  const client = makeClient(t, { targets: gateway.url, storage })
  await load(client, 'c')
  const all = new Collector()
  client.subscribe('c', '0', all.handler)
  const connection = await gateway.welcomed()
  await connection.subscribed('0-0')
  connection.messages('c', ['1-0', null, 1])
  await all.count(1)
  const later = JSON.stringify({ epoch: 'E1', offset: '2-0', messages: [['2-0', null, 2]] })
  storage.setItem('redistribute:c', later)
  client.close()
  assert.equal(storage.getItem('redistribute:c'), later)
})

test('a storage that fails breaks nothing', async t => {
  const gateway = await MemoryGateway.start(t)
  const forbidden = {
    getItem () { throw new Error('forbidden') },
    setItem () { throw new Error('forbidden') }
  }
  const client = makeClient(t, { targets: gateway.url, storage: forbidden })
  client.on('error', assert.fail)
  assert.deepEqual(await load(client, 'c'), { data: [], lastOffset: undefined })
  const all = new Collector()
  await client.subscribe('c', all.handler)
  await client.publish('c', 1)
  await all.count(1)
  client.close()

  const record = (offset, ...messages) => JSON.stringify({ epoch: 'E1', offset, messages })
  for (const text of ['', 'null', '7', '{', '[]', '{"offset":1}', '{"offset":"1-0","messages":[7]}',
    record('soon'), record('$'), record(''), record('-1-0'), record('1-0', ['later', null, 1]), record('1-0', [1, null, 1]),
    record('1'.repeat(30) + '-0'), '{"epoch":7,"offset":"1-0","messages":[]}', '{"offset":"1-0","messages":[]}'
  ]) {
    const storage = new Storage()
    storage.setItem('redistribute:c', text)
    const client = makeClient(t, { targets: gateway.url, storage })
    assert.deepEqual(await load(client, 'c'), { data: [], lastOffset: undefined }, text)
    client.close()
  }
})

test('bad bytes and a bad count in the storage cost these alone', async t => {
  const gateway = await ScriptedGateway.start(t)
  for (const count of ['7', -1, 1.5, 1e300, null, {}]) {
    const storage = new Storage()
    storage.setItem('redistribute:c', JSON.stringify({
      epoch: 'E1', offset: '2-0', count, messages: [['1-0', null, null, { data64: '%' }], ['2-0', null, 2, 7]]
    }))
    const client = makeClient(t, { targets: gateway.url, storage })
    assert.deepEqual(await load(client, 'c'), { data: [null, 2], lastOffset: '2-0' })
    client.subscribe('c', '2-0', nothing)
    const request = await (await gateway.welcomed()).request('subscribe')
    assert.deepEqual([request.offset, request.epoch, request.count], ['2-0', 'E1', undefined])
    client.close()
  }
})

test('after a reload a gap has its number, for the count is stored', async t => {
  const gateway = await ScriptedGateway.start(t)
  const storage = new Storage()
  let client = makeClient(t, { targets: gateway.url, storage })
  await load(client, 'c')
  const all = new Collector()
  client.subscribe('c', all.handler)
  let connection = await gateway.welcomed()
  connection.ok(await connection.request('subscribe'), { channel: 'c', offset: '5-0', epoch: 'E1', count: 5 })
  connection.messages('c', ['6-0', null, 6], ['7-0', null, 7])
  await all.count(2)
  client.close()
  client = makeClient(t, { targets: gateway.url, storage })
  const { lastOffset } = await load(client, 'c')
  client.subscribe('c', lastOffset, nothing)
  connection = await gateway.welcomed()
  const { offset, epoch, count } = await connection.request('subscribe')
  assert.deepEqual({ offset, epoch, count }, { offset: '7-0', epoch: 'E1', count: 7 })
})

/** Like localStorage: it can name what it holds. */
class Names extends Storage {
  get length () { return this.items.size }
  key (i) { return [...this.items.keys()][i] ?? null }
  removeItem (key) { this.items.delete(key) }
}

test('no more than so many channels are stored, and the oldest go', async t => {
  const gateway = await ScriptedGateway.start(t)
  const storage = new Names()
  storage.setItem('of others', 'x')
  for (const n of [3, 1, 4, 2, 5]) {
    storage.setItem(`redistribute:${n}`, JSON.stringify({ epoch: 'E1', offset: `${n}-0`, messages: [] }))
  }
  storage.setItem('redistribute:garbage', 'x')
  const client = makeClient(t, { targets: gateway.url, storage, channels: 4 })
  await load(client, '1') // its own are not forgotten
  await load(client, 'new')
  const made = client.subscribe('new', nothing)
  await (await gateway.welcomed()).subscribed('9-0')
  await made
  client.close()
  assert.deepEqual([...storage.items.keys()].sort(), ['of others', 'redistribute:1', 'redistribute:4', 'redistribute:5', 'redistribute:new'])
})

test('where the storage is full, older channels go before messages do', async t => {
  const gateway = await MemoryGateway.start(t)
  class Small extends Names {
    setItem (key, value) {
      const used = [...this.items].reduce((sum, [k, v]) => sum + (k === key ? 0 : v.length), 0)
      if (used + value.length > 1000) throw new Error('QuotaExceededError')
      super.setItem(key, value)
    }
  }
  const storage = new Small()
  for (const n of [1, 2]) {
    storage.setItem(`redistribute:${n}`, JSON.stringify({ epoch: 'E1', offset: `${n}-0`, messages: [[`${n}-0`, null, 'x'.repeat(300)]] }))
  }
  const client = makeClient(t, { targets: gateway.url, storage })
  await load(client, 'c')
  const all = new Collector()
  await client.subscribe('c', all.handler)
  gateway.publish('c', [null, 'y'.repeat(400)])
  await all.count(1)
  client.close()
  assert.deepEqual([...storage.items.keys()].sort(), ['redistribute:2', 'redistribute:c'])
  const again = makeClient(t, { targets: gateway.url, storage })
  assert.deepEqual((await load(again, 'c')).data, ['y'.repeat(400)])
})

test('where the storage is full, fewer messages are stored, and the offset', async t => {
  const gateway = await MemoryGateway.start(t)
  for (const [quota, kept] of [[60, 0], [500, 2]]) {
    class Small extends Storage {
      setItem (key, value) {
        if (value.length > quota) throw new Error('QuotaExceededError')
        super.setItem(key, value)
      }
    }
    const storage = new Small()
    const client = makeClient(t, { targets: gateway.url, storage })
    await load(client, 'c')
    const all = new Collector()
    await client.subscribe('c', all.handler)
    let last
    for (let i = 0; i < 8; i++) last = gateway.publish('c', [null, String(i).repeat(150)])
    await all.count(8)
    client.close()
    const again = makeClient(t, { targets: gateway.url, storage })
    const found = await load(again, 'c')
    assert.equal(found.lastOffset, last)
    assert.equal(found.data.length, kept)
    again.close()
  }
})

/* ---- Handlers --------------------------------------------------------- */

test('a call is answered by what a handler replies', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const calls = [
    [['math', 'ADD', [2, 3]], { do: 'call', channel: 'math', type: 'ADD', data: [2, 3] }, { type: 'SUM', data: 5 }, 5],
    [['math'], { do: 'call', channel: 'math', data: null }, { type: null, data: null }, null],
    [['math', null, Uint8Array.of(0, 255)], { do: 'call', channel: 'math', data64: 'AP8=' }, { type: null, data64: 'AP8=' }, Uint8Array.of(0, 255)],
    [['math', 'M'], { do: 'call', channel: 'math', type: 'M', data: null }, { type: null, msgpack64: 'wA==' }, Uint8Array.of(0xc0)]
  ]
  for (const [args, sent, ok, result] of calls) {
    const answer = client.call(...args)
    const { id, ...request } = await connection.request('call')
    assert.deepEqual(request, sent)
    connection.ok({ id }, ok)
    assert.deepEqual(await answer, result)
  }
  assert.throws(() => client.call('', 'T', 1), TypeError)
  assert.throws(() => client.call('c', 'T', nothing), TypeError)
})

test('a call that fails says why, and is never sent twice', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  for (const [code, retry] of [['denied', false], ['timeout', true]]) {
    const answer = failure(client.call('c', 'T', 1))
    connection.error(await connection.request('call'), code, retry)
    const { code: got, retry: again, request, channel } = await answer
    assert.deepEqual([got, again, request, channel], [code, retry, 'call', 'c'])
  }
  const lost = failure(client.call('c', 'T', 2))
  await connection.request('call')
  connection.cut()
  assert.equal((await lost).code, 'unknown')
  const next = await gateway.welcomed()
  await next.roundTrip()
  assert.equal(next.requests.size, 0)
})

test('direct messages are told by an event', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const told = new Inbox()
  client.on('direct', message => told.put(message))
  connection.push('direct', { type: 'T', data: { a: 1 } })
  connection.push('direct', { type: null, data64: 'AAEC/w==' })
  connection.push('direct', { type: null, msgpack64: 'wA==' })
  assert.deepEqual(await told.next(), { type: 'T', data: { a: 1 } })
  assert.deepEqual(await told.next(), { type: null, data: Uint8Array.of(0, 1, 2, 255) })
  assert.deepEqual(await told.next(), { type: null, data: null, msgpack: Uint8Array.of(0xc0) })
})

test('a subscription that a handler gives is taken over by subscribe()', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  const all = new Collector()
  const told = event(client, 'subscribed')
  let taken
  client.on('subscribed', ({ channel }) => { taken = client.subscribe(channel, all.handler) })
  connection.push('subscribed', { channel: 'given', offset: '5-0', epoch: 'E1' })
  connection.messages('given', ['6-0', null, 1])
  assert.deepEqual(await told, { channel: 'given', offset: '5-0' })
  assert.deepEqual(await taken, { offset: '5-0' })
  assert.deepEqual((await all.count(1)).map(m => m.data), [1])
  await connection.roundTrip()
  assert.equal(connection.requests.size, 0)

  // It is the client's own now: the next connection has it, too.
  connection.cut()
  const next = await gateway.welcomed()
  assert.equal((await next.subscribed('6-0')).offset, '6-0')
  next.messages('given', ['7-0', null, 2])
  assert.deepEqual((await all.count(2)).map(m => m.data), [1, 2])
})

test('a subscription that a handler gives can be ended, and is not kept', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const connection = await gateway.welcomed()
  for (const channel of ['a', 'b']) {
    const told = event(client, 'subscribed')
    connection.push('subscribed', { channel, offset: '5-0', epoch: 'E1' })
    await told
  }
  const gone = client.unsubscribe('a')
  const leave = await connection.request('unsubscribe')
  assert.equal(leave.channel, 'a')
  connection.ok(leave, { channel: 'a' })
  await gone
  // Another place to begin is asked for as always.
  client.subscribe('b', '0', nothing)
  connection.ok(await connection.request('unsubscribe'), { channel: 'b' })
  assert.equal((await connection.subscribed('0-0')).offset, '0')
  connection.push('subscribed', { channel: 'c', offset: '5-0', epoch: 'E1' })
  await connection.roundTrip()
  connection.cut()
  const next = await gateway.welcomed()
  assert.equal((await next.subscribed('0-0')).channel, 'b')
  await next.roundTrip()
  assert.equal(next.requests.size, 0)
})

test('a subscription that a handler ends is not made again', async t => {
  const gateway = await ScriptedGateway.start(t)
  const client = makeClient(t, { targets: gateway.url })
  const subscribed = client.subscribe('c', () => assert.fail('ended'))
  const connection = await gateway.welcomed()
  await connection.subscribed('1-0')
  await subscribed
  const told = event(client, 'unsubscribed')
  connection.push('unsubscribed', { channel: 'c', reason: 'enough' })
  connection.messages('c', ['2-0', null, 1])
  assert.deepEqual(await told, { channel: 'c', reason: 'enough' })
  connection.cut()
  const next = await gateway.welcomed()
  await next.roundTrip()
  assert.equal(next.requests.size, 0)
})
