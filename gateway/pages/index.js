// SPDX-License-Identifier: MIT
/* index.js -- into a chat room, by its name or as one that was visited. */

import { addressOf, recall } from './chat-store.js'

const $ = id => document.getElementById(id)

$('form').addEventListener('submit', event => {
  event.preventDefault()
  location.href = addressOf($('input').value)
})

for (const room of recall('rooms', [])) {
  const link = document.createElement('a')
  link.href = addressOf(room)
  link.textContent = room
  const item = document.createElement('li')
  item.append(link)
  $('rooms').append(item)
}

if (matchMedia('(hover: hover)').matches) $('input').focus()
