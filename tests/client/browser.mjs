// SPDX-License-Identifier: MIT
/*
 * A real browser for the tests: CHROMIUM names it, /usr/bin/chromium otherwise.
 */

import assert from 'node:assert/strict'
import { chromium } from 'playwright-core'
import { within } from './support.mjs'

export const WINDOW = { viewport: { width: 1000, height: 700 } }

export async function launch (t) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-features=LocalNetworkAccessChecks', '--no-first-run',
      '--no-default-browser-check']
  })
  t.after(() => browser.close())
  return browser
}

/** A window of its own, as of another person; nothing may go wrong in it. */
export async function open (t, browser, address, options = WINDOW) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const faults = []
  page.on('pageerror', error => faults.push(String(error)))
  page.on('dialog', dialog => {
    faults.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('console', message => {
    const { url } = message.location()
    if (message.type() === 'error' && !url.endsWith('/favicon.ico')) faults.push(message.text())
  })
  page.faults = faults
  t.after(async () => {
    await context.close()
    assert.deepEqual(faults, [])
  })
  await page.goto(address)
  return page
}

/** The browser itself complains of what the test has taken away. */
export function forgive (page, pattern) {
  page.faults.splice(0, page.faults.length, ...page.faults.filter(text => !pattern.test(text)))
}

/** Calls look, in the page, until it gives what is wanted. */
export async function comes (page, what, look, argument, wanted) {
  let seen
  const poll = async () => {
    for (;;) {
      seen = await page.evaluate(look, argument).catch(error => {
        if (!/context was destroyed/.test(error.message)) throw error // it goes to another page
      })
      if (JSON.stringify(seen) === JSON.stringify(wanted)) return
      await page.waitForTimeout(20)
    }
  }
  await within(poll(), `${what}: ${JSON.stringify(wanted)}`).catch(error => {
    throw new Error(`${error.message}; it is ${JSON.stringify(seen)}`)
  })
}

/** Waits until a property of an element is as wanted. */
export function becomes (page, selector, property, wanted) {
  return comes(page, `${selector} ${property}`,
    ([selector, property]) => document.querySelector(selector)?.[property], [selector, property], wanted)
}
