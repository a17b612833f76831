# SPDX-License-Identifier: MIT
"""Several messages in a handler's hands at once: programs in Python and
JavaScript, and a C handler that may be called from several threads.

Whether messages overlap is judged by the handler, which answers none of those
that meet before it has all of them; no test here depends on time.
"""
import json
import shutil
import subprocess
import time
from collections import Counter

import pytest

from harness import PYTHON, REPO, SUPPORT, channel_key, eventually
from harness import run as run_verb

CC = shutil.which("cc")
NODE = shutil.which("node") or shutil.which("nodejs")
QUICK = ("--retry-delay", "20ms", "--retry-limit", "50ms")

# The same as several.py does with messages that meet.
MEET_JS = """
const [to] = process.argv.slice(2)
const meeting = []
require('readline').createInterface({ input: process.stdin })
  .on('line', line => {
    const { seq, data } = JSON.parse(line)
    meeting.push({ seq, n: data.n })
    if (meeting.length < data.with) return
    const most = meeting.length
    for (const { seq, n } of meeting.splice(0)) {
      setTimeout(() => console.log(JSON.stringify(
        { seq, emit: [{ channel: to, data: { n, most } }] })), 200 - n)
    }
  })
"""


def put(store, channel, orders):
    pipe = store.pipeline(transaction=False)
    for order in orders:
        pipe.xadd(channel_key(channel), {"json": json.dumps(order)})
    return pipe.execute()


def emitted(store, channel):
    return [json.loads(f[b"json"])
            for _, f in store.xrange(channel_key(channel))]


def letters(store, team):
    return sorted((json.loads(f[b"json"])["n"], f[b"reason"].decode())
                  for _, f in store.xrange(f"rd:dead:{team}"))


class Several:
    """One team of several.py; out is where it emits."""

    def __init__(self, run, server, channel, directory):
        self.run, self.server, self.channel = run, server, channel
        self.store = server.client()
        self.notes = directory / "notes"
        self.notes.touch()
        self.out = f"{channel}-out"

    def start(self, *flags, workers=1, consume=None, handler=None):
        handler = handler or (f"exec:{PYTHON} {SUPPORT / 'several.py'} "
                              f"{self.out} {self.notes}")
        return self.run.daemon(
            "--team", self.channel, "--consume", consume or self.channel,
            "--handler", handler, *QUICK, *flags, redis=self.server,
            workers=workers)

    def put(self, *orders):
        return put(self.store, self.channel, orders)

    def emitted(self):
        return emitted(self.store, self.out)

    def numbers(self):
        return sorted(m["n"] for m in self.emitted())

    def wait(self, numbers, deadline=30):
        eventually(lambda: self.numbers() == sorted(numbers), deadline,
                   f"expected {sorted(numbers)}")

    def starts(self, n=None):
        """[(n, deliveries, pid)]"""
        rows = [tuple(map(int, line.split()))
                for line in self.notes.read_text().splitlines()]
        return [r for r in rows if n is None or r[0] == n]

    def begun(self, *numbers):
        eventually(lambda: set(numbers) <= {r[0] for r in self.starts()},
                   what=f"{numbers} have not begun")

    def letters(self):
        return letters(self.store, self.channel)


@pytest.fixture
def several(run, server, channel, tmp_path):
    return Several(run, server, channel, tmp_path)


# --- programs ------------------------------------------------------------------

def test_program_has_as_many_as_concurrency_says_and_no_more(several):
    several.put(*({"n": n, "do": "meet", "with": 5} for n in range(20)))
    several.start("--concurrency", "5")
    several.wait(range(20))
    assert {m["most"] for m in several.emitted()} == {5}
    assert {r[1] for r in several.starts()} == {1}


def test_default_suits_a_program_that_waits_for_others(several):
    several.start()
    several.put(*({"n": n, "do": "meet", "with": 16} for n in range(16)))
    several.wait(range(16))


def test_concurrency_of_one_gives_one_after_another(several):
    several.put(*({"n": n} for n in range(200)))
    several.start("--concurrency", "1")
    several.wait(range(200))
    assert {m["most"] for m in several.emitted()} == {1}


def test_more_at_once_than_a_worker_reads_at_once(several):
    several.put(*({"n": n, "do": "meet", "with": 40} for n in range(80)))
    several.start("--concurrency", "40", "--batch", "3")
    several.wait(range(80))
    assert {m["most"] for m in several.emitted()} == {40}


@pytest.mark.skipif(NODE is None, reason="there is no Node here")
def test_program_in_javascript_waits_for_all_at_once(several, tmp_path):
    """N messages of 200 ms each are all under way before one is answered."""
    path = tmp_path / "meet.js"
    path.write_text(MEET_JS)
    several.put(*({"n": n, "with": 20} for n in range(40)))
    several.start("--concurrency", "20",
                  handler=f"exec:{NODE} {path} {several.out}")
    several.wait(range(40))
    assert {m["most"] for m in several.emitted()} == {20}


def test_divided_channels_overlap_and_keep_their_order(several):
    """All channels are in hand at once, each with one message."""
    names = [f"{several.channel}:{i}" for i in range(6)]
    for k in range(10):
        for i, name in enumerate(names):
            put(several.store, name, [
                {"n": 10 * i + k, "do": "meet", "with": 6} if k < 2 else
                {"n": 10 * i + k, "do": "wait", "ms": (7 * i + 3 * k) % 11}])
    several.start("--concurrency", "6", consume=f"{several.channel}:?")
    several.wait(range(60))
    found = several.emitted()
    assert {m["same"] for m in found} == {1}
    assert max(m["most"] for m in found) == 6
    for i, name in enumerate(names):
        assert [m["n"] for m in found if m["channel"] == name] == list(
            range(10 * i, 10 * i + 10))


def test_divided_channels_are_bounded_by_concurrency_too(several):
    names = [f"{several.channel}:{i}" for i in range(9)]
    for i, name in enumerate(names):
        put(several.store, name, [{"n": 10 * i + k, "do": "wait", "ms": 3}
                                  for k in range(10)])
    several.start("--concurrency", "3", consume=f"{several.channel}:?")
    several.wait(range(90))
    assert max(m["most"] for m in several.emitted()) <= 3


def test_divided_channel_moves_although_others_are_not_answered(several):
    """What has no place yet does not hold its channel back from others."""
    names = [f"{several.channel}:{i}" for i in range(8)]
    for i, name in enumerate(names):
        put(several.store, name, [{"n": i, "do": "held"}])
    first = several.start("--concurrency", "1", "--drain-timeout", "30s",
                          consume=f"{several.channel}:?")
    eventually(several.starts)
    second = several.start("--concurrency", "8",
                           consume=f"{several.channel}:?")
    # The one that is in hand stays there; those of the other half move.
    eventually(lambda: len(several.starts()) >= 3)
    assert len({r[2] for r in several.starts()}) == 2
    assert len(several.starts(several.starts()[0][0])) == 1
    del first, second


def test_message_that_is_never_answered_holds_up_nobody(several):
    several.start("--concurrency", "3")
    several.put({"n": 0, "do": "silent"})
    several.begun(0)
    several.put(*({"n": n} for n in range(1, 200)))
    several.wait(range(1, 200))
    assert len(several.starts(0)) == 1


def test_message_that_must_run_alone_and_cannot_holds_up_nobody(several):
    """It is taken over from the dead, and another one is never answered."""
    site = several.start("--concurrency", "4", "--lease", "500ms",
                         "--handler-timeout", "20s", "--max-attempts", "1")
    several.put({"n": 0, "do": "silent"})
    several.begun(0)
    targets = {"REDISTRIBUTE_TARGETS": several.server.uri}
    run_verb("pause", several.channel, "--team", several.channel, env=targets)
    site.log.wait("team.paused", pauses="1")
    key = channel_key(several.channel)
    left = iter(range(100, 200))

    def taken_by_the_dead():
        """A read that waits when the pause comes may still bring it here."""
        several.put({"n": next(left)})
        return several.store.xreadgroup(several.channel, "dead:0.1",
                                        {key: ">"}, 1)
    (_, ((_, fields),)), = eventually(taken_by_the_dead)
    suspect = json.loads(fields[b"json"])["n"]
    run_verb("resume", several.channel, "--team", several.channel, env=targets)
    site.log.wait("intake.held")
    several.put(*({"n": n} for n in range(1, 60)))
    several.wait([*range(1, 60), *range(100, suspect)])
    assert len(several.starts(0)) == 1 and not several.letters()
    # In its turn it is run alone.
    several.wait([*range(1, 60), *range(100, suspect + 1)], deadline=40)
    assert several.letters() == [(0, "attempts")]


def test_timeout_is_of_one_message_and_others_run_again_uncounted(several):
    site = several.start("--concurrency", "4", "--handler-timeout", "2s",
                         "--max-attempts", "1", "--max-crashes", "1")
    several.put({"n": 0, "do": "silent"})
    several.begun(0)
    several.put(*({"n": n, "do": "held"} for n in range(1, 4)))
    several.wait([1, 2, 3])
    assert several.letters() == [(0, "attempts")]
    assert {m["deliveries"] for m in several.emitted()} == {1}
    assert Counter(r[0] for r in several.starts()) == {0: 1, 1: 2, 2: 2, 3: 2}
    late = site.log.find("exec.timeout")
    assert len(late) == 1


def test_all_that_are_too_slow_fail_together(several):
    """Of a program that has answered out of turn, so all were begun."""
    several.put(*({"n": n, "do": "silent"} for n in range(3)), {"n": 3})
    site = several.start("--concurrency", "4", "--handler-timeout", "5s",
                         "--max-attempts", "1")
    several.wait([3])
    eventually(lambda: several.letters() == [(n, "attempts")
                                             for n in range(3)])
    assert len({e["child"] for e in site.log.find("exec.timeout")}) == 1


def test_serial_program_has_the_time_for_each_message(several):
    """The whole row takes longer than handler-timeout."""
    path = several.notes.parent / "serial.py"
    path.write_text(
        "import json, sys, time\n"
        "for line in sys.stdin:\n"
        "    m = json.loads(line)\n"
        "    time.sleep(.4)\n"
        "    print(json.dumps({'seq': m['seq'], 'emit': [{'channel': "
        "sys.argv[1], 'data': m['data']}]}), flush=True)\n")
    several.put(*({"n": n} for n in range(8)))
    site = several.start("--concurrency", "8", "--handler-timeout", "2s",
                         handler=f"exec:{PYTHON} {path} {several.out}")
    several.wait(range(8))
    assert not site.log.find("exec.timeout")
    assert len(site.log.find("exec.start")) == 1


def test_crash_with_several_in_hand_counts_against_nobody(several):
    """Each runs again alone, and is good then."""
    several.put({"n": 0, "do": "crash", "with": 4, "once": True},
                *({"n": n, "do": "held"} for n in range(1, 4)))
    several.start("--concurrency", "4", "--max-crashes", "1")
    several.wait(range(4))
    assert several.letters() == []
    assert [len(several.starts(n)) for n in range(4)] == [2] * 4


def test_poison_among_several_is_found_and_buried(several):
    """Each innocent one is started again alone, and counted for nothing."""
    several.put(*({"n": n, "do": "held"} for n in range(3)),
                {"n": 3, "do": "crash", "with": 1},
                *({"n": n} for n in range(4, 40)))
    site = several.start("--concurrency", "4", "--max-crashes", "2")
    several.wait([n for n in range(40) if n != 3])
    eventually(lambda: several.letters() == [(3, "crashes")])
    assert len(several.starts(3)) == 3      # with others, and twice alone
    assert site.stop() == 0


def test_killed_worker_with_several_in_hand(several):
    """kill -9: another one takes all of them over, and each appears once."""
    site = several.start("--concurrency", "4", workers=2)
    several.put(*({"n": n, "do": "held"} for n in range(4)))
    several.begun(0, 1, 2, 3)
    for index in range(2):
        site.kill_child("worker", index)
    several.wait(range(4))
    assert several.letters() == []
    several.put(*({"n": n} for n in range(4, 50)))
    several.wait(range(50))


def test_stop_finishes_what_is_in_hand(several):
    site = several.start("--concurrency", "8")
    several.put(*({"n": n, "do": "wait", "ms": 700} for n in range(8)))
    several.begun(*range(8))
    assert site.stop() == 0
    assert several.numbers() == list(range(8))
    assert all(m["most"] == 8 for m in several.emitted())


def test_report_tells_places_and_how_many_are_in_use(several):
    site = several.start("--concurrency", "7")
    several.put(*({"n": n, "do": "silent"} for n in range(3)))
    several.begun(0, 1, 2)

    def report():
        keys = several.store.keys("rd:node:*worker*")
        rows = [several.store.hgetall(k) for k in keys]
        return [(r[b"places"], r[b"running"]) for r in rows
                if r.get(b"team") == several.channel.encode()]
    eventually(lambda: report() == [(b"7", b"3")])
    del site


# --- C handlers --------------------------------------------------------------

@pytest.fixture(scope="module")
def so(tmp_path_factory):
    """{form: path} of several.so."""
    if CC is None:
        pytest.skip("there is no C compiler here")
    path = tmp_path_factory.mktemp("several")
    flags = {"message": [], "batch": ["-DSEVERAL_BATCH"],
             "one": ["-DSEVERAL_OLD"]}
    for form, more in flags.items():
        subprocess.run([CC, "-std=gnu11", "-Wall", "-Wextra", "-Werror",
                        "-Wno-missing-field-initializers", "-shared", "-fPIC",
                        f"-I{REPO}/include", *more, "-o", path / f"{form}.so",
                        SUPPORT / "several.c"], check=True, timeout=50)
    return {form: path / f"{form}.so" for form in flags}


@pytest.fixture
def threads(several, so):
    """threads(form, flags...): a team of several.c."""
    def start(form, *flags, **more):
        return several.start(*flags, handler=f"{so[form]}:{several.out}",
                             **more)
    return start


@pytest.mark.parametrize("form", ["message", "batch"])
def test_c_handler_is_called_from_several_threads(several, threads, form):
    several.put(*({"n": n, "do": "meet", "with": 4} for n in range(40)))
    threads(form, "--concurrency", "4", *(
        ("--batch", "1") if form == "batch" else ()))
    several.wait(range(40))
    assert max(m["most"] for m in several.emitted()) == 4


def test_c_handler_that_does_not_say_so_is_called_from_one(several, threads):
    several.put(*({"n": n, "do": "pause", "ms": 2} for n in range(50)))
    threads("one", "--concurrency", "8")
    several.wait(range(50))
    assert {m["most"] for m in several.emitted()} == {1}


@pytest.mark.parametrize("form", ["message", "batch"])
def test_c_threads_keep_the_order_of_divided_channels(several, threads, form):
    """One of each channel, or one batch."""
    names = [f"{several.channel}:{i}" for i in range(5)]
    for i, name in enumerate(names):
        put(several.store, name, [
            {"n": 100 * i + k, "do": "pause", "ms": (i + k) % 3}
            for k in range(100)])
    threads(form, "--concurrency", "4", consume=f"{several.channel}:?")
    several.wait(range(500))
    found = several.emitted()
    assert {m["same"] for m in found} == {1}
    assert max(m["most"] for m in found) > 1
    for i in range(5):
        assert [m["n"] for m in found if m["n"] // 100 == i] == list(
            range(100 * i, 100 * i + 100))
    if form == "batch":
        assert max(m["of"] for m in found) > 1


def test_hanging_c_thread_lets_the_others_finish(several, threads, tmp_path):
    gate = tmp_path / "go"
    site = threads("message", "--concurrency", "3", "--handler-timeout", "8s",
                   "--max-attempts", "1")
    several.put({"n": 0, "do": "hang"})
    key = channel_key(several.channel)
    eventually(lambda: several.store.xpending(key, several.channel)["pending"])
    time.sleep(4)       # so that 1 has time left when 0 has none
    several.put({"n": 1, "do": "until", "path": str(gate)})
    eventually(lambda: several.store.xpending(key, several.channel)[
        "pending"] == 2)
    site.log.wait("handler.timeout")
    gate.touch()
    several.wait([1])
    eventually(lambda: several.letters() == [(0, "attempts")])
    # It was finished where it was begun.
    assert not site.log.find("intake.start")
    several.put(*({"n": n} for n in range(2, 30)))
    several.wait(range(1, 30))


def test_thread_that_comes_back_too_late_finds_what_it_was_given(
        several, threads, tmp_path):
    """Its channel has long been with somebody else."""
    gates = [tmp_path / "0", tmp_path / "1"]
    names = [f"{several.channel}:{i}" for i in range(2)]

    def until(i):
        put(several.store, names[i],
            [{"n": i, "do": "until", "path": str(gates[i])}])
        key = channel_key(names[i])
        eventually(lambda: several.store.xpending(key, several.channel)[
            "pending"])
    flags = ("--concurrency", "2", "--handler-timeout", "8s",
             "--max-attempts", "1")
    for name in names:
        put(several.store, name, [{"n": 7}])
    first = threads("message", *flags, consume=f"{several.channel}:?")
    several.wait([7, 7])
    until(0)
    time.sleep(4)       # so that 1 has time left when 0 has none
    until(1)
    first.log.wait("handler.timeout")
    threads("message", *flags, consume=f"{several.channel}:?")
    put(several.store, names[0], [{"n": 2}])
    several.wait([2, 7, 7])
    gates[0].touch()
    first.log.wait("handler.log", channel=names[0], text="seen")
    gates[1].touch()
    several.wait([1, 2, 7, 7])
    assert several.letters() == [(0, "attempts")]


def test_crash_of_one_of_several_threads(several, threads):
    """All that were under way run again alone; one of them is poison."""
    several.put(*({"n": n, "do": "pause", "ms": 100} for n in range(3)),
                {"n": 3, "do": "crash", "with": 1},
                *({"n": n} for n in range(4, 20)))
    threads("message", "--concurrency", "4", "--max-crashes", "1")
    several.wait([n for n in range(20) if n != 3])
    eventually(lambda: several.letters() == [(3, "crashes")])


def test_handler_of_the_first_size_is_still_taken(several, tmp_path):
    """A file that was built before there was `concurrent`."""
    if CC is None:
        pytest.skip("there is no C compiler here")
    source = tmp_path / "old.c"
    source.write_text(
        "#include <redistribute/handler.h>\n"
        "static int f(void *to, struct rd_context *c,"
        " const struct rd_delivery *d)\n"
        "{ (void)d; return rd_emit(c, rd_slice_str(\"" + several.out + "\"),"
        " rd_slice_str(\"T\"), RD_ENC_JSON, rd_slice_str(\"{\\\"n\\\":1}\"));"
        " (void)to; }\n"
        "const struct rd_handler redistribute_handler = {\n"
        "    .abi = 1, .size = RD_HANDLER_SIZE_MIN, .name = \"old\",\n"
        "    .message = f, .concurrent = 1 };\n")
    subprocess.run([CC, "-std=gnu11", "-shared", "-fPIC", f"-I{REPO}/include",
                    "-o", tmp_path / "old.so", source], check=True, timeout=50)
    several.start(handler=f"{tmp_path}/old.so")
    several.put({"n": 1})
    several.wait([1])


# --- server events -------------------------------------------------------------

GATES = """
import json, sys
held = []
for line in sys.stdin:
    m = json.loads(line)
    if m.get("channel") == "slow":
        held.append(m["seq"])           # until somebody else has been let in
        continue
    print(json.dumps({"seq": m["seq"], "allow": True, "type": "SUM",
                      "reply": 5}), flush=True)
    for seq in held:
        print(json.dumps({"seq": seq, "allow": True}), flush=True)
    held.clear()
"""


def test_slow_gate_holds_up_nobody(run, server, channel, tmp_path):
    """A subscribe that is not answered, and another client's that is; a reply
    has a type."""
    path = tmp_path / "gates.py"
    path.write_text(GATES)
    site = run.daemon(
        "--team", channel, "--consume", channel, "--events", channel,
        "--rule", "* subscribe=handler publish=nobody call=handler",
        "--handler", f"exec:{PYTHON} {path}", redis=server, workers=1)
    first, second = run.client(site), run.client(site)
    slow = first.ask("subscribe", channel="slow")
    store = server.client()
    eventually(lambda: store.xpending(channel_key(channel), channel)["pending"])
    assert second.ok("call", channel="quick", type="ADD", data=[2, 3]) == {
        "type": "SUM", "data": 5}
    assert first.reply(slow)["ok"]["channel"] == "slow"


def test_reply_of_a_c_handler_has_a_type(run, server, channel, so):
    site = run.daemon(
        "--team", channel, "--consume", channel, "--events", channel,
        "--rule", "* subscribe=anyone publish=handler call=handler",
        "--handler", f"{so['message']}:x", redis=server, workers=1)
    client = run.client(site)
    assert client.ok("call", channel="c", data=1) == {"type": "SUM", "data": 5}
    # Two publishes into different channels, neither of which is answered
    # before both are asked about.
    asked = [client.ask("publish", channel=f"{channel}-{i}",
                        data={"do": "meet", "with": 2}) for i in range(2)]
    assert all("offset" in client.reply(i)["ok"] for i in asked)
