# SPDX-License-Identifier: MIT
"""An exec handler that works on several messages at once: several.py TO NOTES

Each message says what is to be done with it, {"n":1,"do":"meet","with":4}.
Where nothing else is said it emits {"n", "channel", "deliveries", "most": the
most that it had in hand so far, "same": how many of them were of that channel,
itself included} to the channel TO.  Every start is noted as a line
"n deliveries pid" in the file NOTES.

do: meet (waits until "with" messages that meet are in hand at once, then all
of them are answered, the youngest first), held (never answered, at the second
start at once), silent (never), crash (ends the child when "with" messages are
in hand; with "once": at the first start only), wait (answered after "ms").
"""
import json
import os
import sys
import threading

TO, NOTES = sys.argv[1:3]
lock = threading.RLock()
hand = {}       # seq: message
most = [0]


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def done(message):
    with lock:
        same = sum(m["channel"] == message["channel"] for m in hand.values())
        del hand[message["seq"]]
        say({"seq": message["seq"], "emit": [{"channel": TO, "data": {
            "n": message["data"]["n"], "channel": message["channel"],
            "deliveries": message["deliveries"], "most": most[0],
            "same": same}}]})


def starts(n):
    with open(NOTES, encoding="ascii") as f:
        return sum(line.split()[0] == str(n) for line in f)


def doing(order):
    return [m for m in hand.values() if m["data"].get("do") == order]


def begin(message):
    data = message["data"]
    order = data.get("do")
    hand[message["seq"]] = message
    most[0] = max(most[0], len(hand))
    with open(NOTES, "a", encoding="ascii") as f:
        f.write(f"{data['n']} {message['deliveries']} {os.getpid()}\n")
    if order == "wait":
        threading.Timer(data["ms"] / 1000, done, (message,)).start()
    elif order is None or (order == "held" or data.get("once")) \
            and starts(data["n"]) > 1:
        done(message)
    for crash in doing("crash"):
        if len(hand) >= crash["data"]["with"]:
            os.abort()
    meet = doing("meet")
    if meet and len(meet) >= meet[0]["data"]["with"]:
        for m in reversed(meet):
            done(m)


for line in sys.stdin:
    with lock:
        begin(json.loads(line))
os._exit(0)     # timers may still run
