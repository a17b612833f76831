// SPDX-License-Identifier: MIT
/*
 * A real browser against the real daemon: the client without a build step.
 */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { forgive, launch, open } from './browser.mjs'
import { Daemon, makeClient, Relay, within } from './support.mjs'

test('a browser and a gateway', async t => {
  const daemon = await Daemon.start(t)
  const browser = await launch(t)

  await t.test('the first example, twice in the same browser', async t => {
    const page = await open(t, browser, `${daemon.url}/example`)
    const visit = wait => page.evaluate(async ([url, wait]) => {
      const { default: RedistributeClient } = await import('/client/redistribute-client.js')
      const client = new RedistributeClient({ targets: [url] })
      const seen = { loaded: null, received: [] }
      await new Promise((resolve, reject) => {
        client.on('error', reject)
        client.load('myTestChannel', (messages, lastOffset) => {
          seen.loaded = messages.map(message => message.data)
          const joined = client.subscribe('myTestChannel', lastOffset, messages => {
            seen.received.push(...messages)
            if (seen.received.length === wait) resolve()
          })
          joined.then(() => client.publish('myTestChannel', 'TEST_MESSAGE', { foo: 'bar' }), reject)
        })
      })
      client.close()
      return seen
    }, [daemon.url, wait])

    const first = await within(visit(1), 'the first visit')
    assert.deepEqual(first.loaded, [])
    assert.deepEqual(first.received.map(({ channel, type, data }) => [channel, type, data]), [['myTestChannel', 'TEST_MESSAGE', { foo: 'bar' }]])
    const other = makeClient(t, { targets: daemon.url })
    await other.publish('myTestChannel', 'missed')
    await page.reload()
    const second = await within(visit(2), 'the second visit')
    assert.deepEqual(second.loaded, [{ foo: 'bar' }])
    assert.deepEqual(second.received.map(message => message.data), ['missed', { foo: 'bar' }])
  })

  await t.test('what the first README says without the client', async t => {
    const daemon = await Daemon.start(t)
    const text = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
    const [socket, events] = text.match(/(?<=`)new (WebSocket|EventSource)\(.*?\)(?=`)/g).map(code => code.replace('127.0.0.1:8080', new URL(daemon.url).host))
    const page = await open(t, browser, `${daemon.url}/example`)
    const seen = await within(page.evaluate(`(async () => {
      const opened = made => new Promise(resolve => { made.onopen = () => resolve(made) })
      const heard = made => new Promise(resolve => { made.onmessage = event => resolve(event.data) })
      const both = await Promise.all([opened(${socket}), opened(${events})])
      const all = Promise.all(both.map(heard))
      both[0].send('bare')
      return all
    })()`), 'both')
    assert.deepEqual(seen, ['bare', 'bare'])
  })

  await t.test('server-sent events and POST, over the death of a gateway', async t => {
    const page = await open(t, browser, `${daemon.url}/example`)
    await page.evaluate(() => {
      window.seen = []
      window.source = new EventSource('/sse/events%20here')
      for (const type of ['message', 'VISIT', 'redistribute.gap']) {
        source.addEventListener(type, e => seen.push([e.type, e.data, e.lastEventId]))
      }
      return new Promise(resolve => { source.onopen = resolve })
    })
    const post = (body, query = '') => page.evaluate(async ([body, query]) => {
      const answer = await fetch('/sse/events%20here' + query, { method: 'POST', body })
      return [answer.status, await answer.json()]
    }, [body, query])
    const seen = count => within(page.waitForFunction(count => window.seen.length >= count && window.seen, count)
      .then(handle => handle.jsonValue()), `${count} events`)

    const [status, first] = await post('{"page":"/"}', '?type=VISIT')
    assert.equal(status, 200)
    const [, second] = await post('two\nlines')
    assert.deepEqual(await seen(2), [['VISIT', '{"page":"/"}', first.offset], ['message', 'two\nlines', second.offset]])

    const [pid] = await daemon.children('redistribute-gateway')
    process.kill(pid, 'SIGKILL')
    await daemon.redis('XADD', 'rd:ch:events here', '*', 'text', 'while it was dead')
    const all = await seen(3)
    assert.deepEqual([all.length, all[2].slice(0, 2)], [3, ['message', 'while it was dead']])
    await page.evaluate(() => source.close())
    forgive(page, /net::ERR_/)
  })

  await t.test('a network that has gone is noticed when the browser goes offline', async t => {
    // The page is of one gateway, and goes to another by a relay.
    const other = await Daemon.start(t, '--origin', daemon.url)
    const relay = await Relay.start(t, other.port)
    const page = await open(t, browser, `${daemon.url}/example`)
    await within(page.evaluate(async url => {
      const { default: RedistributeClient } = await import('/client/redistribute-client.js')
      window.client = new RedistributeClient({ targets: url })
      window.client.on('error', () => {})
      window.ended = new Promise(resolve => window.client.on('disconnect', resolve))
      await new Promise(resolve => window.client.on('connect', resolve))
    }, relay.url), 'the connection')
    relay.freeze()
    const begin = performance.now()
    await page.evaluate(() => { window.dispatchEvent(new Event('offline')) })
    const { reason } = await within(page.evaluate(() => window.ended), 'the end of the connection')
    const elapsed = performance.now() - begin
    assert.equal(reason, 'no answer to ping in time')
    assert.ok(elapsed < 5000, `${elapsed} ms`)
    relay.thaw()
    await within(page.evaluate(async () => {
      if (window.client.state !== 'connected') await new Promise(resolve => window.client.on('connect', resolve))
      await window.client.publish('back', 1)
      window.client.close()
    }), 'the publish')
    await other.stop()
  })

  await t.test('the daemon ends well', () => daemon.stop())
})
