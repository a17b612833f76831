// SPDX-License-Identifier: MIT
// Compiled, not run: what a TypeScript program on ES modules may write.
import RedistributeClient, { compareOffsets, RedistributeError, type Gap, type Message, type Options } from 'redistribute-client'
import * as all from 'redistribute-client'

interface Chat { message: string }

const options: Options = { targets: ['https://a:8080', 'b:8080'], backoff: { max: 1000 }, storage: localStorage, WebSocket }
const client = new RedistributeClient(options)
const other: all.RedistributeClient = RedistributeClient({ targets: 'ws://a' })

client.load<Chat>('room1', (messages, lastOffset) => {
  const text: string | undefined = messages[0]?.data.message
  const offset: string | undefined = lastOffset
  client.subscribe<Chat>('room1', lastOffset, messages => console.log(messages[0].data.message, text, offset))
})
client.subscribe('room1', -10, (messages: Message[]) => messages.map(m => [m.channel, m.offset, m.type, m.from]))
const subscribed: Promise<{ offset: string }> = client.subscribe('room1', messages => messages.length)
const left: Promise<void> = client.unsubscribe('room1')
const offset: string = await client.publish('room1', 'CHAT', { message: 'hi' })
await client.publish('room1', new Uint8Array(3))
const { messages, more } = await client.history<Chat>('room1', { from: 0, limit: 5, reverse: true })
const done: boolean = more && messages[0].data.message === '' && compareOffsets(offset, '0-0') > 0
const time: number = await client.ping()
const sum: number = await client.call<number>('math', 'ADD', [2, 3])
client.on('direct', ({ type, data }) => console.log(type, data))
client.on('subscribed', ({ channel, offset }) => console.log(channel, offset, sum))

client.on('connect', welcome => welcome.limits.message.toFixed())
  .on('disconnect', ({ code, reason, willReconnect }) => [code.toFixed(), reason.trim(), willReconnect === true])
  .once('gap', (gap: Gap) => gap.lost)
  .off('error', (error: unknown) => error instanceof RedistributeError && error.code === 'unknown' && error.retry)
if (client.state === 'closed') client.close()

// @ts-expect-error: targets are required
new RedistributeClient({})
// @ts-expect-error: a handler is required
client.subscribe('room1', '0')
// @ts-expect-error: no such event
client.on('message', () => {})
// @ts-expect-error: read only
client.state = 'closed'

export { done, left, other, subscribed, time }
