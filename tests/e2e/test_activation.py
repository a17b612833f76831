# SPDX-License-Identifier: MIT
"""Listening sockets that somebody else has opened, as systemd does: gateways
take clients from them, and whoever connects while none does is not refused."""
import os
import signal
import socket
import threading

import pytest

import peer
from harness import PROGRAMS, alive, eventually, free_ports
from peer import Client

CONFIG = 78


def listening(address=("127.0.0.1", 0), family=socket.AF_INET, reuse=False):
    s = socket.socket(family, socket.SOCK_STREAM)
    if family != socket.AF_UNIX:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(address)
    s.listen(4096)
    return s


def reusing(count):
    """So many on one port."""
    first = listening(reuse=True)
    return [first] + [listening(first.getsockname(), reuse=True)
                      for _ in range(count - 1)]


@pytest.fixture
def sock(request):
    s = listening()
    request.addfinalizer(s.close)
    return s


def start(run, sockets, *args, **more):
    port = sockets[0].getsockname()[1]
    return run.daemon(*args, port=port, sockets=sockets, **more)


def handed_over(pid):
    """What a process was told: how many sockets."""
    with open(f"/proc/{pid}/environ", "rb") as f:
        words = dict(w.split(b"=", 1) for w in f.read().split(b"\0") if w)
    if int(words.get(b"LISTEN_PID", 0)) != pid:
        return 0
    return int(words[b"LISTEN_FDS"])


# --- taking clients ----------------------------------------------------------

def test_gateways_take_clients_from_the_socket(run, server, sock, channel):
    other = free_ports()
    site = start(run, [sock], "--port", other, redis=server, gateways=2,
                 workers=1)
    ready, = site.log.find("ready", speaker=site.pid)
    assert ready["address"] == "127.0.0.1:%d" % sock.getsockname()[1]
    assert [handed_over(p) for p in site.children("gateway").values()] == [1, 1]
    assert handed_over(site.child("worker")) == 0
    with pytest.raises(ConnectionRefusedError):
        Client(other)
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    client.ok("publish", channel=channel, data=1)
    assert client.messages(channel, 1)[0][2] == 1
    client.close()
    assert site.stop() == 0


def test_unix_socket_is_taken(run, server, tmp_path):
    path = str(tmp_path / "clients")
    with listening(path, socket.AF_UNIX) as s:
        site = run.daemon("--max-per-address", "5", redis=server, sockets=[s])
        assert site.log.find("ready", speaker=site.pid)[0]["address"] == path
        for _ in range(20):     # they have no address to be counted by
            with socket.socket(socket.AF_UNIX) as c:
                c.settimeout(10)
                c.connect(path)
                c.sendall(peer.handshake("/")[0])
                assert c.recv(65536).startswith(b"HTTP/1.1 101 ")
        assert site.stop() == 0


@pytest.mark.parametrize("sockets, gateways", [(2, 3), (3, 2), (3, 3)])
def test_each_of_several_sockets_has_its_gateway(run, server, sockets,
                                                 gateways):
    socks = reusing(sockets)
    site = start(run, socks, redis=server, gateways=gateways)
    children = site.children("gateway").values()
    assert sum(handed_over(p) for p in children) == max(sockets, gateways)
    clients = [run.client(site) for _ in range(60)]
    assert len({c.welcome["gateway"] for c in clients}) >= 2
    for s in socks:
        s.close()


def test_sockets_are_shared_out_anew_when_gateways_go(run, server, tmp_path):
    conf = tmp_path / "rd.conf"
    conf.write_text("drain-timeout = 5s\n")
    socks = reusing(3)
    # Not as usual: a flag would win over the file.
    site = run.process(
        [PROGRAMS["redistribute"], "start", "--config", conf, "--workers", "0",
         "--targets", server.uri, "--data-dir", tmp_path / "data",
         "--ops-port", "0"], sockets=socks)
    site.wait_event("ready", speaker=site.pid)
    # From one to three the first is replaced, back all three end.
    for count, ends in (3, 1), (1, 3):
        conf.write_text(f"drain-timeout = 5s\ngateways = {count}\n")
        since = site.log.position()
        site.send(signal.SIGHUP)
        site.log.wait("child.ready", role="gateway", since=since, count=count)
        site.log.wait("child.exit", role="gateway", since=since, count=ends)
        for _ in range(20):     # whatever socket the kernel chooses
            run.client(socks[0].getsockname()[1])
    for s in socks:
        s.close()


def test_gateway_alone_takes_a_socket(run, server, sock):
    port = sock.getsockname()[1]
    gateway = run.process([PROGRAMS["gateway"], "--ops-port", "0"],
                          env={"REDISTRIBUTE_TARGETS": server.uri},
                          sockets=[sock])
    gateway.wait_event("ready")
    assert gateway.wait_event("listener.taken")["address"].endswith(f":{port}")
    run.client(port)
    assert gateway.stop() == 0


# --- nobody is refused -------------------------------------------------------

class Comers:
    """Connects all the time, one after the other, by several threads."""

    def __init__(self, port, count=4):
        self.port = port
        self.done = threading.Event()
        self.errors = []
        self.came = 0
        self.threads = [threading.Thread(target=self._come, daemon=True)
                        for _ in range(count)]
        for t in self.threads:
            t.start()

    def _come(self):
        while not self.done.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 10):
                    self.came += 1
            except OSError as e:
                self.errors.append(e)

    def end(self):
        self.done.set()
        for t in self.threads:
            t.join(20)
        assert not self.errors, self.errors[:3]
        assert self.came > 0


@pytest.mark.parametrize("gateways", [1, 3])
def test_killed_gateway_refuses_nobody(run, server, sock, gateways):
    site = start(run, [sock], redis=server, gateways=gateways)
    comers = Comers(site.port)
    for index in range(gateways):
        old = site.kill_child("gateway", index)
        eventually(lambda: not alive(old))
        # With a single one, these wait for its successor.
        for _ in range(5):
            run.client(site)
        site.wait_child("gateway", index, other_than=old)
    comers.end()


def test_restart_of_all_refuses_nobody(run, server, sock):
    site = start(run, [sock], "--drain-timeout", "5s", redis=server, gateways=2)
    port = site.port
    comers = Comers(port, 2)
    assert site.stop() == 0
    # Nobody is there now.
    early = []
    for _ in range(10):
        c = socket.create_connection(("127.0.0.1", port), 10)
        c.sendall(peer.handshake("/")[0])
        early.append(c)
    site = start(run, [sock], redis=server, gateways=2)
    for c in early:
        assert c.recv(65536).startswith(b"HTTP/1.1 101 ")
        c.close()
    comers.end()
    assert site.stop() == 0


# --- what is wrong is said ---------------------------------------------------

def refused(run, sockets, *args, program="redistribute", **more):
    if program == "redistribute":
        p = run.daemon(*args, sockets=sockets, wait=False, **more)
    else:
        p = run.process([PROGRAMS[program], *args], sockets=sockets, **more)
    status = p.wait(20)
    p.log.thread.join(5)
    return status, p.log.text()


@pytest.mark.parametrize("program", ["redistribute", "gateway"])
def test_socket_that_is_none_is_refused(run, server, program):
    more = ({"redis": server} if program == "redistribute" else
            {"env": {"REDISTRIBUTE_TARGETS": server.uri}})
    with socket.socket() as bound, \
            socket.socket(type=socket.SOCK_DGRAM) as datagram, \
            open(os.devnull, "rb") as file, listening() as good:
        bound.bind(("127.0.0.1", 0))
        for sockets in ([bound], [datagram], [file], [good, bound]):
            status, text = refused(run, sockets, program=program, **more)
            assert status == CONFIG
            assert "descriptor %d" % (2 + len(sockets)) in text
            assert "no listening stream socket" in text
            assert len(text.splitlines()) == 1, text


@pytest.mark.parametrize("program", ["redistribute", "gateway"])
def test_socket_beyond_loopback_needs_a_certificate(run, server, program):
    more = ({"redis": server} if program == "redistribute" else
            {"env": {"REDISTRIBUTE_TARGETS": server.uri}})
    with listening(("0.0.0.0", 0)) as s, \
            listening(("::", 0), socket.AF_INET6) as s6:
        for one in (s, s6):
            status, text = refused(run, [one], program=program, **more)
            assert status == CONFIG
            assert ":%d" % one.getsockname()[1] in text and "insecure" in text


def test_reload_keeps_to_that_rule(run, server, tmp_path):
    conf = tmp_path / "rd.conf"
    conf.write_text("insecure = yes\n")
    with listening(("0.0.0.0", 0)) as s:
        site = start(run, [s], "--config", conf, redis=server)
        conf.write_text("insecure = no\n")
        site.send(signal.SIGHUP)
        assert "insecure" in site.wait_event("config.bad")["why"]
        run.client(site)


def test_sockets_of_another_process_are_left_alone(run, server):
    site = run.daemon(redis=server, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert not site.log.find("listener.taken")
    run.client(site)
    assert handed_over(site.child("gateway")) == 0


def test_sockets_without_gateways_are_noticed(run, server, sock):
    site = start(run, [sock], redis=server, gateways=0, workers=1)
    assert site.log.find("preflight", what="sockets", level="warn")
    assert site.stop() == 0
