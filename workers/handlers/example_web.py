# SPDX-License-Identifier: MIT
"""A web server that publishes who has come, and leaves the rest to workers
(example_statistic.py).

    python3 example_web.py PORT http://127.0.0.1:8080

The second address is that of a gateway.
"""
import http.server
import json
import sys
import urllib.request

PORT, GATEWAY = int(sys.argv[1]), sys.argv[2]


def publish(visit):
    request = urllib.request.Request(
        f"{GATEWAY}/sse/statistic", json.dumps(visit).encode(),
        {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except OSError as error:
        print(f"not published: {error}", file=sys.stderr)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"Hello World\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()      # the visitor does not wait for the rest
        publish({"agent": self.headers.get("User-Agent", ""),
                 "ip": self.client_address[0]})


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
print(f"http://127.0.0.1:{PORT}/", flush=True)
server.serve_forever()
