// SPDX-License-Identifier: MIT
/*
 * What a web server leaves to others to do: what example_statistic.c does.
 *
 *   redistribute start --workers 2 --team team --consume statistic \
 *     --handler 'exec:node example_statistic.js'
 */
const lines = require('readline').createInterface({ input: process.stdin })
const browsers = { 'Edg/': 'Edge', 'Firefox/': 'Firefox', 'Chrome/': 'Chrome', 'Safari/': 'Safari', 'curl/': 'curl' }

function handle (request) {
  if (request?.agent === undefined || request.ip === undefined) {
    return { dead: 'it has no agent and ip' }
  }
  // Edge says Chrome, too, and Chrome says Safari.
  const mark = Object.keys(browsers).find(mark => String(request.agent).includes(mark))
  return { emit: [{ channel: 'visits', type: browsers[mark] ?? 'unknown', data: request.ip }] }
}

lines.on('line', line => {
  const { seq, data } = JSON.parse(line)
  console.log(JSON.stringify({ seq, ...handle(data) }))
})
