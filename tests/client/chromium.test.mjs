// SPDX-License-Identifier: MIT
/*
 * A real browser against the real daemon: the client without a build step,
 * and the chat page.  CHROMIUM names the browser, /usr/bin/chromium otherwise.
 */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { chromium } from 'playwright-core'
import { Daemon, documented, makeClient, Relay, within } from './support.mjs'

const WINDOW = { viewport: { width: 1000, height: 700 } }

async function launch (t) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-features=LocalNetworkAccessChecks', '--no-first-run', '--no-default-browser-check']
  })
  t.after(() => browser.close())
  return browser
}

/** A window of its own, as of another person; nothing may go wrong in it. */
async function open (t, browser, address, options = WINDOW) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const faults = []
  page.on('pageerror', error => faults.push(String(error)))
  page.on('dialog', dialog => {
    faults.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('console', message => {
    const { url } = message.location()
    if (message.type() === 'error' && !url.endsWith('/favicon.ico')) faults.push(message.text())
  })
  page.faults = faults
  t.after(async () => {
    await context.close()
    assert.deepEqual(faults, [])
  })
  await page.goto(address)
  return page
}

async function chat (t, browser, address, options) {
  const page = await open(t, browser, address, options)
  await page.locator('#state[data-state="connected"]').waitFor()
  return page
}

/** Waits until a property of an element is as wanted. */
async function becomes (page, selector, property, wanted) {
  const look = () => page.evaluate(([selector, property]) => document.querySelector(selector)[property], [selector, property])
  const poll = async () => {
    while (await look() !== wanted) await page.waitForTimeout(20)
  }
  await within(poll(), `${selector} ${property} ${JSON.stringify(wanted)}`).catch(async error => {
    throw new Error(`${error.message}; it is ${JSON.stringify(await look())}`)
  })
}

const shows = (page, ...lines) => becomes(page, '#log', 'value', lines.map(line => line + '\n').join(''))

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

  await t.test('the page of the README', async t => {
    const context = await browser.newContext(WINDOW)
    t.after(() => context.close())
    const page = await context.newPage()
    const html = await documented('gateway/client/README.md', 'html', 'chromium.test.mjs')
    await page.route('**/mine.html', route => route.fulfill({ contentType: 'text/html', body: html }))
    const greeted = new Promise(resolve => page.on('websocket', socket => socket.on('framereceived', resolve)))
    await page.goto(`${daemon.url}/mine.html`)
    const { payload } = await within(greeted, 'a welcome')
    assert.equal(JSON.parse(payload).push, 'welcome')
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

  await t.test('two windows in a room see each other\'s lines, a third replays them', async t => {
    const alice = await chat(t, browser, `${daemon.url}/room1`)
    const bob = await chat(t, browser, `${daemon.url}/room1`)
    const elsewhere = await chat(t, browser, `${daemon.url}/room2`)
    assert.equal(await alice.title(), "Chat room 'room1'")
    await alice.fill('#input', 'hello from alice')
    await alice.press('#input', 'Enter')
    await becomes(alice, '#input', 'value', '')
    await shows(alice, 'hello from alice')
    await shows(bob, 'hello from alice')
    await bob.getByLabel('Your message').fill('<b>hello</b> & "bob"')
    await bob.getByRole('button', { name: 'Send' }).click()
    await bob.press('#input', 'Enter') // an empty line is not sent
    const lines = ['hello from alice', '<b>hello</b> & "bob"']
    await shows(alice, ...lines)
    await shows(bob, ...lines)

    const carol = await chat(t, browser, `${daemon.url}/room1`)
    await shows(carol)
    await carol.fill('#input', 'late')
    await carol.click('#submit')
    await shows(carol, 'late')
    for (let i = 0; i < 2; i++) {
      await carol.click('#replay')
      await shows(carol, ...lines, 'late')
      await carol.locator('#replay:enabled').waitFor()
    }
    const dave = await chat(t, browser, `${daemon.url}/room1?offset=0`)
    await shows(dave, ...lines, 'late')
    await shows(bob, ...lines, 'late')
    await shows(elsewhere)
  })

  await t.test('lines of redis-cli are shown, and what is not chat is shown as JSON', async t => {
    const page = await chat(t, browser, `${daemon.url}/cli`)
    await page.fill('#input', 'begin')
    await page.press('#input', 'Enter')
    await shows(page, 'begin')
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'json', '{"message":"hi"}')
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'json', '[1,"<i>"]')
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'ip', '::1')
    await shows(page, 'begin', 'hi', '[1,"<i>"]', '{"ip":"::1"}')
    await becomes(page, '#latest', 'textContent', '{"ip":"::1"}')
  })

  await t.test('markup in the name of a room is shown, not run', async t => {
    for (const name of ['<img src=x onerror=alert(1)>', "'\"><script>alert(1)</script>", 'Räume & 50%', '{{x}}']) {
      const page = await chat(t, browser, `${daemon.url}/${encodeURIComponent(name)}`)
      await becomes(page, '#room', 'textContent', name)
      assert.equal(await page.title(), `Chat room '${name}'`)
      assert.equal(await page.locator('img').count(), 0)
      assert.equal(await page.locator('script').count(), 1)
      await page.fill('#input', name)
      await page.press('#input', 'Enter')
      await shows(page, name)
    }
  })

  await t.test('a line that cannot be sent is told', async t => {
    const page = await chat(t, browser, `${daemon.url}/large`)
    await page.fill('#input', 'x'.repeat(100000))
    await page.click('#submit')
    await page.locator('#trouble', { hasText: 'Not sent' }).waitFor()
    await page.fill('#input', 'small')
    await page.click('#submit')
    await shows(page, 'small')
    await becomes(page, '#trouble', 'textContent', '')
  })

  await t.test('a phone, in the dark', async t => {
    const page = await chat(t, browser, `${daemon.url}/${'very-long-name-'.repeat(10)}`, {
      viewport: { width: 360, height: 640 }, colorScheme: 'dark', hasTouch: true
    })
    const { overflow, background } = await page.evaluate(() => ({
      overflow: document.documentElement.scrollWidth - innerWidth,
      background: getComputedStyle(document.body).backgroundColor
    }))
    assert.ok(overflow <= 0, `${overflow} pixels too wide`)
    assert.equal(background, 'rgb(22, 24, 26)')
    for (const id of ['#log', '#input', '#submit', '#replay']) assert.ok(await page.locator(id).isVisible(), id)
  })

  await t.test('a killed gateway is seen, and comes back', async t => {
    const page = await chat(t, browser, `${daemon.url}/killed`)
    await page.evaluate(() => {
      const state = document.querySelector('#state')
      window.states = []
      new MutationObserver(() => window.states.push(state.dataset.state)).observe(state, { attributes: true })
    })
    const [pid] = await daemon.children('redistribute-gateway')
    process.kill(pid, 'SIGKILL')
    await within(page.waitForFunction(() => window.states.includes('connecting')), 'the end of the connection')
    await page.fill('#input', 'typed meanwhile')
    await page.press('#input', 'Enter')
    await shows(page, 'typed meanwhile')
    await becomes(page, '#state', 'textContent', 'connected')
    // The browser itself complains of the attempts that failed.
    page.faults.splice(0, page.faults.length, ...page.faults.filter(text => !/WebSocket connection to/.test(text)))
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
    page.faults.splice(0, page.faults.length, ...page.faults.filter(text => !/net::ERR_/.test(text)))
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
