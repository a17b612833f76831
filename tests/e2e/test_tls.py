# SPDX-License-Identifier: MIT
"""Clients that come back by TLS: the second handshake is a short one, at
whichever gateway of the machine it ends."""
import hashlib
import hmac
import json
import signal
import socket
import ssl
import stat

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import peer
from harness import PATIENCE, certificate, eventually, holds, http_get, xadd
from peer import handshake

GATEWAYS = 3
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module")
def site(run_once, server, tmp_path_factory):
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    site = run_once.daemon("--cert", cert, "--key", key, redis=server,
                           gateways=GATEWAYS)
    site.cert = cert
    return site


def trusting(site, version="1.3"):
    tls = ssl.create_default_context(cafile=str(site.cert))
    tls.minimum_version = tls.maximum_version = VERSIONS[version]
    return tls


def visit(site, tls, session=None):
    """(was it resumed, the session for next time, the gateway's name)"""
    with tls.wrap_socket(socket.create_connection(("127.0.0.1", site.port)),
                         server_hostname="localhost", session=session) as s:
        s.settimeout(PATIENCE)
        s.sendall(handshake("/")[0])
        got = b""
        while b"{" not in got or not got.endswith(b"}"):
            got += s.recv(4096)
        welcome = json.loads(got[got.index(b"{"):])
        return s.session_reused, s.session, welcome["gateway"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_at_every_gateway(site, version):
    tls = trusting(site, version)
    resumed, session, first = visit(site, tls)
    assert not resumed
    met = {first}

    def all_met():
        nonlocal session
        resumed, session, gateway = visit(site, tls, session)
        assert resumed, f"not at {gateway}, after {met}"
        met.add(gateway)
        return len(met) == GATEWAYS
    eventually(all_met, what="the kernel never picked some gateway")


def test_a_session_outlives_the_gateway_that_gave_it(site):
    tls = trusting(site)
    _, session, first = visit(site, tls)
    old = {i: site.kill_child("gateway", i, signal.SIGTERM)
           for i in range(GATEWAYS)}
    for i, pid in old.items():
        site.wait_child("gateway", i, other_than=pid)
    resumed, _, _ = visit(site, tls, session)
    assert resumed


def test_a_session_outlives_a_reload(site):
    tls = trusting(site)
    _, session, _ = visit(site, tls)
    site.send(signal.SIGHUP)
    for i in range(GATEWAYS):
        site.wait_event("gateway.reload", speaker=site.child("gateway", i))
    resumed, _, _ = visit(site, tls, session)
    assert resumed


def test_a_foreign_session_costs_a_whole_handshake(run, server, site, tmp_path):
    other = run.daemon("--cert", site.cert, "--key",
                       site.cert.with_suffix(".key"), redis=server)
    tls = trusting(site)
    _, session, _ = visit(other, tls)
    resumed, session, _ = visit(site, tls, session)
    assert not resumed
    resumed, _, _ = visit(site, tls, session)
    assert resumed


def test_keys_of_tickets_are_the_owners_alone(site):
    visit(site, trusting(site))
    folder = site.data_dir / "tickets"
    files = list(folder.iterdir())
    assert len(files) in (1, 2)
    for path in [folder, *files]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


# --- a handshake that does not go on ------------------------------------------

def figure(site, name):
    line = f"redistribute_gateway_{name} "
    return next(float(one.removeprefix(line))
                for one in http_get(site.ops_port, "/metrics")[1].splitlines()
                if one.startswith(line))


@pytest.fixture
def hasty(run, server, site):
    hasty = run.daemon("--cert", site.cert, "--key",
                       site.cert.with_suffix(".key"),
                       "--handshake-timeout", "500ms",
                       "--ping-interval", "300ms", redis=server)
    hasty.cert = site.cert
    return hasty


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_an_unfinished_handshake_is_ended_without_an_answer(hasty, first):
    """Written in there, it would never leave, and be tried without end."""
    silent = [peer.connect(hasty.port) for _ in range(8)]
    for s in silent:
        s.sendall(first)
    eventually(lambda: figure(hasty, "handshake_timeouts_total") == len(silent))
    eventually(lambda: figure(hasty, "connections") == 0)
    assert figure(hasty, "sends_total") == 0
    for s in silent:
        assert s.recv(100) == b""
        s.close()


def test_a_request_that_does_not_come_is_answered_after_the_handshake(hasty):
    with peer.connect(hasty.port, tls=trusting(hasty)) as s:
        assert s.recv(100).startswith(b"HTTP/1.1 408 ")


class HalfKey:
    """A TLS 1.3 client that can write the records of its own hand."""

    def __init__(self, site, path, keylog):
        self.sock = peer.connect(site.port)
        tls = trusting(site)
        tls.keylog_filename = str(keylog)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(self.incoming, self.outgoing,
                                server_hostname="localhost")
        self.until(self.tls.do_handshake)
        assert self.tls.cipher()[0] == "TLS_AES_256_GCM_SHA384"
        self.tls.write(handshake(path)[0])
        self.sent = 1
        self.got = b""
        self.see(b"\r\n\r\n")
        line = next(one for one in keylog.read_text().splitlines()
                    if one.startswith("CLIENT_TRAFFIC_SECRET_0 "))
        self.secret = bytes.fromhex(line.split()[2])

    def until(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                self.incoming.write(self.sock.recv(65536))

    def see(self, words):
        while words not in self.got:
            self.got += self.until(lambda: self.tls.read(65536))

    def expand(self, label, size):
        label = b"tls13 " + label
        info = (size.to_bytes(2, "big") + bytes([len(label)]) + label +
                b"\0\1")
        return hmac.digest(self.secret, info, hashlib.sha384)[:size]

    def record(self, content, kind=22):
        """A record of its own, of handshake where nothing else is said."""
        nonce = int.from_bytes(self.expand(b"iv", 12), "big") ^ self.sent
        head = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        self.sent += 1
        self.sock.sendall(head + AESGCM(self.expand(b"key", 32)).encrypt(
            nonce.to_bytes(12, "big"), content + bytes([kind]), head))


def test_half_a_change_of_keys_costs_nothing(hasty, server, channel, tmp_path):
    """Until the other half has come, TLS writes nothing."""
    client = HalfKey(hasty, f"/ws/{channel}", tmp_path / "keys")
    client.record(b"\x18\0\0\1")      # KeyUpdate, of one byte
    xadd(server.client(), channel, text="words")
    eventually(lambda: figure(hasty, "deliveries_total") == 1)
    before = figure(hasty, "sends_total")
    holds(lambda: figure(hasty, "sends_total") < before + 50, 1)
    client.record(b"\0")
    client.see(b"words")
    client.sock.close()
