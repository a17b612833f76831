# SPDX-License-Identifier: MIT
"""What clients may do: agreed on by all gateways of a Redis, safe where
nothing is said."""
import json
import re
import signal
from urllib.parse import quote

import pytest

import sse
from harness import eventually, free_ports
from harness import run as run_verb
from peer import Refused

A = ["--events", "ev", "--rule", "room:*  subscribe=handler\tpublish=nobody"]
A_TEXT = ("events = ev; connect = anyone; rule-default = nobody; "
          "rule = room:* subscribe=handler publish=nobody")
NONE_TEXT = "events = ; connect = anyone; rule-default = nobody"


def check(server, *args):
    """(status, the finding about the rules) of `redistribute check`."""
    status, out, _ = run_verb("check", "--json", *args,
                              env={"REDISTRIBUTE_TARGETS": server.uri})
    found = [c for c in json.loads(out)["checks"] if c["check"] == "rules"]
    assert len(found) <= 1
    return status, found[0] if found else None


def start(server, *args):
    first = free_ports(2)
    return run_verb("start", "--port", first, "--ops-port", first + 1, *args,
                    env={"REDISTRIBUTE_TARGETS": server.uri})


def stored(store, key="rd:rules"):
    return store.get(key).decode().replace("\n", "; ")


# --- agreed on ---------------------------------------------------------------

def test_second_gateway_without_the_rules_is_refused(run, server, store):
    run.daemon(*A, redis=server)
    assert stored(store) == A_TEXT
    status, _, err = start(server)
    assert status == 78
    assert A_TEXT in err and NONE_TEXT in err and "--replace-rules" in err
    assert "child.start" not in err
    status, finding = check(server)
    assert (status, finding["verdict"]) == (78, "bad")
    assert A_TEXT in finding["text"] and NONE_TEXT in finding["text"]
    # Blanks do not matter, the order of rules does.
    assert check(server, "--events", "ev", "--rule",
                 " room:* subscribe=handler publish=nobody ")[0] == 0
    for other in (A + ["--connect", "handler"], A + ["--rule-default", "anyone"], ["--events", "other", *A[2:]],
                  A + ["--rule", "x subscribe=nobody"]):
        assert check(server, *other)[0] == 78
    assert stored(store) == A_TEXT


def test_rules_hold_also_when_nobody_is_there(run, server, store):
    run.daemon(*A, redis=server).stop()
    assert start(server)[0] == 78
    # Who has no gateway has no opinion.
    assert check(server, "--gateways", "0") == (0, None)
    run.daemon("--gateways", "0", redis=server, workers=1)


def test_check_writes_nothing(server, store):
    status, finding = check(server, *A)
    assert (status, finding["verdict"]) == (0, "ok")
    assert not store.exists("rd:rules")


def test_other_prefix_has_other_rules(run, server, store):
    run.daemon(*A, redis=server)
    run.daemon(redis=server, prefix="other")
    assert stored(store, "other:rules") == NONE_TEXT


def test_rules_are_replaced_by_who_is_told_to(run, server, store):
    site = run.daemon(*A, redis=server)
    status, finding = check(server, "--replace-rules")
    assert (status, finding["verdict"]) == (0, "ok")
    assert A_TEXT in finding["text"] and NONE_TEXT in finding["text"]
    other = run.daemon("--replace-rules", redis=server)
    assert other.wait_event("rules.replaced")["was"] == A_TEXT
    assert stored(store) == NONE_TEXT
    # The one that runs says so, and serves on until it is replaced, too.
    said = site.wait_event("gateway.rules", 20)
    assert said.level == "error" and NONE_TEXT in said["why"]
    assert re.search(r"^redistribute_gateway_rules_differ 1$",
                     site.http("/metrics")[1], re.M)
    assert run.client(site).error("publish", channel="room:1", data=1)
    # What comes in its place is refused, as any other.
    site.kill_child("gateway")
    site.wait_event("child.parked", role="gateway", status=78)


def test_replacing_was_a_wish_for_once(run, server, store):
    """A gateway that only loses Redis does not win back what others replaced."""
    site = run.daemon(*A, "--replace-rules", redis=server)
    run.daemon("--replace-rules", redis=server)
    assert stored(store) == NONE_TEXT
    since = site.log.position()
    for link in store.client_list():
        if link["id"] != str(store.client_id()):
            store.client_kill_filter(_id=link["id"])
    site.log.wait("gateway.rules", since=since)
    assert stored(store) == NONE_TEXT


def test_flushed_rules_come_back(run):
    server = run.redis()
    site = run.daemon(*A, redis=server)
    with server.client() as store:
        store.flushall()
        eventually(lambda: store.exists("rd:rules"))
        assert stored(store) == A_TEXT
    assert site.http("/readyz")[0] == 200


def knock(port, method, path, body=b""):
    """(status, head, body), or None where nobody listens."""
    try:
        return sse.request(port, method, path, body)
    except OSError:
        return None


def test_gateway_that_starts_without_redis_ends_when_it_disagrees(run):
    """start finds out beforehand; one that comes back during an outage does
    not."""
    server = run.redis(persist=True)
    site = run.daemon(*A, redis=server)
    with server.client() as store:
        store.set("rd:rules", "rule = * subscribe=nobody")
    server.crash()
    old = site.kill_child("gateway")
    eventually(lambda: site.child("gateway") != old)
    # Before it has agreed, nobody may do anything.
    path = "/sse/room:1"
    status, head, _ = eventually(
        lambda: knock(site.port, "POST", path, b"1"), 20)
    assert status == 503 and "Retry-After: 2" in head
    status, head, body = knock(site.port, "GET", path)
    assert status == 200 and body.startswith(b"retry: ")
    with pytest.raises(Refused) as refused:
        run.client(site, wait=False)
    assert refused.value.status == 503
    server.start()
    site.wait_event("child.parked", 30, role="gateway", status=78)


def test_reload_changes_the_rules_for_all(run, server, store, tmp_path):
    conf = tmp_path / "rd.conf"
    conf.write_text("rule = a publish=nobody\n")
    site = run.daemon("--config", conf, redis=server, gateways=2)
    assert run.client(site).error("publish", channel="a", data=1)
    before = {i: site.child("gateway", i) for i in (0, 1)}
    conf.write_text("rule = a publish=anyone\n")
    site.send(signal.SIGHUP)
    for i, pid in before.items():
        site.wait_child("gateway", i, pid)
    assert stored(store).endswith("rule = a publish=anyone")
    assert run.client(site).ok("publish", channel="a", data=1)


@pytest.mark.parametrize("what", ["list", "stream"])
def test_what_is_no_rules_is_said(server, store, what):
    if what == "list":
        store.lpush("rd:rules", "x")
    else:
        store.xadd("rd:rules", {"a": "b"})
    status, finding = check(server, *A)
    assert status == 78 and "cannot be read" in finding["text"]


# --- what a rule says, and what it does not ----------------------------------

def may(run, site, channel):
    """What a client may do there, as a set of words."""
    client = run.client(site)
    allowed = set()
    for do, more in (("publish", {"data": 1}), ("subscribe", {}),
                     ("history", {})):
        answer = client.reply(client.ask(do, channel=channel, **more))
        if "ok" in answer:
            allowed.add(do)
        else:
            assert answer["error"]["code"] == "denied"
    status, said = sse.post(site.port, quote(channel), "1")
    assert status == (200 if "publish" in allowed else 403), said
    for path in ("/ws/", "/sse/"):
        try:
            if path == "/ws/":
                run.peer(site, path + quote(channel))
                status = 200
            else:
                stream = run.add(sse.Stream(site.port, quote(channel)))
                status = stream.status
        except Refused as e:
            status = e.status
        assert status == (200 if "subscribe" in allowed else 403)
    return allowed


READ = {"subscribe", "history"}


@pytest.mark.parametrize("default,unsaid", [
    (None, False), ("nobody", False), ("anyone", True)])
def test_what_a_rule_does_not_name_is_closed(run, server, default, unsaid):
    site = run.daemon("--rule", "out:* subscribe=anyone", "--rule",
                      "in:* publish=anyone", "--rule", "slow:* slow=newest",
                      *(["--rule-default", default] if default else []),
                      redis=server)
    free = READ | {"publish"}
    assert may(run, site, "out:1") == (free if unsaid else READ)
    assert may(run, site, "in:1") == (free if unsaid else {"publish"})
    assert may(run, site, "slow:1") == (free if unsaid else set())
    assert may(run, site, "other") == free


def test_default_can_be_the_handler(run, server):
    status, _, err = run_verb("check", "--rule-default", "handler")
    assert status == 78 and "rule-default" in err
    site = run.daemon("--events", "ev", "--rule-default", "handler", "--rule",
                      "a subscribe=anyone", "--answer-timeout", "50ms",
                      redis=server)
    client = run.client(site)
    assert client.ok("subscribe", channel="a")
    assert client.error("publish", channel="a", data=1)["code"] == "timeout"
    assert client.error("call", channel="a", data=1)["code"] == "denied"


@pytest.mark.parametrize("by_file", [False, True])
def test_channels_with_blanks_and_other_letters_can_be_named(
        run, server, tmp_path, by_file):
    rules = [r"my\ room subscribe=anyone", r"caf? publish=nobody",
             r"[äö]\ * publish=anyone"]
    if by_file:
        conf = tmp_path / "rd.conf"
        conf.write_text("".join(f"rule = {r}\n" for r in rules), "utf-8")
        args = ["--config", conf]
    else:
        args = [a for r in rules for a in ("--rule", r)]
    site = run.daemon(*args, redis=server)
    free = READ | {"publish"}
    assert may(run, site, "my room") == READ
    assert may(run, site, "my") == free
    assert may(run, site, "café") == set()
    assert may(run, site, "caf") == may(run, site, "cafés") == free
    assert may(run, site, "ö 1") == {"publish"}
    assert may(run, site, "é 1") == free
