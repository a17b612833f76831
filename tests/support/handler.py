# SPDX-License-Identifier: MIT
"""An exec handler for tests: handler.py MODE [TO] [FILE]

echo TO      emits what it was given, as it was given, to the channel TO
number TO    emits {"channel":its channel,"n":its number} to the channel TO
timed TO     the same after the "ms" of the message, the next ones meanwhile
note FILE    writes each line that it was given to FILE, and is done
obey TO FILE does what the message says, {"n":1,"do":"retry","times":2,...},
             and notes every start in FILE as "n deliveries pid"; without an
             order it emits {"n":n} to TO

do: retry (ms), dead (why), crash, hang, garbage, wrong (another seq), slow
(seconds), silent (never answers); times: how often, then it is good.
"""
import json
import os
import sys
import threading
import time


def emit(to, message):
    out = {"channel": to}
    for name in ("type", "data", "data64", "msgpack64"):
        if message.get(name) is not None:
            out[name] = message[name]
    return out


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def echo(message, to):
    say({"seq": message["seq"], "emit": [emit(to, message)]})


def number(message, to):
    said = {"channel": message["channel"], "n": message["data"]["n"]}
    say({"seq": message["seq"], "emit": [{"channel": to, "data": said}]})


def timed(message, to):
    threading.Timer(message["data"].get("ms", 0) / 1000, number,
                    (message, to)).start()


def note(message, path):
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(message) + "\n")
    say({"seq": message["seq"]})


def tries(path, n):
    """How often was this one started, by anybody?"""
    with open(path, encoding="ascii") as f:
        return sum(1 for line in f if line.split()[0] == str(n))


def obey(message, to, path):
    data = message["data"]
    n, order = data["n"], data.get("do")
    with open(path, "a", encoding="ascii", buffering=1) as f:
        f.write(f"{n} {message.get('deliveries')} {os.getpid()}\n")
    if order and order != "slow" and tries(path, n) > data.get("times", 1 << 30):
        order = None
    seq = message["seq"]
    if order == "retry":
        return say({"seq": seq, "retry": data.get("ms", 20)})
    if order == "dead":
        return say({"seq": seq, "dead": data.get("why", "no good")})
    if order == "crash":
        os.abort()
    if order == "exit":
        os._exit(data.get("status", 0))
    if order == "hang":
        time.sleep(3600)
    if order == "silent":
        return None
    if order == "garbage":
        sys.stdout.write("this is not JSON\n")
        return sys.stdout.flush()
    if order == "wrong":
        return say({"seq": seq + 1000000})
    if order == "slow":
        time.sleep(data["seconds"])
    if order == "both":
        return say({"seq": seq, "retry": 1, "dead": "and dead"})
    if order == "bad emit":
        return say({"seq": seq, "emit": [{"channel": "", "data": 1}]})
    sys.stderr.write(f"handled {n}\n" if data.get("loud") else "")
    return say({"seq": seq, "emit": [{"channel": to, "data": {"n": n}}]})


def main():
    mode, args = sys.argv[1], sys.argv[2:]
    act = {"echo": echo, "note": note, "number": number,
           "timed": timed, "obey": obey}[mode]
    for line in sys.stdin:
        act(json.loads(line), *args)


main()
