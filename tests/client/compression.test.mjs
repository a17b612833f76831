// SPDX-License-Identifier: MIT
/*
 * Others' permessage-deflate against the gateway's: the package `ws`, with all
 * that it can be told to offer, and a browser.  Plain mode gives back what it
 * is given, so every message goes through both directions.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chromium } from 'playwright-core'
import WS from 'ws'
import { Daemon, Inbox, within } from './support.mjs'

const SIZES = [0, 1, 125, 126, 255, 256, 1000, 16384, 65535, 65536, 131072]
const MAX_MESSAGE = 131072

const words = size => 'to be or not to be; '.repeat(size / 20 + 1).slice(0, size)

function noise (size) {
  const bytes = new Uint8Array(size)
  for (let i = 0, x = 1; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    bytes[i] = x >>> 24
  }
  return bytes
}

test('compression', async t => {
  const daemon = await Daemon.start(t, '--max-message', MAX_MESSAGE)
  const address = `${daemon.url.replace('http', 'ws')}/ws/`

  for (const [name, offer] of Object.entries({
    default: true,
    narrow: { serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
    middle: { serverMaxWindowBits: 12, clientMaxWindowBits: 15 },
    'no takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true },
    everything: { threshold: 0, zlibDeflateOptions: { level: 9, memLevel: 9 } }
  })) {
    await t.test(`the package ws, ${name}`, async t => {
      const socket = new WS(address + encodeURIComponent(name), { perMessageDeflate: offer })
      const inbox = new Inbox()
      t.after(() => socket.terminate())
      socket.on('message', (data, binary) => inbox.put({ data, binary }))
      await within(new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject)), 'open')
      assert.equal(socket.extensions, 'permessage-deflate')
      for (const size of SIZES) {
        for (const message of [words(size), noise(size)]) {
          socket.send(message, { compress: true })
          const { data, binary } = await inbox.next()
          assert.equal(binary, typeof message !== 'string')
          assert.ok(data.equals(Buffer.from(message)), `${size} bytes`)
        }
      }
      socket.send('frag', { fin: false })
      socket.send('ments')
      assert.equal(String((await inbox.next()).data), 'fragments')
    })
  }

  await t.test('a browser', async t => {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--no-first-run', '--no-default-browser-check']
    })
    t.after(() => browser.close())
    const page = await browser.newPage()
    await page.goto(`${daemon.url}/room`)
    const wrong = await within(page.evaluate(async ([url, sizes]) => {
      const socket = new WebSocket(url)
      socket.binaryType = 'arraybuffer'
      await new Promise((resolve, reject) => {
        socket.onopen = resolve
        socket.onerror = () => reject(new Error('not opened'))
      })
      if (!socket.extensions.startsWith('permessage-deflate')) return [socket.extensions]
      const wrong = []
      const echo = message => new Promise((resolve, reject) => {
        socket.onmessage = event => resolve(event.data)
        socket.onclose = event => reject(new Error(`${event.code} ${event.reason}`))
        socket.send(message)
      })
      for (const size of sizes) {
        const text = 'to be or not to be; '.repeat(size / 20 + 1).slice(0, size)
        if (await echo(text) !== text) wrong.push(`text of ${size}`)
        const bytes = Uint8Array.from({ length: size }, (_, i) => (i * i) >> 3)
        const back = new Uint8Array(await echo(bytes))
        if (back.length !== size || back.some((byte, i) => byte !== bytes[i])) wrong.push(`bytes, ${size}`)
      }
      return wrong
    }, [`${address}browser`, SIZES]), 'the browser')
    assert.deepEqual(wrong, [])
  })
})
