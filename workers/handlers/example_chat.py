# SPDX-License-Identifier: MIT
"""What a chat server decides, for the chat page: what example_chat.c does.

    redistribute start --pages /usr/share/redistribute/pages \\
        --events chat-events --rule '* subscribe=anyone publish=handler' \\
        --team chat --consume chat-events \\
        --handler 'exec:python3 example_chat.py'
"""
import json
import secrets
import sys


def judge(event):
    if event["event"] != "publish":
        return {}
    data = event.get("data")
    line = data.get("message") if isinstance(data, dict) else None
    if not isinstance(line, str) or not 1 <= len(line.encode("utf-8", "replace")) <= 1000:
        return {"allow": False, "reason": "a line has 1 to 1000 bytes"}
    if line == "/roll":
        return {"allow": True, "type": "ROLL",
                "data": {"message": f"rolled a {secrets.randbelow(6) + 1}",
                         "name": "the die"}}
    return {"allow": True}


for text in sys.stdin:
    event = json.loads(text)
    print(json.dumps({"seq": event["seq"], **judge(event)}), flush=True)
