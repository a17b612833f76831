// SPDX-License-Identifier: MIT
/*
 * A chat server's code, as a program: what example_server.c does.
 *
 *   redistribute start --events events --connect handler \
 *     --event-cookie session \
 *     --rule '* subscribe=handler publish=handler call=handler' \
 *     --team server --consume events --handler 'exec:node example_server.js'
 */
const lines = require('readline').createInterface({ input: process.stdin })
const users = new Map([['s3cret', 'alice']]) // by their session

function judge ({ event, socket, channel, type, from, data }) {
  switch (event) {
    case 'connect': {
      const user = users.get(data.cookies.session)
      return { allow: true, from: user,
        subscribe: [{ socket, channel: 'lobby' }],
        direct: [{ socket, type: 'WELCOME', data: user ?? 'stranger' }] }
    }
    case 'subscribe':
      if (channel.startsWith('staff:') && from === undefined) {
        return { allow: false, reason: 'only for people that we know' }
      }
      return { allow: true }
    case 'publish': {
      if (data === null || typeof data !== 'object' || Array.isArray(data)) {
        return { allow: false, reason: 'a message is a map' }
      }
      const answer = { allow: true, emit: [{ channel: 'audit', data }] }
      // What is shouted goes out as text.
      return 'shout' in data
        ? { ...answer, type: 'SHOUT', data: data.shout }
        : answer
    }
    case 'call':
      if (type === 'LEAVE') {
        return { allow: true, unsubscribe: [{ socket, channel }] }
      }
      if (type === 'QUIT') {
        return { allow: true, disconnect: [{ socket, reason: 'as you wish' }] }
      }
      return { allow: true, reply: data }
    default:
      return { emit: [{ channel: 'audit', type: 'GONE', data: socket }] }
  }
}

lines.on('line', (line) => {
  const event = JSON.parse(line)
  console.log(JSON.stringify({ seq: event.seq, ...judge(event) }))
})
