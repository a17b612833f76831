// SPDX-License-Identifier: MIT
/*
 * What a chat server decides, for the chat page: what example_chat.c does.
 *
 *   redistribute start --pages /usr/share/redistribute/pages \
 *     --events chat-events --rule '* subscribe=anyone publish=handler' \
 *     --team chat --consume chat-events --handler 'exec:node example_chat.js'
 */
const { randomInt } = require('crypto')
const lines = require('readline').createInterface({ input: process.stdin })

function judge ({ event, data }) {
  if (event !== 'publish') return {}
  const line = data?.message
  if (typeof line !== 'string' || line === '' || Buffer.byteLength(line) > 1000) {
    return { allow: false, reason: 'a line has 1 to 1000 bytes' }
  }
  if (line === '/roll') {
    return { allow: true, type: 'ROLL', data: { message: `rolled a ${randomInt(1, 7)}`, name: 'the die' } }
  }
  return { allow: true }
}

lines.on('line', text => {
  const event = JSON.parse(text)
  console.log(JSON.stringify({ seq: event.seq, ...judge(event) }))
})
