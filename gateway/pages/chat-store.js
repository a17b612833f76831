// SPDX-License-Identifier: MIT
/*
 * chat-store.js -- what the pages remember in this browser, where it lets them:
 * the name, the rooms that were visited, and which lines are one's own.
 *
 * Anybody may write to it, so nothing is believed: what is not of the kind that
 * was expected counts as nothing.
 */

export function recall (key, otherwise) {
  try {
    const value = JSON.parse(localStorage.getItem(`chat:${key}`))
    if (typeof otherwise === 'string') return typeof value === 'string' ? value : otherwise
    return Array.isArray(value) ? value.filter(item => typeof item === 'string') : otherwise
  } catch {
    return otherwise
  }
}

export function remember (key, value) {
  try {
    localStorage.setItem(`chat:${key}`, JSON.stringify(value))
  } catch {
    // it is full, or forbidden
  }
}

// "." and ".." would be other directories, however they are written.
export function addressOf (room) {
  return /^\.{1,2}$/.test(room) ? './' : './' + encodeURIComponent(room)
}
