# SPDX-License-Identifier: MIT
"""The access log: one line for who comes, who goes and why, what is denied."""
import pytest

import sse
from harness import eventually
from peer import Refused


@pytest.fixture(scope="module")
def logged(run_once, server):
    return run_once.daemon("--access-log", "--rule",
                           "quiet:* subscribe=nobody publish=nobody",
                           "--handshake-timeout", "1s", redis=server)


def lines(site, **fields):
    return [e for e in site.log.find(**fields)
            if str(e.get("event")).startswith("access.")]


def test_nothing_is_logged_by_default(run, site, channel):
    run.client(site).ok("publish", channel=channel, data=1)
    with pytest.raises(Refused):
        run.peer(site, "/ws/x", origin="http://evil.example")
    assert lines(site) == []


def test_client_that_comes_and_goes(run, logged, channel):
    since = logged.log.position()
    client = run.client(logged, path=f"/{channel}?token=very-secret")
    came = logged.log.wait("access.connect", since=since, path=f"/{channel}")
    assert came["address"] == "127.0.0.1" and came["method"] == "GET"
    client.close(1000)
    went = logged.log.wait("access.disconnect", since=since, conn=came["conn"])
    assert (went["by"], went["code"]) == ("client", "1000")
    assert len(lines(logged, conn=came["conn"])) == 2
    assert "very-secret" not in logged.log.text()


def test_network_that_goes(run, logged, channel):
    peer = run.peer(logged, f"/ws/{channel}")
    came = logged.log.wait("access.connect", path=f"/ws/{channel}")
    peer.kill()
    went = logged.log.wait("access.disconnect", conn=came["conn"])
    assert (went["by"], went["code"]) == ("network", "1006")


def test_gateway_that_closes(run, logged, channel):
    peer = run.peer(logged, f"/ws/{channel}")
    came = logged.log.wait("access.connect", path=f"/ws/{channel}")
    peer.sock.sendall(b"\x83\x80abcd")      # no such opcode
    went = logged.log.wait("access.disconnect", conn=came["conn"])
    assert (went["by"], went["code"]) == ("gateway", "1002")
    assert went["why"]


def test_what_is_denied(run, logged):
    with pytest.raises(Refused):
        run.peer(logged, "/ws/d1", origin="http://evil.example")
    came = logged.log.wait("access.connect", path="/ws/d1")
    assert came["origin"] == "http://evil.example"
    denied = logged.log.wait("access.denied", conn=came["conn"])
    assert denied["code"] == "403" and "origin" in denied["why"]
    client = run.client(logged, path="/d2")
    came = logged.log.wait("access.connect", path="/d2")
    assert client.error("subscribe", channel="quiet:1")["code"] == "denied"
    denied = logged.log.wait("access.denied", conn=came["conn"])
    assert denied["channel"] == "quiet:1" and denied["why"]
    assert sse.post(logged.port, "quiet:1", "1")[0] == 403
    logged.log.wait("access.denied", code="403", count=2)


def test_post_that_is_answered(logged, channel):
    assert sse.post(logged.port, channel, "1", query="?type=secret-type")[0] \
        == 200
    came = logged.log.wait("access.connect", path=f"/sse/{channel}")
    went = logged.log.wait("access.disconnect", conn=came["conn"])
    assert (came["method"], went["code"]) == ("POST", "200")
    eventually(lambda: "secret-type" not in logged.log.text())
