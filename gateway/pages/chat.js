// SPDX-License-Identifier: MIT
/*
 * chat.js -- one chat room per address: /room1 is the channel room1.
 *
 * Lines are kept by offset, so each stands there once and in its place,
 * whatever brings it: the subscription, a look at earlier ones, or the answer
 * to one's own publish. A line that was typed is shown at once, as waiting, and
 * takes its place when it has an offset. It is known again by an id that nobody
 * else can know before it is there; from then on by its offset, which this
 * browser remembers.
 *
 * Whatever comes from others, the name of the room included, is shown as text
 * only. A name is what somebody says of himself, unless handlers have said who
 * he is (`from`).
 *
 * ?offset=0 shows everything that is still there at once; any other place to
 * start does, too.
 */

import { recall, remember } from './chat-store.js'
import RedistributeClient, { compareOffsets } from './client/redistribute-client.js'

const LATEST = '-50' // where a visit begins
const PAGE = 100 // as many earlier ones at a time
const SHOWN = 5000 // lines; the oldest are dropped beyond
const OWN = 500 // offsets of own lines that are remembered, for each room
const ROOMS = 20

const $ = id => document.getElementById(id)
const room = roomOf(location.pathname)
const client = new RedistributeClient({ targets: location.origin })
const lines = [] // {offset, item, message}, offsets growing
const waiting = new Map() // id -> {text, data, item}, of own lines without an offset
const own = new Set(recall(`own:${room}`, []))
const earlier = makeEarlier()

function roomOf (pathname) {
  const last = pathname.slice(pathname.lastIndexOf('/') + 1)
  try {
    return decodeURIComponent(last)
  } catch {
    return last // a stray % is part of the name
  }
}

/* ---- A line ---- */

function make (tag, name, ...children) {
  const element = document.createElement(tag)
  if (name) element.className = name
  element.append(...children)
  return element
}

function textOf ({ data }) {
  const text = data?.message
  return typeof text === 'string' ? text : JSON.stringify(data, bytesAsNumbers)
}

function bytesAsNumbers (key, value) {
  return value instanceof Uint8Array ? { bytes: [...value] } : value
}

function nameOf ({ from, data }) {
  const name = from ?? data?.name
  return typeof name === 'string' && name.trim() !== '' ? name.slice(0, 60) : 'anonymous'
}

// The first half of an offset is when it was stored, unless somebody chose it.
function timeOf (offset) {
  const date = new Date(Number(offset.split('-')[0]))
  if (isNaN(date)) return ''
  const today = date.toDateString() === new Date().toDateString()
  const short = today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' }
  const time = make('time', '', new Intl.DateTimeFormat(undefined, short).format(date))
  time.dateTime = date.toISOString()
  time.title = date.toLocaleString()
  return time
}

function fill (item, mine, head, text) {
  item.className = mine ? 'mine' : 'theirs'
  const body = make('p', 'text', text)
  body.dir = 'auto'
  item.replaceChildren(make('p', 'who', ...head), body)
}

function fillLine ({ offset, item, message }) {
  fill(item, own.has(offset), [make('bdi', 'name', nameOf(message)), timeOf(offset)], textOf(message))
  item.dataset.offset = offset
}

/* ---- All of them ---- */

// Runs what changes the list. The end is kept in view where it was, and so is
// whatever else is looked at.
function keepingView (change) {
  const log = $('log')
  const below = log.scrollHeight - log.scrollTop
  const atEnd = below - log.clientHeight < 40
  const last = lines.at(-1)
  change()
  if (atEnd) log.scrollTop = log.scrollHeight
  else if (lines.at(-1) === last) log.scrollTop = log.scrollHeight - below
}

// The index of a line, or where it would be.
function placeOf (offset) {
  let low = 0
  let high = lines.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareOffsets(lines[middle].offset, offset) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function put (message) {
  const at = placeOf(message.offset)
  const mine = waiting.get(message.data?.id)
  if (mine) keepOwn(message.offset, mine)
  if (lines[at]?.offset === message.offset) {
    lines[at].message = message // a handler may have changed what was sent
    fillLine(lines[at])
    return
  }
  const line = { offset: message.offset, item: make('li'), message }
  const next = lines[at]?.item ?? [...waiting.values()][0]?.item ?? null
  fillLine(line)
  $('log').insertBefore(line.item, next)
  lines.splice(at, 0, line)
}

function show (messages) {
  keepingView(() => {
    messages.forEach(put)
    while (lines.length > SHOWN) {
      lines.shift().item.remove()
      earlier.hidden = false
    }
  })
}

function keepOwn (offset, mine) {
  waiting.delete(mine.data.id)
  mine.item.remove()
  own.add(offset)
  const kept = [...new Set([...recall(`own:${room}`, []), ...own])]
  remember(`own:${room}`, kept.slice(-OWN))
}

/* ---- Earlier ones ---- */

function makeEarlier () {
  const button = make('button', '', 'Earlier messages')
  button.type = 'button'
  button.id = 'earlier'
  button.hidden = true
  $('log').before(button)
  return button
}

async function showEarlier () {
  const to = lines[0]?.offset
  const page = await client.history(room, { to, reverse: true, limit: PAGE })
  if (page.messages.length > 0) show(page.messages)
  earlier.hidden = !page.more
}

/* ---- Sending ---- */

// crypto.randomUUID() is for secure pages only.
function makeId () {
  return [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(16).padStart(2, '0')).join('')
}

function say (text) {
  const data = { message: text, name: $('name').value.trim() || undefined, id: makeId() }
  const mine = { data, item: make('li') }
  waiting.set(data.id, mine)
  keepingView(() => $('log').append(mine.item))
  send(mine)
  $('log').scrollTop = $('log').scrollHeight
}

async function send (mine) {
  fill(mine.item, true, [make('span', 'fate', 'waiting')], mine.data.message)
  mine.item.classList.add('waiting')
  try {
    const offset = await client.publish(room, 'CHAT', mine.data)
    const line = lines[placeOf(offset)]
    keepOwn(offset, mine)
    if (line?.offset === offset) fillLine(line)
    else show([{ offset, data: mine.data }])
  } catch (error) {
    if (waiting.has(mine.data.id)) showFailure(mine, error)
  }
}

function showFailure (mine, error) {
  const fate = error.code === 'unknown' ? 'perhaps not sent' : 'not sent'
  const again = make('button', '', 'Send again')
  const forget = make('button', '', 'Forget')
  again.type = forget.type = 'button'
  again.addEventListener('click', () => {
    $('input').focus()
    send(mine)
  })
  forget.addEventListener('click', () => {
    $('input').focus()
    waiting.delete(mine.data.id)
    mine.item.remove()
  })
  keepingView(() => {
    fill(mine.item, true, [make('span', 'fate', `${fate}: ${error.message}`), again, forget], mine.data.message)
    mine.item.classList.add('failed')
  })
}

/* ---- The room ---- */

function showState (state, text) {
  $('state').dataset.state = state
  $('state').textContent = text
}

function showTrouble (text) {
  $('trouble').textContent = text
}

document.title = room
$('room').textContent = room
$('room').title = room
$('name').value = recall('name', '')
remember('rooms', [room, ...recall('rooms', []).filter(other => other !== room)].slice(0, ROOMS))

client.on('connect', () => showState('connected', 'connected'))
client.on('disconnect', ({ willReconnect }) => {
  if (willReconnect) showState('lost', 'no connection')
  else showState('closed', 'disconnected')
})
client.on('gap', ({ lost }) => {
  showTrouble(`${lost ?? 'Some'} messages are not there any more`)
})
client.on('error', error => {
  if (error.code === 'connect_failed') showState('lost', 'no connection')
  else if (error.request !== 'publish') showTrouble(error.message)
})

const offset = new URLSearchParams(location.search).get('offset')
client.subscribe(room, offset ?? LATEST, show).then(begin => {
  earlier.hidden = begin.offset === '0-0'
}, () => {}) // the event has told it

earlier.addEventListener('click', async () => {
  earlier.disabled = true
  try {
    await showEarlier()
    showTrouble('')
  } catch (error) {
    showTrouble(`No earlier messages: ${error.message}`)
  }
  earlier.disabled = false
})

$('form').addEventListener('submit', event => {
  event.preventDefault()
  const text = $('input').value
  if (text.trim() === '') return
  $('input').value = ''
  say(text)
})

$('name').addEventListener('change', () => remember('name', $('name').value.trim()))
$('name').addEventListener('keydown', event => {
  if (event.key === 'Enter') $('input').focus()
})

// A touch screen would show its keyboard over half of the page.
if (matchMedia('(hover: hover)').matches) $('input').focus()
