# SPDX-License-Identifier: MIT
"""What one client may cost the others: however much it asks for, Redis and the
gateway give it a bounded part of their time and memory, and serve the rest in
between."""
import pytest

from harness import channel_key, eventually
from sse import Stream

STEP = 200000       # bytes of a step of look.lua, about


def figure(site, name):
    head = f"redistribute_gateway_{name} "
    return next(float(line.removeprefix(head))
                for line in site.http("/metrics")[1].splitlines()
                if line.startswith(head))


def fill(store, channel, count, size):
    """Their ids."""
    pipe = store.pipeline()
    for _ in range(count):
        pipe.xadd(channel_key(channel), {"text": "x" * size})
    return [i.decode() for i in pipe.execute()]


def calls(store, command):
    """How often Redis has run it."""
    return store.info("commandstats").get(f"cmdstat_{command}", {}).get(
        "calls", 0)


# --- the last N ----------------------------------------------------------------

def test_the_last_many_are_found_in_steps_and_only_once(run, server, channel):
    """The way to "the last N" leads over all of them.  Redis goes it in steps
    that are bounded, and the next who asks finds it gone."""
    site = run.daemon(redis=server)
    store = server.client()
    ids = fill(store, channel, 800, 20000)
    first, second = run.client(site), run.client(site)
    assert first.ok("subscribe", channel=channel,
                    offset="-700")["offset"] == ids[99]
    steps = figure(site, "steps_total")
    assert 700 * 20000 / STEP <= steps <= 400
    assert second.ok("subscribe", channel=channel,
                     offset="-600")["offset"] == ids[199]
    assert figure(site, "steps_total") == steps + 1
    # What has come since, and what was trimmed or deleted, is seen.
    ids += fill(store, channel, 5, 10)
    store.xtrim(channel_key(channel), maxlen=500, approximate=False)
    third, fourth = run.client(site), run.client(site)
    assert third.ok("subscribe", channel=channel,
                    offset="-3")["offset"] == ids[-4]
    assert fourth.ok("subscribe", channel=channel,
                     offset="-600")["offset"] == "0-0"
    store.xdel(channel_key(channel), ids[-2])
    assert run.client(site).ok("subscribe", channel=channel,
                               offset="-3")["offset"] == ids[-5]


def test_the_last_many_by_plain_get_and_in_a_history(run, server, channel):
    site = run.daemon(redis=server)
    ids = fill(server.client(), channel, 300, 20000)
    stream = Stream(site.port, channel, query="?offset=-200")
    assert stream.begun() == ids[99]
    assert figure(site, "steps_total") >= 200 * 20000 / STEP
    stream.kill()
    scripts = calls(server.client(), "evalsha")
    answer = run.client(site).ok("history", channel=channel, limit=1,
                                 **{"from": "-200"})
    assert answer["messages"][0][0] == ids[100]
    assert calls(server.client(), "evalsha") - scripts >= 200 * 20000 / STEP


def test_each_step_is_charged(run, server, channel):
    """Who lets Redis go long ways is listened to less."""
    site = run.daemon("--request-rate", 100, "--max-subscriptions", 10,
                      redis=server)
    fill(server.client(), channel, 300, 20000)
    client, other = run.client(site), run.client(site)
    client.ok("subscribe", channel=channel, offset="-300")
    eventually(lambda: figure(site, "request_pauses_total") >= 1)
    assert other.ok("ping", timeout=5)
    assert client.ok("ping")


@pytest.mark.deadline(120)
def test_long_ways_of_many_leave_short_ones_room(run, server, channel):
    site = run.daemon(redis=server)
    store = server.client()
    for i in range(12):
        fill(store, f"{channel}-{i}", 150, 20000)
    long, other = run.client(site), run.client(site)
    asked = [long.ask("subscribe", channel=f"{channel}-{i}", offset="-150")
             for i in range(12)]
    other.ok("subscribe", channel=f"{channel}-new", offset="-5")
    for n in asked:
        assert "ok" in long.reply(n)
