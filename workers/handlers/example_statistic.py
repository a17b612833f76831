# SPDX-License-Identifier: MIT
"""What a web server leaves to others to do: what example_statistic.c does.

    redistribute start --workers 2 --team team --consume statistic \\
        --handler 'exec:python3 example_statistic.py'
"""
import json
import sys

BROWSERS = {"Edg/": "Edge", "Firefox/": "Firefox", "Chrome/": "Chrome",
            "Safari/": "Safari", "curl/": "curl"}


def handle(request):
    if not isinstance(request, dict) or not {"agent", "ip"} <= set(request):
        return {"dead": "it has no agent and ip"}
    # Edge says Chrome, too, and Chrome says Safari.
    browser = next((name for mark, name in BROWSERS.items()
                    if mark in str(request["agent"])), "unknown")
    return {"emit": [{"channel": "visits", "type": browser,
                      "data": request["ip"]}]}


for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps({"seq": message["seq"], **handle(message.get("data"))}),
          flush=True)
