// SPDX-License-Identifier: MIT
/*
 * The package as its users get it: the files that it names, installed beside
 * a program of theirs; nothing of this source tree is in reach.
 */

import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { createServer } from 'node:tls'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Daemon, documented, MemoryGateway, run } from './support.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const source = path.join(here, '../../gateway/client')

async function project (t, { ws }) {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'rd-package-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const target = path.join(dir, 'node_modules/redistribute-client')
  await mkdir(target, { recursive: true })
  const { files } = JSON.parse(await readFile(path.join(source, 'package.json')))
  for (const file of ['package.json', ...files]) await cp(path.join(source, file), path.join(target, file))
  if (ws) await symlink(path.join(here, 'node_modules/ws'), path.join(dir, 'node_modules/ws'))
  return dir
}

async function program (dir, name, text) {
  await writeFile(path.join(dir, name), text)
  const { code, stdout, stderr } = await run(process.execPath, [name], { cwd: dir })
  assert.equal(code, 0, stderr)
  return { stdout: stdout.trim(), stderr }
}

/** The example of the README, which does this with its messages. */
const WHOLE = (await documented('gateway/client/README.md', 'js', 'package.test.mjs'))
  .replace('// Do stuff with messages!', 'console.log(messages[0].type, JSON.stringify(messages[0].data)); client.close()')
const EXAMPLE = WHOLE.slice(WHOLE.indexOf('// Load'))
const RESULT = 'TEST_MESSAGE {"foo":"bar"}'

test('require, without new, with the package ws', async t => {
  const gateway = await MemoryGateway.start(t)
  const dir = await project(t, { ws: true })
  const { stdout, stderr } = await program(dir, 'main.cjs', `
    delete globalThis.WebSocket
    ${WHOLE.replace('https://redistribute-api.demo:8080', gateway.url)}`)
  assert.equal(stdout, RESULT)
  assert.equal(stderr, '', 'no warnings')
})

test('the example of the first README, on the real gateway', async t => {
  const daemon = await Daemon.start(t)
  const dir = await project(t, { ws: true })
  const text = await documented('README.md', 'js', 'package.test.mjs')
  const { stdout } = await program(dir, 'main.mjs', text.replace('http://127.0.0.1:8080', daemon.url) +
    "\nif (offset !== await client.history('room1', {}).then(page => page.messages[0].offset)) process.exit(1)" +
    '\nsetTimeout(() => client.close(), 200)')
  assert.match(stdout, /^\d+-\d+ GREETING \{ say: 'hello' \}$/)
})

test('import, with new', async t => {
  const gateway = await MemoryGateway.start(t)
  const dir = await project(t, { ws: true })
  const { stdout } = await program(dir, 'main.mjs', `
    import RedistributeClient from 'redistribute-client'
    const client = new RedistributeClient({ targets: ['${gateway.url}'] })
    ${EXAMPLE}`)
  assert.equal(stdout, RESULT)
})

test('both ways export the same', async t => {
  const dir = await project(t, { ws: false })
  const { stdout } = await program(dir, 'main.mjs', `
    import { createRequire } from 'node:module'
    import assert from 'node:assert/strict'
    import * as esm from 'redistribute-client'
    const cjs = createRequire(import.meta.url)('redistribute-client')
    for (const name of Object.keys(esm)) assert.equal(typeof cjs[name], typeof esm[name], name)
    assert.equal(cjs.default, cjs)
    assert.equal(cjs.RedistributeClient, cjs)
    for (const Client of [cjs, esm.default]) {
      const client = Client({ targets: 'localhost:1', WebSocket: class { close () {} } })
      assert.ok(client instanceof Client)
      assert.equal(client.constructor, Client)
      class Mine extends Client { mine () { return this.state } }
      const mine = new Mine({ targets: 'localhost:1', WebSocket: class { close () {} } })
      assert.equal(mine.mine(), 'connecting')
      mine.close()
      client.close()
    }
    console.log('good')`)
  assert.equal(stdout, 'good')
})

test('an error in the client names the line of its source', async t => {
  const dir = await project(t, { ws: false })
  const text = await readFile(path.join(source, 'redistribute-client.js'), 'utf8')
  const line = text.split('\n').findIndex(line => line.includes("'targets: one address")) + 1
  const { stdout } = await program(dir, 'main.cjs', `
    try { require('redistribute-client')({}) } catch (error) { console.log(error.stack) }`)
  assert.ok(stdout.includes(`redistribute-client.js:${line}:`), stdout)
})

test('without any WebSocket, it says what to do', async t => {
  const dir = await project(t, { ws: false })
  for (const [name, load] of [
    ['main.mjs', "const { default: Client } = await import('redistribute-client')"],
    ['main.cjs', "const Client = require('redistribute-client')"]
  ]) {
    const { stdout } = await program(dir, name, `
      delete globalThis.WebSocket
      ${load}
      const client = Client({ targets: 'localhost:1' })
      client.on('error', error => { if (!error.request) console.log(error.code, error.message) })
      client.publish('c', 1).catch(error => console.log(error.code, client.state))`)
    assert.equal(stdout, 'no_websocket there is no WebSocket here: use Node 22, or install the package ws, ' +
      'or give one as options.WebSocket\nclosed closed')
  }
})

test('errors that nobody listens to are printed, each kind once', async t => {
  const dir = await project(t, { ws: false })
  const seed = target => `
    const client = require('redistribute-client')({ targets: ['${target}'], backoff: { min: 1, max: 2 } })
    ${EXAMPLE}`
  // The seed's example, as it stands, where there is no WebSocket.
  const none = await program(dir, 'none.cjs', `delete globalThis.WebSocket; ${seed('localhost:1')}`)
  assert.match(none.stderr, /^redistribute-client: no_websocket: .*install the package ws.*\n$/)

  const withWs = await project(t, { ws: true })
  const ws = 'globalThis.WebSocket = require("ws").WebSocket;'
  const wrong = await program(withWs, 'wrong.cjs', `${ws} ${seed('localhost:1')}; setTimeout(() => client.close(), 500)`)
  assert.match(wrong.stderr, /^redistribute-client: connect_failed: no connection to ws:\/\/localhost:1\/: connect ECONNREFUSED.*\n$/)

  const untrusted = await certified(t, withWs)
  const tls = await program(withWs, 'tls.cjs', `${ws} ${seed(`https://localhost:${untrusted}`)}; setTimeout(() => client.close(), 1000)`)
  assert.match(tls.stderr, /^redistribute-client: connect_failed: .*self.signed certificate.*\n$/)

  // Who listens is told, and nothing is printed; to close is no error.
  const heard = await program(withWs, 'heard.cjs', `${ws}
    const client = require('redistribute-client')({ targets: 'localhost:1' })
    client.once('error', error => { console.log(error.code); client.publish('c', 1); client.close() })`)
  assert.deepEqual([heard.stdout, heard.stderr], ['connect_failed', ''])
})

/** A TLS server that nobody trusts; its port. */
async function certified (t, dir) {
  const { code, stderr } = await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-keyout', path.join(dir, 'key.pem'), '-out', path.join(dir, 'cert.pem')])
  assert.equal(code, 0, stderr)
  const server = createServer({ key: await readFile(path.join(dir, 'key.pem')), cert: await readFile(path.join(dir, 'cert.pem')) })
  server.on('tlsClientError', () => {})
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return server.address().port
}

/** A program node of that version, from npm's package `node`, kept for the next time; null where it cannot be had. */
async function nodeOf (version) {
  if (process.versions.node.startsWith(`${version}.`)) return process.execPath
  const dir = path.join(process.env.RD_BUILD ?? os.tmpdir(), 'nodes', version)
  const node = path.join(dir, 'node_modules/node/bin/node')
  const works = () => run(node, ['--version']).then(({ stdout }) => stdout.startsWith(`v${version}.`), () => false)
  if (await works()) return node
  await mkdir(dir, { recursive: true })
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefix', dir, `node@${version}`]).catch(() => {})
  return await works() ? node : null
}

for (const version of ['18', '20', '22', '24']) {
  test(`the install of the README works in an empty folder, Node ${version}`, async t => {
    const node = await nodeOf(version)
    if (!node) return t.skip(`no Node ${version} here, and npm gives none`)
    const gateway = await MemoryGateway.start(t)
    const dir = await mkdtemp(path.join(os.tmpdir(), 'rd-install-'))
    t.after(() => rm(dir, { recursive: true, force: true }))
    const readme = await readFile(path.join(source, 'README.md'), 'utf8')
    assert.ok(readme.includes('npm install <path of this directory>'))
    assert.ok(readme.includes('npm install <path of this directory> ws'))
    const packages = [source]
    if (Number(version) < 22) { // ws, as the registry would give it
      const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', dir, path.join(here, 'node_modules/ws')])
      packages.push(path.join(dir, stdout.trim()))
    }
    const { code, stderr } = await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...packages], { cwd: dir })
    assert.equal(code, 0, stderr)
    for (const [name, load] of [
      ['main.cjs', "const Client = require('redistribute-client')"],
      ['main.mjs', "import Client from 'redistribute-client'"]
    ]) {
      await writeFile(path.join(dir, name), `${load}
        const client = Client({ targets: ['${gateway.url}'] })
        ${EXAMPLE}`)
      const ran = await run(node, [name], { cwd: dir })
      assert.equal(ran.stdout.trim(), RESULT, ran.stderr)
      assert.equal(ran.code, 0)
    }
  })
}

test('its types fit programs of both kinds', async t => {
  const dir = await project(t, { ws: false })
  await cp(path.join(here, 'types'), dir, { recursive: true })
  const { code, stdout } = await run(process.execPath, [path.join(here, 'node_modules/typescript/bin/tsc'), '-p', dir])
  assert.equal(code, 0, stdout)
})
