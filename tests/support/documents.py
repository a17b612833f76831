# SPDX-License-Identifier: MIT
"""Reads a document from top to bottom, as a user would, and does what it says.

A section of a document (what is below one title) is a test.  Its blocks share
a directory, in which the tree stands (deploy/, build/ ...), and whatever they
have started, which ends with the section.  Blocks are as blocks.py has them.

What is printed is run as it is printed, but for one rule, which is PLACES:
ports and directories of the machine become those of the section, in commands,
files and what must be printed alike.  `redistribute start` and its verbs are
told the same by the environment, programs of the tree by FLAGS.
"""
import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import blocks
from harness import (BUILD, PATIENCE, REPO, clean_environment,
                     eventually, free_ports)

PLACES = {
    "8080": lambda world: str(world.port),
    "8081": lambda world: str(world.port + 1),
    "6379": lambda world: str(world.redis().port),
    "/var/lib/redistribute": lambda world: str(world.dir / "data"),
    "/etc/redistribute": lambda world: str(world.dir / "etc"),
    "-g redistribute": lambda _: f"-g {os.getegid()}",
}
FLAGS = {
    "deploy/quickstart": " --port 8080 --ops-port 8081",
    "tests/faults/history/run": " --plan",      # else it takes hours
    "redistribute top": " --once",
}
_PLACE = re.compile("|".join(rf"(?<![\w.-]){p}(?![\w.@-])" for p in PLACES))


def like(wanted, got):
    """* stands for any value that is there, {"bin": ...} for bytes."""
    if wanted == "*":
        return got is not None
    if isinstance(wanted, dict) and set(wanted) == {"bin"}:
        return got == base64.b64decode(wanted["bin"])
    if isinstance(wanted, dict):
        return (isinstance(got, dict) and set(wanted) == set(got) and
                all(like(v, got[k]) for k, v in wanted.items()))
    if isinstance(wanted, list):
        return (isinstance(got, list) and len(wanted) == len(got) and
                all(map(like, wanted, got)))
    return type(wanted) is type(got) and wanted == got


def real(value):
    """The bytes that {"bin": ...} stands for."""
    if isinstance(value, dict) and set(value) == {"bin"}:
        return base64.b64decode(value["bin"])
    if isinstance(value, dict):
        return {k: real(v) for k, v in value.items()}
    if isinstance(value, list):
        return [real(v) for v in value]
    return value


def printed(wanted, got):
    """In what is wanted * is any text, 1700000000000 any number, and a line ...
    any lines."""
    lines = [r"(?:.*\n)*?" if line == "..." else
             re.escape(line).replace(r"\*", ".*").replace(
                 "1700000000000", r"\d+") + r"\n"
             for line in wanted.splitlines()]
    return re.fullmatch("".join(lines), got)


class World:
    """The machine of one section: its directory and what runs there."""

    def __init__(self, run):
        self.run = run
        self.dir = Path(tempfile.mkdtemp(prefix="rd-doc-"))
        self.port = free_ports(9)
        self.server = None
        self.sites = []     # what was started
        run.add(self)       # first, so that it goes last
        for entry in REPO.iterdir():
            if not entry.name.startswith((".", "build")):
                (self.dir / entry.name).symlink_to(entry)
        (self.dir / "build").symlink_to(BUILD)
        (self.dir / "etc").mkdir()
        home = self.dir / "home"
        # Root's own would be that of the service.
        state = home / ".local/state/redistribute-quickstart"
        state.mkdir(parents=True, mode=0o700)
        self.env = clean_environment({
            "HOME": str(home), "LC_ALL": "C.UTF-8",
            "PATH": f"{BUILD}/src:{os.environ['PATH']}",
            # As if it were installed.
            "PKG_CONFIG_PATH": f"{BUILD}/meson-private",
            "CPATH": f"{REPO}/include",
            "REDISTRIBUTE_DATA_DIR": str(state),
            "REDISTRIBUTE_PORT": str(self.port),
            "REDISTRIBUTE_OPS_PORT": str(self.port + 1)})
        self.env["XDG_STATE_HOME"] = str(home / ".local/state")

    def redis(self):
        """The Redis of the machine, for those who name its port."""
        if self.server is None:
            self.server = self.run.redis(tcp=True)
        return self.server

    def anew(self):
        """As on another machine: nothing runs, nothing is remembered; the
        files stay."""
        while self.sites:
            self.sites.pop().close()
        for path in Path(self.env["REDISTRIBUTE_DATA_DIR"]).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- what is printed -----------------------------------------------------

    def here(self, block, text):
        """The text, with what is this section's own; see PLACES."""
        for name, value in block.words.items():
            if name.isupper():
                text = re.sub(rf"\b{name}\b", value, text)
        return _PLACE.sub(lambda m: PLACES[m[0]](self), text)

    def script(self, block, text):
        """A file of the commands, which tells the line that failed."""
        for command, flags in FLAGS.items():
            whole = (shlex.quote(str(REPO / command)) if "/" in command
                     else command) + flags
            text, found = re.subn(rf"^{command}\b", lambda _, w=whole: w,
                                  text, flags=re.M)
            if found and "quickstart" in command and BUILD != REPO / "build":
                pytest.skip("it would build elsewhere than in RD_BUILD")
        path = self.dir / "home/script"
        path.write_text("set -eEuo pipefail\n" +
                        'trap \'echo "$LINENO" >"$HOME/line"\' ERR\n' +
                        self.here(block, text), "utf-8")
        return path

    def play(self, block):
        if "anew" in block.words:
            self.anew()
        for other in filter(None, block.words.get("with", "").split(",")):
            self.play(blocks.named()[other])
        getattr(self, "play_" + block.verb)(block)

    def play_again(self, block):
        self.play(blocks.named()[block.value])

    def play_run(self, block):
        """Commands: they end well, or by what they must print, as tail would
        be ended by hand."""
        (self.dir / "home/line").unlink(missing_ok=True)
        out = self.dir / "home/out"
        with open(out, "wb") as stdout:
            site = self.run.process(["bash", self.script(block, block.text)],
                                    env=self.env, cwd=self.dir, stdout=stdout)
        try:
            if block.prints:
                self.await_print(block.prints, out, site)
                if site.popen.poll() is None:
                    site.popen.terminate()
                    return
            status = site.wait(50)
            wanted = int(block.words.get("status", 0))
            if status != wanted:
                line = self.dir / "home/line"
                at = block.line - 3 + int(line.read_text()) \
                    if line.exists() else block.line
                site.log.thread.join(5)
                raise AssertionError(
                    f"{block.path}:{at}: ended with {status}, not {wanted}\n"
                    f"{out.read_text(errors='replace')}{site.log.text()}")
        finally:
            site.close()

    def await_print(self, block, out, site):
        wanted = self.here(block, block.text)

        def said():
            over = site.popen.poll() is not None
            got = out.read_text(errors="replace")
            return "" if printed(wanted, got) else (over, got)

        try:
            eventually(lambda: said() == "" or site.popen.poll() is not None,
                       3 * PATIENCE)
        finally:
            if said() != "":
                site.log.thread.join(0.1)
                raise AssertionError(
                    f"{block.where}: printed was\n{said()[1]}\nand not\n"
                    f"{wanted}\n{site.log.text()}")

    def play_start(self, block, text=None):
        """A command that stays: it runs when it is ready."""
        out = self.dir / "home/started"
        with open(out, "wb") as stdout:
            site = self.run.process(
                ["bash", self.script(block, text or block.text)],
                env=self.env, cwd=self.dir, stdout=stdout)
        self.sites.append(site)
        try:
            site.wait_event("ready", 150, by="supervisor")
        except AssertionError as e:
            raise AssertionError(f"{block.where}: {e}") from None
        if block.prints:
            self.await_print(block.prints, out, site)

    def play_file(self, block):
        """A file, put where it belongs.  start: its first line is a comment,
        NAME: COMMAND, which is played as well."""
        path = self.dir / self.here(block, block.value)
        path.write_text(self.here(block, block.text), "utf-8")
        if "start" in block.words:
            command = re.match(r"(?:#|//|/\*) \S+: (.+?)(?: \*/)?\n",
                               block.text)
            assert command, f"{block.where}: no command in the first line"
            self.play_start(block, command[1] + "\n")

    def play_conf(self, block):
        """A piece of a configuration, judged as such."""
        path = self.dir / "etc/piece.conf"
        text = self.here(block, block.text)
        for name in re.findall(r"^(?:ops-)?(?:cert|key|cert-key) = (.*)$",
                               text, re.M):
            text = text.replace(name, str(self.certificate(name)))
        for word in re.findall(r"\S*redis://\S+", text):
            text = text.replace(word, self.redis().tcp_uri)
        path.write_text(text, "utf-8")
        done = subprocess.run(
            [BUILD / "src/redistribute", "check", "--config", path],
            env=self.env, cwd=self.dir, capture_output=True, text=True,
            timeout=30, check=False)
        assert done.returncode == 0, \
            f"{block.where}: {done.stdout}{done.stderr}"

    def certificate(self, name):
        """What stands for a certificate or key of that name: one file."""
        path = self.dir / "etc/both.pem"
        if not path.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365",
                 "-subj", "/CN=localhost", "-keyout", path, "-out",
                 self.dir / "etc/cert"], check=True, capture_output=True,
                timeout=30)
            path.write_text(path.read_text() +
                            (self.dir / "etc/cert").read_text())
        return path

    def play_unit(self, block):
        """What is put beside a unit: systemd finds nothing to say about it."""
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze here")
        unit = self.dir / "etc" / block.value
        text = (BUILD / "deploy" / block.value).read_text("utf-8")
        unit.write_text(re.sub(r"^(Exec\w+=)\S*/redistribute\b",
                               rf"\1{BUILD}/src/redistribute", text,
                               flags=re.M), "utf-8")
        piece = unit.with_name(unit.name + ".d") / "piece.conf"
        piece.parent.mkdir(exist_ok=True)
        piece.write_text(block.text, "utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit],
            env={**self.env, "SYSTEMD_UNIT_PATH": f"{unit.parent}:"},
            capture_output=True, text=True, timeout=50, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), \
            f"{block.where}: {done.stdout}{done.stderr}"

    def play_transcript(self, block):
        """A conversation, on a new connection to an empty Redis."""
        if "with" not in block.words:
            self.play_start(block, "redistribute start --workers 0\n")
        client = self.run.client(self.port, block.value)
        either = []
        lines = block.text.splitlines()
        for number, line in enumerate(lines + [""], block.line):
            mark, _, text = line.partition(" ")
            where = f"{block.path}:{number}"
            if mark != "<?":
                while either:
                    got = client.next()
                    fit = [w for w in either if like(w, got)]
                    assert fit, f"{where}: came {got}, wanted one of {either}"
                    either.remove(fit[0])
            if mark == ">":
                client.put(real(json.loads(text)))
            elif mark == "<":
                got = client.next()
                assert like(json.loads(text), got), \
                    f"{where}: came {got}, wanted {text}"
            elif mark == "<?":
                either.append(json.loads(text))
            else:
                assert line == "", f"{where}: neither sent nor received"
        client.nothing_more()


def plays(path):
    """The tests of a document: one for each section, and for each transcript,
    because these begin anew."""
    parts = {}
    for block in blocks.blocks(path):
        if block.verb in blocks.PLAYED:
            name = block.section if block.verb != "transcript" else \
                f"{block.section}, line {block.line}"
            parts.setdefault(name, []).append(block)

    @pytest.mark.deadline(240)
    @pytest.mark.parametrize("part", parts.values(), ids=parts.keys())
    def test(run, part):
        world = World(run)
        for block in part:
            world.play(block)

    return test
