# SPDX-License-Identifier: MIT
"""A chat server's code, as a program: what example_server.c does.

    redistribute start --events events --connect handler \\
        --event-cookie session \\
        --rule '* subscribe=handler publish=handler call=handler' \\
        --team server --consume events \\
        --handler 'exec:python3 example_server.py'
"""
import json
import sys

USERS = {"s3cret": "alice"}     # by their session; yours are elsewhere


def judge(event):
    kind, socket, data = event["event"], event["socket"], event.get("data")
    if kind == "connect":
        user = USERS.get(data["cookies"].get("session"))
        return {"allow": True, "from": user,
                "subscribe": [{"socket": socket, "channel": "lobby"}],
                "direct": [{"socket": socket, "type": "WELCOME",
                            "data": user or "stranger"}]}
    if kind == "subscribe":
        if event["channel"].startswith("staff:") and "from" not in event:
            return {"allow": False, "reason": "only for people that we know"}
        return {"allow": True}
    if kind == "publish":
        if not isinstance(data, dict):
            return {"allow": False, "reason": "a message is a map"}
        audit = [{"channel": "audit", "data": data}]
        if "shout" in data:     # what is shouted goes out as text
            return {"allow": True, "emit": audit,
                    "type": "SHOUT", "data": data["shout"]}
        return {"allow": True, "emit": audit}
    if kind == "call":
        if event.get("type") == "LEAVE":
            return {"allow": True, "unsubscribe": [
                {"socket": socket, "channel": event["channel"]}]}
        if event.get("type") == "QUIT":
            return {"allow": True, "disconnect": [
                {"socket": socket, "reason": "as you wish"}]}
        return {"allow": True, "reply": data}
    return {"emit": [{"channel": "audit", "type": "GONE", "data": socket}]}


for line in sys.stdin:
    event = json.loads(line)
    print(json.dumps({"seq": event["seq"], **judge(event)}), flush=True)
