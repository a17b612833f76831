// SPDX-License-Identifier: MIT
/*
 * Pages of one's own, as gateway/client/README.md prints them, in a real
 * browser: those that the gateway serves, and those of another server.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { comes, launch, open } from './browser.mjs'
import { Daemon, within } from './support.mjs'

const README = 'gateway/client/README.md'

/** The block that the document names so. */
async function printed (file) {
  const text = await readFile(new URL(`../../${README}`, import.meta.url), 'utf8')
  const blocks = [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)]
  return blocks.find(([, mark]) => mark.endsWith(` FILE=${file}`))[2]
}

async function directory (t, files) {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'rd-pages-'))
  t.after(() => rm(dir, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(dir, name), text)
  return dir
}

/** Another web server, with one page; its origin. */
async function elsewhere (t, html) {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end(request.url === '/' ? html() : '')
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://localhost:${server.address().port}`
}

const greetings = page => comes(page, 'a greeting', () => {
  const items = [...document.querySelectorAll('#greetings li')]
  return items.length > 0 && items.every(item => /^Hello, it is \d/.test(item.textContent))
}, null, true)

test('the page of the README, and one of another server', async t => {
  const dir = await directory(t, { 'index.html': await printed('index.html'), 'app.js': await printed('app.js') })
  let html
  const origin = await elsewhere(t, () => html)
  const daemon = await Daemon.start(t, '--origin', origin, '--pages', dir)
  const own = await Daemon.start(t, '--pages', dir)
  html = (await printed('elsewhere.html')).replaceAll('http://127.0.0.1:8080', daemon.url)
  const browser = await launch(t)

  const mine = await open(t, browser, own.url)
  await mine.getByRole('button', { name: 'Greet everybody' }).click()
  await greetings(mine)

  await daemon.redis('XADD', 'rd:ch:greetings', '*', 'json', '{"text":"Hello, it is 8 o\'clock"}')
  const theirs = await open(t, browser, origin)
  await greetings(theirs)
})

test('a page of an origin that is not allowed gets neither client nor connection', async t => {
  let html
  const origin = await elsewhere(t, () => html)
  const daemon = await Daemon.start(t)
  html = (await printed('elsewhere.html')).replaceAll('http://127.0.0.1:8080', daemon.url)
  const browser = await launch(t)
  const context = await browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  const said = new Promise(resolve => page.on('console', message => {
    if (/Access-Control-Allow-Origin|CORS/.test(message.text())) resolve(message.text())
  }))
  await page.goto(origin)
  assert.match(await within(said, 'a word about the origin'), /redistribute-client\.js/)
})

test('a script in a page of the gateway does not run, but where the policy says so', async t => {
  const dir = await directory(t, { 'index.html': '<!DOCTYPE html><title>before</title><script>document.title = "after"</script>' })
  const strict = await Daemon.start(t, '--pages', dir)
  const lax = await Daemon.start(t, '--pages', dir, '--pages-policy', "default-src 'self' 'unsafe-inline'")
  const browser = await launch(t)
  const page = await (await browser.newContext()).newPage()
  await page.goto(strict.url)
  assert.equal(await page.title(), 'before')
  await page.goto(lax.url)
  assert.equal(await page.title(), 'after')
})
