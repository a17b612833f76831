# SPDX-License-Identifier: MIT
"""A worker of paper for server events: it reads the events channel and writes
into the mailboxes of gateways by itself, with nothing of ours between.

    with Answerer(redis, {"publish": lambda e: {"allow": 1}}) as worker: ...

An answer is a dict of the fields of an op=answer entry beside op and ask; a
list of dicts is written as it is (answers get their ask); None: no answer.
"""
import json
import threading

EVENTS = "ev"


class Event(dict):
    """The fields of one entry, as text; .payload is what the json, text,
    msgpack or bin field holds (json decoded)."""

    def __init__(self, fields):
        super().__init__()
        self.payload = None
        for name, value in fields.items():
            name = name.decode()
            if name == "json":
                self.payload = json.loads(value)
            elif name == "text":
                self.payload = value.decode()
            elif name in ("msgpack", "bin"):
                self.payload = value
            else:
                self[name] = value.decode()

    @property
    def mailbox(self):
        return "rd:gw:" + self["socket"].rpartition("/")[0]


class Answerer:
    def __init__(self, server, answers=None, channel=EVENTS):
        self.client = server.client()
        self.key = "rd:ch:" + channel
        self.answers = dict(answers or {})
        self.seen = []          # every event, in order
        self.failed = None
        self.changed = threading.Condition()
        self.going = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        last = "0"
        try:
            while self.going:
                got = self.client.xread({self.key: last}, 1000, 50)
                for _, entries in got or []:
                    for last, fields in entries:
                        self._take(Event(fields))
        except Exception as e:      # told by the test that waits
            self.failed = e

    def _take(self, event):
        answer = self.answers.get(event["event"], {"allow": "1"})
        if callable(answer):
            answer = answer(event)
        if answer is not None:
            for entry in answer if isinstance(answer, list) else [answer]:
                self.write(event, entry)
        with self.changed:
            self.seen.append(event)
            self.changed.notify_all()

    def write(self, event, entry):
        """One entry into the mailbox that the event came from."""
        fields = {"op": "answer", **entry}
        if fields["op"] == "answer":
            if "ask" not in event:
                return
            fields.setdefault("ask", event["ask"])
        elif fields["op"] != "open":
            fields.setdefault("socket", event["socket"])
        self.client.xadd(event.mailbox, fields, nomkstream=True)

    def wait(self, kind, count=1, deadline=15):
        """The count-th event of a kind."""
        def found():
            return [e for e in self.seen if e["event"] == kind]
        with self.changed:
            ok = self.changed.wait_for(lambda: len(found()) >= count, deadline)
            assert ok, f"no {kind} came: {self.seen[-5:]} {self.failed!r}"
            return found()[count - 1]

    def kinds(self):
        with self.changed:
            return [e["event"] for e in self.seen]

    def close(self):
        self.going = False
        self.thread.join(5)
        self.client.close()

    kill = close

    def reports(self):
        return []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
