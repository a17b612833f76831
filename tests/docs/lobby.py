# SPDX-License-Identifier: MIT
"""The handler of the transcripts in gateway/PROTOCOL.md: it adds and joins."""
import json
import sys


def refuse(reason):
    return {"allow": False, "reason": reason}


def answer(event):
    """None: it never comes."""
    kind, what, data = event["event"], event.get("type"), event.get("data")
    socket = event["socket"]
    if kind == "subscribe":
        return {"allow": True, "direct": [
            {"socket": socket, "type": "WELCOME",
             "data": {"room": event["channel"]}}]}
    if kind == "publish":
        return {"hello": {"allow": True, "data": "HELLO"},
                "late": None}.get(data, refuse("only hello"))
    if what == "ADD":
        return {"allow": True, "type": "SUM", "reply": sum(data)}
    if what == "JOIN":
        return {"allow": True,
                "subscribe": [{"socket": socket, "channel": data}]}
    if what == "LEAVE":
        return {"allow": True, "unsubscribe": [
            {"socket": socket, "channel": data}]}
    return refuse("no such thing")


for line in sys.stdin:
    message = json.loads(line)
    said = answer(message)
    if said is not None:
        print(json.dumps({"seq": message["seq"], **said}), flush=True)
