// SPDX-License-Identifier: MIT
/*
 * A web server that publishes who has come, and leaves the rest to workers
 * (example_statistic.js).
 *
 *   node example_web.js PORT http://127.0.0.1:8080
 *
 * The second address is that of a gateway.
 */
const http = require('http')

const [port, gateway] = process.argv.slice(2)

http.createServer((request, response) => {
  const visit = { agent: request.headers['user-agent'] ?? '', ip: request.socket.remoteAddress }
  const publish = http.request(`${gateway}/sse/statistic`, { method: 'POST', headers: { 'Content-Type': 'application/json' } })
  publish.on('response', answer => {
    if (answer.statusCode !== 200) console.error(`not published: ${answer.statusCode}`)
    answer.resume()
  })
  publish.on('error', error => console.error(`not published: ${error.message}`))
  publish.end(JSON.stringify(visit)) // nobody waits for it
  response.end('Hello World\n')
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`))
