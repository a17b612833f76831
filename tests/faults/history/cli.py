# SPDX-License-Identifier: MIT
"""The command line: rounds with fresh seeds, and what is said of them."""
import argparse
import os
import random
import signal
import sys
import time
import traceback

SHOWN = 5       # violations of one round
SEEDS = 1 << 31
EACH = 30       # seconds between two lines where there is no terminal


def words():
    p = argparse.ArgumentParser(
        prog="tests/faults/history/run",
        description="Runs the real programs under faults drawn from a seed, "
        "and checks the histories afterwards; see README.md beside it.")
    p.add_argument("--seed", type=int, help="of the first round; the next "
                   "ones follow (default: a fresh one)")
    p.add_argument("--rounds", type=int, help="so many (default 1)")
    p.add_argument("--minutes", type=float, help="as many as fit")
    p.add_argument("--hours", type=float)
    p.add_argument("--build", help="build directory (RD_BUILD, build)")
    p.add_argument("--profile", default="all",
                   help="one, or several by commas: the seed says which of "
                   "them (default all)")
    p.add_argument("--seconds", type=float, help="of faults in each round, "
                   "where it should not be what the profile says")
    p.add_argument("--faults", help="only these of the profile, by commas")
    p.add_argument("--keep-going", action="store_true",
                   help="do not end with the first failure")
    p.add_argument("--list", action="store_true", help="show the profiles")
    p.add_argument("--plan", action="store_true",
                   help="only show the schedule of the seed")
    return p


class Progress:
    """One line that is written anew on a terminal; else a line at times."""

    def __init__(self):
        self.head = ""
        self.terminal = sys.stdout.isatty()
        self.last = time.monotonic()

    def say(self, text):
        now = time.monotonic()
        if now - self.last < (0.1 if self.terminal else EACH):
            return
        self.last = now
        text = f"{self.head}: {text}"
        print(f"\r\033[K{text[:140]}" if self.terminal else text,
              end="" if self.terminal else "\n", flush=True)

    def line(self, text):
        if self.terminal:
            sys.stdout.write("\r\033[K")
        print(text, flush=True)


def failure(round_, command):
    world = round_.world
    lines = [f"FAILED: {round_.found[0]}"]
    lines += [f"  also: {v}" for v in round_.found[1:SHOWN]]
    if len(round_.found) > SHOWN:
        lines.append(f"  and {len(round_.found) - SHOWN} more")
    lines += ["what was done:", *(f"  {x}" for x in world.story),
              f"logs: {round_.logs}", f"again: {command}"]
    return "\n".join(lines)


def main():
    args = words().parse_args()
    # Told to end, it still ends what it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.build:
        os.environ["RD_BUILD"] = args.build
    from history import schedule        # reads RD_BUILD
    from history.round import Round
    if args.list:
        for name, p in schedule.PROFILES.items():
            print(f"{name:10} {p['about']}")
        return 0
    names = args.profile.split(",")
    more = {"seconds": args.seconds} if args.seconds else {}
    if args.faults is not None:
        more["only"] = args.faults.split(",")
    seed = (args.seed if args.seed is not None
            else random.SystemRandom().randrange(SEEDS))
    if args.plan:
        for step in schedule.draw(schedule.Profile(
                names[seed % len(names)], **more), seed):
            print(step)
        return 0
    minutes = (args.hours or 0) * 60 + (args.minutes or 0)
    end = time.monotonic() + minutes * 60 if minutes else None
    progress, number, bad, longest = Progress(), 0, 0, 0.0
    while True:
        name = names[seed % len(names)]
        command = f"tests/faults/history/run --profile {name} --seed {seed}"
        command += f" --seconds {args.seconds}" if args.seconds else ""
        command += f" --faults {args.faults}" if args.faults else ""
        command += f" --build {args.build}" if args.build else ""
        progress.head = f"round {number + 1} {name} seed {seed}"
        round_, began = Round(name, seed, progress.say, **more), \
            time.monotonic()
        try:
            round_.run()
        except KeyboardInterrupt:
            progress.line("ended")
            return 130
        except Exception:
            traceback.print_exc()
        took = time.monotonic() - began
        longest = max(longest, took)
        text = "FAILED" if round_.found else "ok"
        progress.line(f"{progress.head}: {text}, {round_.sums()}, "
                      f"{took:.0f} s")
        if round_.found:
            bad += 1
            progress.line(failure(round_, command))
            if not args.keep_going:
                break
        number, seed = number + 1, seed + 1
        if end is None and number >= (args.rounds or 1) or \
                end is not None and time.monotonic() + longest > end or \
                args.rounds and number >= args.rounds:
            break
    progress.line(f"{number + (bad > 0 and not args.keep_going)} rounds, "
                  f"{bad} failed")
    return 1 if bad else 0
