# SPDX-License-Identifier: MIT
"""Clients that come back by TLS: the second handshake is a short one, at
whichever gateway of the machine it ends."""
import json
import signal
import socket
import ssl
import stat

import pytest

from harness import PATIENCE, certificate, eventually
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
