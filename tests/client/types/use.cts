// SPDX-License-Identifier: MIT
// Compiled, not run: what a TypeScript program on CommonJS may write.
import RedistributeClient = require('redistribute-client')

const client = RedistributeClient({ targets: ['localhost:8080'] })
const other: RedistributeClient.Client = new RedistributeClient({ targets: 'localhost:8080' })

client.subscribe('room1', (messages: RedistributeClient.Message<number>[]) => messages[0].data.toFixed())
client.publish('room1', 'CHAT', { message: 'hi' }).catch((error: unknown) => {
  if (error instanceof RedistributeClient.RedistributeError && error.retry) other.close()
})
// @ts-expect-error: targets are required
RedistributeClient({})
