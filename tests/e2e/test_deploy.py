# SPDX-License-Identifier: MIT
"""What is installed: every file in its place, units that systemd finds good,
programs that find each other, and the words that systemd is told."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import harness
import peer
import sse
from harness import BUILD, REPO, clean_environment, free_ports

# Below the prefix, as deploy/README.md has it; the operator's file is below /etc.
INSTALLED = """
    bin/redistribute
    libexec/redistribute/redistribute-gateway
    libexec/redistribute/redistribute-worker
    libexec/redistribute/examples/example_server.so
    include/redistribute/handler.h
    share/pkgconfig/redistribute.pc
    share/redistribute/redistribute.conf
    share/redistribute/pages/chat.html
    share/redistribute/pages/client/redistribute-client.js
    share/man/man8/redistribute.8
    share/man/man5/redistribute.conf.5
    lib/systemd/system/redistribute.service
    lib/systemd/system/redistribute@.service
    lib/systemd/system/redistribute.socket
    lib/sysusers.d/redistribute.conf
    lib/tmpfiles.d/redistribute.conf
""".split()
UNITS = ["redistribute.service", "redistribute@.service"]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="there is no systemd-analyze here (Debian's package systemd)")


class Tree:
    """An installation into a directory of its own."""

    def __init__(self, root):
        text = subprocess.run(
            ["meson", "introspect", "--buildoptions", str(BUILD)],
            capture_output=True, text=True, timeout=50, check=True).stdout
        options = {o["name"]: o["value"] for o in json.loads(text)}
        self.root = root
        self.prefix = options["prefix"]
        self.usr = self.below(self.prefix)
        self.conf_dir = os.path.join(self.prefix, options["sysconfdir"],
                                     "redistribute")
        self.conf = self.below(self.conf_dir) / "redistribute.conf"
        self.program = self.usr / "bin/redistribute"

    def below(self, path):
        return self.root / path.lstrip("/")

    def install(self):
        done = subprocess.run(
            ["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet"],
            env={**os.environ, "DESTDIR": str(self.root)}, timeout=50,
            capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = Tree(tmp_path_factory.mktemp("install"))
    tree.install()
    return tree


@pytest.fixture
def unit(tree, tmp_path):
    """An installed unit, as systemd would see it if this were its machine."""
    def copy(name):
        text = (tree.usr / "lib/systemd/system" / name).read_text()
        start = f"ExecStart={tree.prefix}/bin/redistribute start "
        assert start in text
        path = tmp_path / name
        path.write_text(text.replace(start, f"ExecStart={tree.program} start "))
        return path
    return copy


# --- files -------------------------------------------------------------------

def test_every_file_is_in_its_place(tree):
    assert not [p for p in INSTALLED if not (tree.usr / p).is_file()]
    assert tree.conf.is_file()
    for path in tree.root.rglob("*"):
        if path.is_file():
            assert not path.stat().st_mode & 0o022, path
            assert not re.search(rb"^[^#]*@[A-Z]+@", path.read_bytes()
                                 if path.suffix in (".service", ".conf")
                                 else b"", re.M), path
    for name in (REPO / "include/redistribute").glob("*.h"):
        assert (tree.usr / "include/redistribute" / name.name).is_file()


def test_runbook_names_every_place():
    text = (REPO / "deploy/README.md").read_text()
    for path in INSTALLED:
        assert f"/usr/{path}" in text or \
            f"/usr/{os.path.dirname(path)}/`" in text, path


def test_second_installation_keeps_the_operators_file(tree):
    before = tree.conf.read_text()
    try:
        tree.conf.write_text("workers = 7\n")
        tree.install()
        assert tree.conf.read_text() == "workers = 7\n"
    finally:
        tree.conf.write_text(before)


def test_handlers_can_be_written_against_what_is_installed(tree, tmp_path):
    source = tmp_path / "handler.c"
    source.write_text("#include <redistribute/handler.h>\n"
                      "int abi(void) { return RD_HANDLER_ABI; }\n")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "redistribute"], capture_output=True,
        text=True, check=True, timeout=20,
        env={**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(tree.root),
             "PKG_CONFIG_PATH": str(tree.usr / "share/pkgconfig")}).stdout
    # What the compiler searches by itself is left out.
    flags = flags.split() or [f"-I{tree.usr}/include"]
    subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", *flags, "-c",
                    str(source), "-o", str(tmp_path / "handler.o")],
                   check=True, timeout=50)


# --- units -------------------------------------------------------------------

@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_to_say_about_the_unit(unit, name):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no",
                           str(unit(name))], capture_output=True, text=True,
                          timeout=50, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_exposure_of_the_unit_is_under_two(unit, name):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20",
         "--no-pager", str(unit(name))], capture_output=True, text=True,
        timeout=50, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    found = re.search(r"exposure level for \S+ (\d+\.\d+)", done.stdout)
    assert found and float(found[1]) < 2.0


@needs_systemd
def test_systemd_finds_nothing_to_say_about_the_socket(unit, tree, tmp_path):
    unit("redistribute.service")
    path = tmp_path / "redistribute.socket"
    path.write_bytes((tree.usr / "lib/systemd/system" / path.name).read_bytes())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)],
                          capture_output=True, text=True, timeout=50,
                          check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_socket_agrees_with_the_program(tree):
    text = (tree.usr / "lib/systemd/system/redistribute.socket").read_text()
    assert "SocketMode=0660\n" in text      # else anybody may connect
    defaults = dict(re.findall(r'^(?:STR|INT)\((host|port), "\w+", "?([\d.]+)',
                               (REPO / "src/options.def").read_text(), re.M))
    assert f"ListenStream={defaults['host']}:{defaults['port']}\n" in text


def test_unit_agrees_with_the_program(unit):
    text = unit("redistribute.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert settings["Type"] == "notify" and settings["NotifyAccess"] == "main"
    assert settings["KillMode"] == "mixed"
    assert settings["RestartPreventExitStatus"].split() == ["64", "78"]
    drain = re.search(r'drain_timeout, "drain-timeout", (\d+)',
                      (REPO / "src/options.def").read_text())
    assert int(settings["TimeoutStopSec"]) * 1000 > int(drain[1]) + 10000


# --- it runs from there ------------------------------------------------------

def test_installed_program_runs(tree):
    done = subprocess.run([str(tree.program), "version"], capture_output=True,
                          text=True, timeout=20, check=True)
    assert re.match(r"redistribute \d+\.\d+\.\d+$", done.stdout.strip())


def test_sample_file_is_accepted(tree, tmp_path):
    """As it is; tests/docs use its lines."""
    port = free_ports(2)
    done = subprocess.run(
        [str(tree.program), "check", "--config", str(tree.conf), "--data-dir",
         str(tmp_path / "data"), "--port", str(port), "--ops-port",
         str(port + 1)], env=clean_environment(), capture_output=True,
        text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_installed_programs_find_each_other(run, tree, monkeypatch):
    monkeypatch.setitem(harness.PROGRAMS, "redistribute", tree.program)
    site = run.daemon("--config", tree.conf, "--pages",
                      tree.usr / "share/redistribute/pages",
                      "--consume", "a", workers=1)
    for role in ("gateway", "worker"):
        exe = os.readlink(f"/proc/{site.child(role)}/exe")
        assert exe == f"{tree.usr}/libexec/redistribute/redistribute-{role}"
    status, body = site.http("/room1", port=site.port)
    assert status == 200 and "<html" in body
    # No other page may lay itself over it, and have clicks go there.
    head = sse.request(site.port, "GET", "/room1")[1]
    assert "frame-ancestors 'none'" in \
        peer.header_of(head, "Content-Security-Policy")
    status, body = site.http("/client/redistribute-client.js", port=site.port)
    assert status == 200 and "export" in body
    assert run.client(site).ok("publish", channel="a", data=1)
    assert site.stop() == 0


# --- what systemd is told ----------------------------------------------------

class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(name)
        self.sock.settimeout(15)
        self.heard = []

    def hear(self, word):
        """All lines of the datagram in which a line begins with that."""
        while True:
            lines = self.sock.recv(4096).decode().splitlines()
            self.heard += lines
            if any(line.startswith(word) for line in lines):
                return lines


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = str(tmp_path / "notify")
    if request.param == "abstract":
        name = f"\0rd-test-{os.getpid()}-{free_ports()}"
    m = Manager(name)
    m.variable = name.replace("\0", "@")
    yield m
    m.sock.close()


def test_systemd_hears_of_every_turn(run, server, manager, tmp_path):
    conf = tmp_path / "rd.conf"
    conf.write_text("workers = 0\n")
    site = run.daemon("--config", conf, redis=server,
                      env={"NOTIFY_SOCKET": manager.variable,
                           "WATCHDOG_USEC": "1000000"})
    manager.hear("READY=1")
    status = [s for s in manager.heard + manager.hear("STATUS=")
              if s.startswith("STATUS=")]
    assert any("gateways" in s for s in status)
    manager.hear("WATCHDOG=1")

    site.send(signal.SIGHUP)
    lines = manager.hear("RELOADING=1")
    # Without the time, newer systemd waits for ever.
    usec, = [s for s in lines if s.startswith("MONOTONIC_USEC=")]
    assert int(usec.partition("=")[2]) > 0
    manager.hear("READY=1")

    # A mistake in the file ends the reload as well.
    conf.write_text("workers = lots\n")
    site.send(signal.SIGHUP)
    manager.hear("RELOADING=1")
    manager.hear("READY=1")

    site.send(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert site.wait() == 0


def test_children_do_not_speak_to_systemd(run, server, tmp_path):
    """NotifyAccess=main would refuse them."""
    m = Manager(str(tmp_path / "notify"))
    site = run.daemon(redis=server, workers=1,
                      env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for role in ("gateway", "worker"):
        with open(f"/proc/{site.child(role)}/environ", "rb") as f:
            assert b"NOTIFY_SOCKET=" not in f.read()
    assert site.stop() == 0
    m.sock.close()


# --- packages ------------------------------------------------------------------

def test_the_runbook_names_the_packages_that_are_installed():
    done = subprocess.run(
        ["bash", "-c", ". deploy/prepare.sh; is_there() { false; }; needs_build;"
         " needs_run; printf '%s\\n' \"${missing[@]}\""],
        cwd=REPO, capture_output=True, text=True, check=True)
    command = re.search(r"apt-get install --no-install-recommends ([^`]+)",
                        (REPO / "deploy/README.md").read_text())
    named = command[1].replace("\\\n", " ").split()
    needed = [n.split("|")[-1] for n in done.stdout.split()]
    assert sorted(named) == sorted(needed)


# --- the first command of the README -----------------------------------------

def quickstart(*args, **more):
    return subprocess.run(
        ["bash", str(REPO / "deploy/quickstart"), "--no-install", *args],
        capture_output=True, text=True, timeout=50, check=False,
        env=clean_environment(), stdin=subprocess.DEVNULL, **more)


def test_quickstart_tells_its_use():
    done = quickstart("--help")
    assert done.returncode == 0 and "--port" in done.stdout
    for args in (["--bogus"], ["--port"], ["--port", "many"]):
        done = quickstart(*args)
        assert done.returncode == 64 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["--port", "--ops-port"])
def test_quickstart_says_at_once_that_a_port_is_taken(flag):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        done = quickstart(flag, str(port), "--port" if flag == "--ops-port"
                          else "--ops-port", str(free_ports()))
    assert done.returncode == 78
    assert str(port) in done.stderr and flag in done.stderr
    assert "building" not in done.stderr


@pytest.mark.deadline(200)
@pytest.mark.skipif(BUILD != REPO / "build", reason="it would build elsewhere "
                    "than in RD_BUILD")
def test_quickstart_runs_everything(run, tmp_path):
    port = free_ports(2)
    data = tmp_path / "a directory"
    site = run.process(["bash", REPO / "deploy/quickstart", "--no-install",
                        "--port", port, "--ops-port", port + 1,
                        "--data-dir", data], stdout=subprocess.PIPE)
    site.wait_event("ready", 150, speaker=site.pid)
    said = ""
    for line in site.popen.stdout:
        said += line.decode()
        if "Ctrl-C" in said:
            break
    assert f"http://127.0.0.1:{port}/room1" in said
    status, body = harness.http_get(port, "/room1")
    assert status == 200 and "<html" in body
    # What it tells to try is tried, word by word, in another directory.
    words = re.findall(r"^  [A-Za-z ]+?   +(redistribute \w+ .*|redistribute status"
                       r"|export .*)", said, re.M)
    assert len(words) == 8
    path, team = words[0], words.pop()
    assert path.startswith("export PATH=") and " --join " in team
    for command in words[1:]:
        command = command.replace(" tail ", " tail --count 1 ")
        done = subprocess.run(f"{path}\n{command}", shell=True, cwd=tmp_path,
                              timeout=20, capture_output=True, text=True,
                              check=False, env=clean_environment())
        assert done.returncode == 0 and done.stdout.strip(), command + done.stderr
    mine = run.process(["sh", "-c", f"{path}\nexec {team}"], cwd=tmp_path)
    mine.wait_event("ready", speaker=mine.pid, workers=2)
    assert mine.stop(sig=signal.SIGINT) == 0
    site.popen.stdout.close()
    assert site.stop(sig=signal.SIGINT) == 0
