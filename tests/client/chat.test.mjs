// SPDX-License-Identifier: MIT
/*
 * The pages that come with the gateway, in a real browser.  RD_SHOTS names a
 * directory for pictures of them.
 */

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { becomes, comes, forgive, launch, open } from './browser.mjs'
import { Daemon, makeClient, within } from './support.mjs'

const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true }

async function chat (t, browser, address, options) {
  const page = await open(t, browser, address, options)
  await page.locator('#state[data-state="connected"]').waitFor()
  return page
}

/** A second visit of the same person. */
async function again (page) {
  await page.reload()
  await page.locator('#state[data-state="connected"]').waitFor()
}

/** The lines, as "<side> <name>: <text>"; one's own have no name. */
const shows = (page, ...lines) => comes(page, 'the lines', () =>
  [...document.querySelectorAll('#log li')].map(item => {
    const name = item.querySelector('.name')
    const shown = name && getComputedStyle(name).display !== 'none' ? ` ${name.textContent}` : ''
    return `${item.className}${shown}: ${item.querySelector('.text').textContent}`
  }), null, lines)

async function say (page, text) {
  await page.fill('#input', text)
  await page.press('#input', 'Enter')
}

const dot = page => page.evaluate(() => getComputedStyle(document.querySelector('#state'), '::before').backgroundColor)

async function shoot (page, name) {
  if (process.env.RD_SHOTS) await page.screenshot({ path: path.join(process.env.RD_SHOTS, `${name}.png`) })
}

test('the chat page', async t => {
  const daemon = await Daemon.start(t)
  const browser = await launch(t)

  await t.test('two people see each other\'s lines, their own on the other side', async t => {
    const alice = await chat(t, browser, `${daemon.url}/room1`)
    const bob = await chat(t, browser, `${daemon.url}/room1`)
    const elsewhere = await chat(t, browser, `${daemon.url}/room2`)
    assert.equal(await alice.title(), 'room1')
    await alice.fill('#name', 'Alice')
    await alice.press('#name', 'Enter')
    await say(alice, 'hello from alice') // it has the focus
    await becomes(alice, '#input', 'value', '')
    await shows(alice, 'mine: hello from alice')
    await shows(bob, 'theirs Alice: hello from alice')
    await bob.getByLabel('Your message').fill('<b>hello</b> & "bob"')
    await bob.getByRole('button', { name: 'Send' }).click()
    await bob.press('#input', 'Enter') // an empty line is not sent
    await shows(alice, 'mine: hello from alice', 'theirs anonymous: <b>hello</b> & "bob"')
    await shows(bob, 'theirs Alice: hello from alice', 'mine: <b>hello</b> & "bob"')

    const [mine, theirs] = await alice.evaluate(() => [...document.querySelectorAll('#log li')].map(item => {
      const { left, right } = item.getBoundingClientRect()
      const log = document.querySelector('#log').getBoundingClientRect()
      return { left: left - log.left, right: log.right - right }
    }))
    assert.ok(mine.right < 20 && mine.left > 100, JSON.stringify(mine))
    assert.ok(theirs.left < 20 && theirs.right > 100, JSON.stringify(theirs))

    await again(alice) // her name and her lines are known again
    await becomes(alice, '#name', 'value', 'Alice')
    await shows(alice, 'mine: hello from alice', 'theirs anonymous: <b>hello</b> & "bob"')
    await shows(elsewhere)
  })

  await t.test('each line has the time at which it was stored', async t => {
    const page = await chat(t, browser, `${daemon.url}/times`, { locale: 'de-DE', timezoneId: 'Europe/Berlin' })
    await daemon.redis('XADD', 'rd:ch:times', '1700000000000-0', 'json', '{"message":"long ago"}')
    await daemon.redis('XADD', 'rd:ch:times', '*', 'json', '{"message":"now"}')
    await daemon.redis('XADD', 'rd:ch:times', '18446744073709551000-0', 'json', '{"message":"never"}')
    await shows(page, 'theirs anonymous: long ago', 'theirs anonymous: now', 'theirs anonymous: never')
    const times = await page.evaluate(() => [...document.querySelectorAll('time')].map(time => [time.dateTime, time.textContent]))
    assert.deepEqual(times[0], ['2023-11-14T22:13:20.000Z', '14.11.2023, 23:13'])
    assert.match(times[1][1], /^\d\d:\d\d$/)
    assert.equal(times.length, 2)
  })

  await t.test('a first visit shows the latest lines, and earlier ones when asked', async t => {
    const client = makeClient(t, { targets: daemon.url })
    for (let i = 0; i < 170; i++) await client.publish('long', 'CHAT', { message: `line ${i}`, name: 'Robot' })
    const page = await chat(t, browser, `${daemon.url}/long`)
    const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => `theirs Robot: line ${from + i}`)
    await shows(page, ...numbers(120, 170))
    const end = () => page.evaluate(() => {
      const log = document.querySelector('#log')
      return log.scrollHeight - log.scrollTop - log.clientHeight
    })
    assert.ok(await end() < 5, 'the latest are in view')
    await page.evaluate(() => { document.querySelector('#log').scrollTop = 0 })
    const top = () => page.evaluate(() => [...document.querySelectorAll('#log li')].find(item => item.textContent.endsWith('line 120')).getBoundingClientRect().top)
    const before = await top()
    await page.getByRole('button', { name: 'Earlier messages' }).click()
    await shows(page, ...numbers(21, 170))
    assert.ok(Math.abs(await top() - before) < 5, 'what was looked at stays')
    await page.getByRole('button', { name: 'Earlier messages' }).click()
    await shows(page, ...numbers(0, 170))
    await page.locator('#earlier').waitFor({ state: 'hidden' })
    const short = await chat(t, browser, `${daemon.url}/nobody-was-here`)
    await say(short, 'first')
    await shows(short, 'mine: first')
    assert.ok(await short.locator('#earlier').isHidden())
    const all = await chat(t, browser, `${daemon.url}/long?offset=0`)
    await shows(all, ...numbers(0, 170))
    assert.ok(await all.locator('#earlier').isHidden())
  })

  await t.test('lines of redis-cli are shown, and what is not chat is shown as JSON', async t => {
    const page = await chat(t, browser, `${daemon.url}/cli`)
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'json', '{"message":"hi","name":{"a":1}}')
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'json', '[1,"<i>"]')
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'ip', '::1')
    await daemon.redis('XADD', 'rd:ch:cli', '*', 'json', 'null')
    await shows(page, 'theirs anonymous: hi', 'theirs anonymous: [1,"<i>"]', 'theirs anonymous: {"ip":"::1"}', 'theirs anonymous: null')
  })

  await t.test('who handlers say that it was counts more than what somebody says', async t => {
    const page = await chat(t, browser, `${daemon.url}/names`)
    await daemon.redis('XADD', 'rd:ch:names', '*', 'json', '{"message":"a","name":"Alice"}', 'from', 'mallory')
    await daemon.redis('XADD', 'rd:ch:names', '*', 'json', '{"message":"b","name":"<img src=x onerror=alert(1)>"}')
    await shows(page, 'theirs mallory: a', 'theirs <img src=x onerror=alert(1)>: b')
    assert.equal(await page.locator('img').count(), 0)
  })

  await t.test('nobody else\'s line becomes one\'s own by repeating it', async t => {
    const page = await chat(t, browser, `${daemon.url}/copies`)
    await say(page, 'mine')
    await shows(page, 'mine: mine')
    const entry = await daemon.redis('XREVRANGE', 'rd:ch:copies', '+', '-', 'COUNT', '1')
    const json = entry.split('\n').find(line => line.startsWith('{'))
    await daemon.redis('XADD', 'rd:ch:copies', '*', 'json', json)
    await shows(page, 'mine: mine', 'theirs anonymous: mine')
    await again(page)
    await shows(page, 'mine: mine', 'theirs anonymous: mine')
  })

  await t.test('markup in the name of a room is shown, not run', async t => {
    for (const name of ['<img src=x onerror=alert(1)>', "'\"><script>alert(1)</script>", 'Räume & 50%', '{{x}}', '.hidden', 'a/b']) {
      const page = await chat(t, browser, `${daemon.url}/${encodeURIComponent(name)}`)
      await becomes(page, '#room', 'textContent', name)
      assert.equal(await page.title(), name)
      assert.equal(await page.locator('img').count(), 0)
      assert.equal(await page.locator('script').count(), 1)
      await say(page, name)
      await shows(page, `mine: ${name}`)
    }
  })

  await t.test('what cannot be sent says so, and can be forgotten or sent again', async t => {
    const page = await chat(t, browser, `${daemon.url}/large`)
    const large = 'x'.repeat(100000)
    await say(page, large)
    await page.locator('.failed .fate', { hasText: 'not sent' }).waitFor()
    await say(page, 'small')
    await shows(page, 'mine: small', `mine failed: ${large}`)
    await page.getByRole('button', { name: 'Send again' }).click()
    await page.locator('.failed .fate', { hasText: 'not sent' }).waitFor()
    await page.getByRole('button', { name: 'Forget' }).click()
    await shows(page, 'mine: small')
  })

  await t.test('without a connection the dot is red, and what waits is shown so', async t => {
    const page = await chat(t, browser, `${daemon.url}/killed`)
    assert.equal(await dot(page), 'rgb(30, 125, 50)')
    await say(page, 'before')
    await shows(page, 'mine: before')
    await page.evaluate(() => {
      const state = document.querySelector('#state')
      window.states = []
      new MutationObserver(() => window.states.push(state.dataset.state)).observe(state, { attributes: true })
    })
    const [pid] = await daemon.children('redistribute-gateway')
    process.kill(pid, 'SIGKILL')
    await within(page.waitForFunction(() => window.states.includes('lost')), 'the end of the connection')
    await say(page, 'typed meanwhile')
    await shows(page, 'mine: before', 'mine: typed meanwhile')
    await becomes(page, '#state', 'textContent', 'connected')
    forgive(page, /WebSocket connection to|net::ERR_/)
  })

  await t.test('a line waits while the gateway does not answer', async t => {
    const page = await chat(t, browser, `${daemon.url}/waiting`)
    const [pid] = await daemon.children('redistribute-gateway')
    t.after(() => process.kill(pid, 'SIGCONT'))
    await say(page, 'arrived')
    await shows(page, 'mine: arrived')
    process.kill(pid, 'SIGSTOP')
    await say(page, 'on its way')
    await shows(page, 'mine: arrived', 'mine waiting: on its way')
    await becomes(page, '.waiting .fate', 'textContent', 'waiting')
    process.kill(pid, 'SIGCONT')
    await shows(page, 'mine: arrived', 'mine: on its way')

    process.kill(pid, 'SIGSTOP')
    await page.evaluate(() => { window.dispatchEvent(new Event('offline')) })
    await page.locator('#state[data-state="lost"]').waitFor()
    assert.equal(await dot(page), 'rgb(179, 38, 30)')
    await becomes(page, '#state', 'textContent', 'no connection')
    await say(page, 'offline')
    await shows(page, 'mine: arrived', 'mine: on its way', 'mine waiting: offline')
    await shoot(page, 'offline')
    process.kill(pid, 'SIGCONT')
    await page.locator('#state[data-state="connected"]').waitFor()
    await shows(page, 'mine: arrived', 'mine: on its way', 'mine: offline')
    forgive(page, /WebSocket connection to|net::ERR_/)
  })

  await t.test('long names are cut, and nothing is too wide for a phone', async t => {
    const name = 'very-long-name-'.repeat(10)
    for (const colorScheme of ['dark', 'light']) {
      const page = await chat(t, browser, `${daemon.url}/${name}`, { ...PHONE, colorScheme })
      if (colorScheme === 'dark') {
        await page.fill('#name', 'A name that is rather long, as some are')
        await daemon.redis('XADD', `rd:ch:${name}`, '*', 'json', JSON.stringify({ message: 'w'.repeat(300), name: 'n'.repeat(300) }))
        await say(page, 'And this is what somebody answers to that, who has more to say than fits on one line.')
      }
      await comes(page, 'both lines', () => document.querySelectorAll('#log li').length, null, 2)
      const seen = await page.evaluate(() => ({
        overflow: Math.max(document.documentElement.scrollWidth - innerWidth,
          document.querySelector('#log').scrollWidth - document.querySelector('#log').clientWidth),
        background: getComputedStyle(document.body).backgroundColor,
        title: document.querySelector('#room').title,
        cut: document.querySelector('#room').scrollWidth > document.querySelector('#room').clientWidth,
        tall: document.querySelector('#room').clientHeight,
        bottom: innerHeight - document.querySelector('#submit').getBoundingClientRect().bottom
      }))
      assert.ok(seen.overflow <= 0, `${seen.overflow} pixels too wide`)
      assert.ok(seen.cut && seen.tall < 40 && seen.bottom >= 0, JSON.stringify(seen))
      assert.equal(seen.title, name)
      assert.equal(seen.background, colorScheme === 'dark' ? 'rgb(22, 24, 26)' : 'rgb(243, 242, 238)')
      for (const id of ['#log', '#input', '#submit', '#name', '#state']) assert.ok(await page.locator(id).isVisible(), id)
      await shoot(page, `phone-${colorScheme}`)
    }
  })

  await t.test('all of it by keyboard', async t => {
    const page = await chat(t, browser, `${daemon.url}/keys`)
    await page.keyboard.type('at once')
    await page.keyboard.press('Enter')
    await shows(page, 'mine: at once')
    const stops = []
    await page.focus('#home')
    for (let i = 0; i < 5; i++) {
      stops.push(await page.evaluate(() => document.activeElement.id))
      await page.keyboard.press('Tab')
    }
    assert.deepEqual(stops, ['home', 'name', 'log', 'input', 'submit'])
  })

  await t.test('the index leads into rooms, and knows those that were visited', async t => {
    const page = await open(t, browser, daemon.url)
    await page.getByLabel('Name of a room').fill('a & b/c')
    await page.keyboard.press('Enter')
    await becomes(page, '#room', 'textContent', 'a & b/c')
    await page.getByRole('link', { name: 'Other rooms' }).click()
    await page.getByRole('link', { name: 'a & b/c' }).click()
    await becomes(page, '#room', 'textContent', 'a & b/c')
    await page.goBack()
    await shoot(page, 'index')
  })

  await t.test('a handler refuses lines, and changes others', async t => {
    const strict = await Daemon.start(t, '--workers', 1, '--events', 'chat-events', '--rule', '* subscribe=anyone publish=handler',
      '--team', 'chat', '--consume', 'chat-events', '--handler', path.join(process.env.RD_BUILD, 'workers/example_chat.so'))
    const page = await chat(t, browser, `${strict.url}/dice`)
    await say(page, 'x'.repeat(1001))
    await becomes(page, '.failed .fate', 'textContent', 'not sent: a line has 1 to 1000 bytes')
    await page.getByRole('button', { name: 'Forget' }).click()
    await say(page, '/roll')
    await comes(page, 'a roll', () => [...document.querySelectorAll('#log li')].map(item =>
      [item.className, /^rolled a [1-6]$/.test(item.querySelector('.text').textContent)]), null, [['mine', true]])
    await strict.stop()
  })

  await t.test('a picture of a talk', async t => {
    const options = { viewport: { width: 1000, height: 640 } }
    const alice = await chat(t, browser, `${daemon.url}/kitchen`, options)
    const bob = await chat(t, browser, `${daemon.url}/kitchen`, options)
    await alice.fill('#name', 'Alice')
    await bob.fill('#name', 'Bob')
    await say(alice, 'Is there any coffee left?')
    await shows(bob, 'theirs Alice: Is there any coffee left?')
    await say(bob, 'Half a pot.')
    await say(bob, 'But it has been there since nine, so you may want to make a fresh one, and one for me while you are at it.')
    await shows(alice, 'mine: Is there any coffee left?', 'theirs Bob: Half a pot.', 'theirs Bob: But it has been there since nine, so you may want to make a fresh one, and one for me while you are at it.')
    await say(alice, 'On my way')
    await comes(bob, 'all lines', () => document.querySelectorAll('#log li').length, null, 4)
    await shoot(alice, 'talk')
    await alice.emulateMedia({ colorScheme: 'dark' })
    await shoot(alice, 'talk-dark')
  })

  await t.test('the daemon ends well', () => daemon.stop())
})
