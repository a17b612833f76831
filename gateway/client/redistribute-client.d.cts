// SPDX-License-Identifier: MIT

import type * as client from './redistribute-client.js' with { 'resolution-mode': 'import' }

declare const RedistributeClient: client.RedistributeClientConstructor & {
  default: client.RedistributeClientConstructor
  RedistributeClient: client.RedistributeClientConstructor
  RedistributeError: typeof client.RedistributeError
  compareOffsets: typeof client.compareOffsets
}

declare namespace RedistributeClient {
  type Message<T = any> = client.Message<T>
  type Options = client.Options
  type HistoryOptions = client.HistoryOptions
  type Offset = client.Offset
  type Welcome = client.Welcome
  type Disconnect = client.Disconnect
  type Gap = client.Gap
  type Events = client.Events
  type StorageLike = client.StorageLike
  type WebSocketClass = client.WebSocketClass
  type Client = client.RedistributeClient
  type RedistributeError = client.RedistributeError
}

export = RedistributeClient
