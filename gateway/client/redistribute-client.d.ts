// SPDX-License-Identifier: MIT

/** A message of a channel. */
export interface Message<T = any> {
  /** The channel that it was published to. */
  channel: string
  /** The id that Redis gave it, as `"1700000000000-0"`. Offsets of one channel only grow. */
  offset: string
  /** What the publisher called it; null where there was no type. */
  type: string | null
  /**
   * The payload. Bytes are a `Uint8Array`. An entry that another program wrote
   * with XADD is an object of its fields.
   */
  data: T
  /** Who published it, where the gateway knows. */
  from?: string
  /** Its idempotency key, where it has one. */
  key?: string
  /** The payload as MessagePack, where JSON cannot say it; `data` is null then. */
  msgpack?: Uint8Array
}

/** What this client needs of a WebSocket class. */
export interface WebSocketClass {
  new (url: string, protocols?: string | string[]): {
    readonly readyState: number
    readonly bufferedAmount?: number
    onmessage: any
    onclose: any
    onerror: any
    send(data: string): void
    close(code?: number, reason?: string): void
  }
}

/** What this client needs of a storage; `localStorage` has it. */
export interface StorageLike {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  /** With these three, no more than `channels` are stored. */
  readonly length?: number
  key?(index: number): string | null
  removeItem?(key: string): void
}

export interface Options {
  /**
   * The gateways, as `https://`, `http://`, `wss://` or `ws://` addresses;
   * `host:port` alone means `ws://`. The first is tried first, and after
   * every connection that is lost or fails, the next one.
   */
  targets: string | string[]
  /**
   * The class to connect with. Default: the global `WebSocket`; where there is
   * none (Node before 22), that of the package `ws`.
   */
  WebSocket?: WebSocketClass
  /** Where `load()` finds messages. Default: `localStorage`; without one, memory. */
  storage?: StorageLike
  /** What keys in the storage start with. Default: `"redistribute:"`. */
  storagePrefix?: string
  /** How many messages of a channel are stored. Default: 100. */
  history?: number
  /** How many channels are stored, where the storage can name them. Default: 100. */
  channels?: number
  /** Store what arrives in every channel, not only in those that were `load()`ed. Default: false. */
  keep?: boolean
  /** How many publishes and calls may wait, for a connection or until less is in flight. Default: 1000. */
  queue?: number
  /** How many bytes of publishes and calls are held, waiting and in flight. Default: 16 MiB. */
  queueBytes?: number
  /**
   * How long a handshake or an answer may take, in milliseconds. The time for
   * an answer begins when the request has left this machine. Default: 10000.
   */
  requestTimeout?: number
  /**
   * Attempt n to reconnect comes after a random time between 0 and
   * `Math.min(max, min * 2 ** n)` milliseconds, or what the gateway has said
   * that its crowd needs, where that is longer. Default: 500 and 20000.
   */
  backoff?: { min?: number, max?: number }
}

/** What the gateway says when it greets. */
export interface Welcome {
  /** The name of this connection. */
  client: string
  /** The name of the gateway. */
  gateway: string
  version: string
  /** The data set in Redis; null where Redis has not been reached yet. */
  epoch: string | null
  /** The gateway's clock, in milliseconds since 1970. */
  time: number
  /** After so many milliseconds of silence the gateway sends a WebSocket ping. */
  ping: number
  /** Over so many milliseconds its clients come back, if it ends without a word. */
  retry: number
  /** The largest message that may be sent, in bytes, and the number of subscriptions. */
  limits: { message: number, subscriptions: number }
}

export interface Disconnect {
  /** The WebSocket close code; 1006 where the connection just ended. */
  code: number
  reason: string
  /** False after `close()`, and where the gateway said to stop. */
  willReconnect: boolean
}

/**
 * Messages between `from` and `first` are not there any more, because the
 * channel was trimmed or its data set was flushed or exchanged. Those that are
 * there follow.
 */
export interface Gap {
  channel: string
  from: string
  /** The first message that is there; null where there is none. */
  first: string | null
  /** How many are missing; null where Redis cannot tell. */
  lost: number | null
}

/** A message that a handler has sent to this connection alone. */
export interface Direct<T = any> {
  /** What the handler called it; null where there was no type. */
  type: string | null
  /** The payload. Bytes are a `Uint8Array`. */
  data: T
  /** The payload as MessagePack, where JSON cannot say it; `data` is null then. */
  msgpack?: Uint8Array
}

export interface Events {
  connect: Welcome
  disconnect: Disconnect
  gap: Gap
  direct: Direct
  /**
   * A handler has subscribed this connection. Call `subscribe(channel,
   * onMessages)` here to be given what comes; nothing is sent for that.
   */
  subscribed: { channel: string, offset: string }
  /** A handler has ended a subscription; it is not made again. */
  unsubscribed: { channel: string, reason: string }
  /**
   * A `RedistributeError`, or whatever a handler of yours has thrown. Tells
   * also of each publish and subscribe that failed (with `request` and
   * `channel`), and of each attempt to connect that failed.
   */
  error: any
}

/**
 * - codes of the gateway: `bad_request`, `bad_channel`, `bad_offset`, `unknown_request`,
 *   `too_large`, `limit`, `denied`, `busy`, `backlog`, `unavailable`; `rate` only
 *   where a publish would have to wait for longer than `requestTimeout`: else it is
 *   sent again and nothing is told
 * - `unknown`: a publish or a call was sent, and the connection (or that of the gateway
 *   to Redis) broke before the answer, or no answer came in time
 * - `queue_full`: a publish or a call that has to wait, and too many (`queue`), or too
 *   large ones (`queueBytes`), wait already
 * - `timeout`: no handler has answered the gateway in time, or the gateway has
 *   not answered a `history()` or `ping()`
 * - `unsubscribed`: `unsubscribe()` came before the subscription was made
 * - `refused`: the gateway closed with a code that means stop (`closeCode`)
 * - `connect_failed`: an attempt to connect failed (`target`, `cause`); the next follows
 * - `bad_frame`: the gateway has sent what is not of the protocol; the connection is made again
 * - `no_websocket`: this Node has no WebSocket and the package `ws` is not there
 * - `closed`: this client was closed
 */
export class RedistributeError extends Error {
  constructor(code: string, message: string, more?: object)
  code: string
  /** Whether the same may succeed later. */
  retry: boolean
  /** Of `rate`: in how many milliseconds the next one is taken. */
  after?: number
  /** `"publish"`, `"call"`, `"subscribe"`, `"history"` or `"ping"`, where it is about one. */
  request?: string
  channel?: string
  closeCode?: number
  target?: string
  cause?: any
}

/**
 * Where to start: `"$"` new messages only, `"0"` everything that is still
 * there, an offset: everything after it, `"-10"` the last ten and what
 * follows, `"@1700000000000"` everything from that time on.
 */
export type Offset = string | number

export interface HistoryOptions {
  /** Where to start. Default: `"0"`. */
  from?: Offset
  /** The last offset wanted. */
  to?: string
  /** How many; at most 1000. Default: 100. */
  limit?: number
  /** Newest first; `from` and `to` keep their sense. Default: false. */
  reverse?: boolean
}

export interface RedistributeClient {
  /** `"connecting"` also between two attempts; `"closed"` is for ever. */
  readonly state: 'connecting' | 'connected' | 'closed'

  /**
   * Tells, later, which messages of the channel are stored here, and the
   * offset to go on from: undefined on the first visit, which `subscribe()`
   * takes as `"$"`. From now on this client stores what arrives in the channel.
   */
  load<T = any>(
    channel: string,
    callback: (messages: Message<T>[], lastOffset: string | undefined) => void
  ): void

  /**
   * Follows a channel until `unsubscribe()`, across any number of connections:
   * each message is given to `onMessages` once, in order. The promise tells
   * the offset after which messages are given, once the gateway has confirmed;
   * without a connection it waits for one.
   *
   * Subscribing to a channel that is subscribed already has no effect: the
   * first handler stays, and the first promise is returned.
   *
   * The promise may be ignored: the event `error` tells of a failure too.
   */
  subscribe<T = any>(channel: string, onMessages: (messages: Message<T>[]) => void): Promise<{ offset: string }>
  subscribe<T = any>(
    channel: string,
    offset: Offset | null | undefined,
    onMessages: (messages: Message<T>[]) => void
  ): Promise<{ offset: string }>

  /** The handler is not called any more from now on; the promise waits for the gateway. */
  unsubscribe(channel: string): Promise<void>

  /**
   * Publishes a value that JSON can say, or bytes; the promise tells the offset
   * that Redis gave it.
   *
   * Without a connection it waits for one, in order; while a `subscribe()` of
   * the same channel is under way it waits for that, so that the handler is
   * given it. Once it has been sent and
   * the connection breaks before the answer, the promise is rejected with the
   * code `unknown`: it may or may not have been stored, and it is NOT sent
   * again, because that might store it twice. Decide for yourself. Only what a
   * gateway that drains has not taken goes to the next one.
   *
   * The promise may be ignored: the event `error` tells of a failure too.
   */
  publish(channel: string, data: unknown): Promise<string>
  publish(channel: string, type: string | null | undefined, data: unknown): Promise<string>

  /**
   * Asks the handlers of a channel something; the promise tells what they
   * reply: a value, or bytes (a `Uint8Array`), null where they gave none. It is
   * rejected with their reason (`denied`), with `timeout` where none answered,
   * and with `unknown` where the connection broke under way: it is never sent
   * twice.
   */
  call<T = any>(channel: string, type?: string | null, data?: unknown): Promise<T>

  /**
   * Earlier messages of a channel, one page of them. `more` says that there
   * are others: ask again `from` the last offset.
   */
  history<T = any>(channel: string, options?: HistoryOptions): Promise<{ messages: Message<T>[], more: boolean }>

  /** Asks the gateway for its clock, in milliseconds since 1970. */
  ping(): Promise<number>

  /** Ends the connection and the client. What was waiting is rejected with the code `closed`. */
  close(): void

  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): this
  once<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): this
  off<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): this
}

export interface RedistributeClientConstructor {
  new (options: Options): RedistributeClient
  (options: Options): RedistributeClient
  readonly prototype: RedistributeClient
}

/** Connects at once; `new` may be left out. */
export const RedistributeClient: RedistributeClientConstructor

/** Negative, zero or positive, as offset `a` is before, the same as, or after `b`. */
export function compareOffsets(a: string, b: string): number

export default RedistributeClient
