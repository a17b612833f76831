// SPDX-License-Identifier: MIT
/*
 * chat.js -- one chat room per address: /room1 is the channel room1.
 *
 * Lines are kept by offset, so that a replay can bring in earlier ones, or the
 * same ones again, and each stands there once and in its place.  Whatever
 * comes from others, the name of the room included, is shown as text only.
 *
 * ?offset=0 shows everything that is still there at once; any other place to
 * start does, too.
 */

import RedistributeClient, { compareOffsets } from '/client/redistribute-client.js'

const REPLAYED = 10000 // as many of the latest messages as a replay brings
const PAGE = 1000
const SHOWN = 20000 // lines; the oldest are dropped beyond

const $ = id => document.getElementById(id)
const room = roomOf(location.pathname)
const client = new RedistributeClient({ targets: location.origin })
let lines = [] // {offset, text}, offsets growing

function roomOf (pathname) {
  try {
    return decodeURIComponent(pathname.slice(1))
  } catch {
    return pathname.slice(1) // a stray % is part of the name
  }
}

/* ---- Showing ---- */

function textOf ({ data }) {
  const text = data?.message
  return typeof text === 'string' ? text : JSON.stringify(data, bytesAsNumbers)
}

function bytesAsNumbers (key, value) {
  return value instanceof Uint8Array ? { bytes: [...value] } : value
}

function show (messages) {
  const added = messages.map(m => ({ offset: m.offset, text: textOf(m) }))
  const last = lines.at(-1)
  if (!last || compareOffsets(added[0].offset, last.offset) > 0) {
    lines.push(...added)
    write(added)
  } else {
    const known = new Set(lines.map(line => line.offset))
    lines.push(...added.filter(line => !known.has(line.offset)))
    lines.sort((a, b) => compareOffsets(a.offset, b.offset))
    write()
  }
  if (lines.length > SHOWN) {
    lines = lines.slice(-SHOWN)
    write()
  }
}

// Without an argument, all of them. The end is kept in view where it was.
function write (added) {
  const log = $('log')
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
  const text = (added ?? lines).map(line => line.text + '\n').join('')
  log.value = added ? log.value + text : text
  if (atEnd) log.scrollTop = log.scrollHeight
}

function showState (text) {
  $('state').textContent = text
  $('state').dataset.state = client.state
}

function showTrouble (text) {
  $('trouble').textContent = text
}

/* ---- Doing ---- */

async function send (text) {
  try {
    await client.publish(room, 'CHAT', { message: text })
    showTrouble('')
  } catch (error) {
    const fate = error.code === 'unknown' ? 'Perhaps not sent' : 'Not sent'
    const start = text.length > 40 ? text.slice(0, 40) + '…' : text
    showTrouble(`${fate}: "${start}" (${error.message})`)
    if ($('input').value === '') $('input').value = text
  }
}

async function replay () {
  let from = `-${REPLAYED}`
  for (let more = true; more;) {
    const page = await client.history(room, { from, limit: PAGE })
    if (page.messages.length === 0) return
    show(page.messages)
    from = page.messages.at(-1).offset
    more = page.more
  }
}

document.title = `Chat room '${room}'`
$('room').textContent = room

client.on('connect', () => showState('connected'))
client.on('disconnect', ({ willReconnect }) => {
  showState(willReconnect ? 'connection lost, trying again' : 'disconnected')
})
client.on('gap', ({ lost }) => {
  showTrouble(`${lost ?? 'Some'} messages are not there any more`)
})
client.on('error', error => {
  if (error.code === 'connect_failed') showState('no connection, trying again')
  else if (error.request !== 'publish') showTrouble(error.message)
})

const offset = new URLSearchParams(location.search).get('offset')
client.subscribe(room, offset ?? '$', messages => {
  show(messages)
  $('latest').textContent = textOf(messages.at(-1))
})

$('form').addEventListener('submit', event => {
  event.preventDefault()
  const text = $('input').value
  if (text === '') return
  $('input').value = ''
  send(text)
})

$('replay').addEventListener('click', async () => {
  $('replay').disabled = true
  try {
    await replay()
  } catch (error) {
    showTrouble(`No replay: ${error.message}`)
  }
  $('replay').disabled = false
})

$('input').focus()
