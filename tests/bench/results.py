# SPDX-License-Identifier: MIT
"""Runs the benchmarks of the gateway and writes their table into RESULTS.md.

    python3 tests/bench/results.py BUILD [--runs N] [--only BENCH ...]

Of several runs the median stands in the table, judged by the bound and beside
the bare loop of the same run.  --only prints its table and leaves RESULTS.md
as it is.  What stands outside of the two marks there is written by hand.
"""
import argparse
import os
import pathlib
import platform
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BENCHES = ["fanout", "connections", "latency", "channels", "storm", "slow"]
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

# What others reach at the same, on such a machine but not in the same run.
PEERS = {
    "burst_100": "NATS 1.8 M, Nchan 0.5 M, uWebSockets 0.2 M",
    "burst_1000": "uWebSockets 2.8 M, NATS 0.6 M, Nchan 0.14 M, "
                  "ws and Socket.IO 0.07 M",
    "burst_10000": "uWebSockets 0.75 M, NATS 0.14 M, Nchan 0.11 M",
    "kilobyte_1000": "uWebSockets 1.5 M, NATS 0.23 M, Nchan 0.17 M",
    "channels_1000x10": "uWebSockets 155 k, Nchan 60 k, NATS 52 k",
    "single_1000": "uWebSockets 211 k, Nchan 157 k, NATS 65 k",
    "even_1000 sent_per_s": "uWebSockets falls behind at 378",
    "handshakes_plain": "uWebSockets 53 k, Nchan 29 k, ws 6.3 k, NATS 4.6 k, "
                        "Socket.IO 2.6 k",
    "idle_plain": "uWebSockets 0.5 kB, ws 5.9, Nchan 10.4, Socket.IO 14.4, "
                  "NATS 24.9",
    "slow_memory": "uWebSockets 10 MB and closes them, Nchan 13, ws 39, "
                   "Socket.IO 54, NATS 264",
}


def run(build, bench):
    """The lines that it prints, each as a dictionary."""
    print("%s ..." % bench, file=sys.stderr)
    done = subprocess.run(
        [build / "tests/bench" / ("bench_" + bench),
         build / "gateway/redistribute-gateway"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit("bench_%s: %s" % (bench, done.stderr.strip()))
    return [dict(pair.split("=", 1) for pair in line.split())
            for line in done.stdout.splitlines() if line.startswith("cell=")]


def number(text):
    """As a person reads it: three digits that count."""
    value = float(text)
    for size, unit in ((1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return "%.3g%s" % (value / size if unit == " M" else value / 1e3,
                               unit)
    return "%.0f" % value if abs(value) >= 100 else "%.3g" % value


def row(lines):
    """Of one figure in all runs."""
    lines = sorted(lines, key=lambda line: float(line["figure"]))
    line = lines[len(lines) // 2]
    spread = ("" if len(lines) == 1 else " (%s to %s)"
              % (number(lines[0]["figure"]), number(lines[-1]["figure"])))
    asked = next((sign + number(line[key]) for key, sign in
                  (("at_least", "≥ "), ("at_most", "≤ ")) if key in line), "")
    bare = ("%.2f of %s" % (float(line["of_bare"]), number(line["bare"]))
            if "bare" in line else "")
    peers = PEERS.get(line["cell"] + " " + line["what"],
                      PEERS.get(line["cell"], ""))
    if line["cell"].startswith("even") and line["what"] != "sent_per_s":
        peers = ""
    return "| %s | %s | %s%s | %s | %s | %s | %s |\n" % (
        line["cell"], line["what"].replace("_", " "), number(line["figure"]),
        spread, asked, line.get("met", ""), bare, peers)


def table(runs):
    figures = {}
    for lines in runs:
        for line in lines:
            figures.setdefault((line["cell"], line["what"]), []).append(line)
    return ("| cell | what | figure | asked | met | share of a bare loop | "
            "peers |\n|---|---|---|---|---|---|---|\n"
            + "".join(row(lines) for lines in figures.values()))


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["?"])[0].strip()


def conditions(build, runs):
    """What a reader must know of the machine."""
    cpu = re.search(r"model name\s*: (.*)",
                    pathlib.Path("/proc/cpuinfo").read_text("utf-8"))
    options = first_line(
        "sh", "-c", "meson introspect --buildoptions '%s' | python3 -c "
        "'import json, sys; print(next(o[\"value\"] for o in "
        "json.load(sys.stdin) if o[\"name\"] == \"buildtype\"))'" % build)
    return ("%d cores (%s), Linux %s, %s, %s, %s; build type %s; %s of each; "
            "load when it ended %.1f.\n"
            % (os.cpu_count(), cpu[1] if cpu else platform.machine(),
               platform.release(), first_line("cc", "--version"),
               first_line("openssl", "version").split("(")[0].strip(),
               " ".join(first_line("redis-server", "--version").split()[:3]),
               options, "one run" if runs == 1 else
               "the median (least to greatest) of %d runs" % runs,
               os.getloadavg()[0]))


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("--runs", type=int, default=1)
    args.add_argument("--only", nargs="+", choices=BENCHES)
    args = args.parse_args()
    build = args.build.resolve()
    made = table([run(build, bench) for bench in args.only or BENCHES
                  for _ in range(args.runs)])
    made = conditions(build, args.runs) + "\n" + made
    if args.only:
        print(made)
        return
    path = HERE / "RESULTS.md"
    text = path.read_text("utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(before + BEGIN + made + END + after, "utf-8")


main()
