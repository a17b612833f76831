# SPDX-License-Identifier: MIT
"""Who may include whom.

A line of FLOORS is one floor: its name, the folder, the floors that it may
include beside itself, and its files (of x, both x.c and x.h).  A file on no
floor is an error, as are headers that include each other in a circle.  LIBRARIES says which files know a foreign library.
"""
import re

from tree import ROOT, files, finish, name

FLOORS = [
    # name, folder, may include, files
    ("public", "include/redistribute", "", "error slice id message verbs clients handler"),
    ("0", "src", "public",
     "err mem list buf map clock log log_out nearest utf8"),
    ("1", "src", "public 0",
     "glob id keys uri options config config_impl config_file config_environment config_team config_show config_check member json json_scan pack "
     "place spec message show table rules slot"),
    ("2", "src", "public 0 1",
     "loop pollset tickets tls wire connect reply reply_reader pending redis redis_io "
     "redis_greet redis_link ask script stream "
     "holders trim keeper keeper_impl keeper_due keeper_scan keeper_expire keeper_dead "
     "publisher publisher_known publisher_impl doorbell doorbell_pair doorbell_block meta node notify proc secret activation team agree fleet census metrics"),
    ("3", "src", "public 0 1 2",
     "role child crew crew_impl crew_member autoscale control outlook squads embedded datadir herald nodelock repair preflight preflight_handler preflight_redis preflight_commands preflight_port preflight_user reload instance join rediscli snapshot "
     "supervisor supervisor_redis supervisor_signals supervisor_state cli cli_find cli_fleet main cmd_*"),
    ("A", "gateway", "public 0 1",
     "crypto ws ws_out deflate extension http http_impl http_field http_answer judge origin page_name writer protocol frame frame_impl "
     "frame_message frame_sse"),
    ("B", "gateway", "public 0 1 2 A",
     "access accounts conn conn_impl conn_deflate conn_file conn_io conns channel channel_impl channel_read ring ring_impl ring_at trail look limits quota toll"),
    ("C", "gateway", "public 0 1 2 A B",
     "subscription subscription_impl settle fetch fanout slow feeds history about asker asks stale mailbox events events_impl socket "
     "outbox session session_impl session_events session_flow sessions plain plain_impl plain_open post listener pages "
     "router guests ops overview"),
    ("D", "gateway", "public 0 1 2 A B C", "gateway gateway_impl drain metrics main"),
    ("E", "workers", "public 0 1", "retry verdict event dispatch batch gauge line pace"),
    ("F", "workers", "public 0 1 2 E",
     "self work runner source intake later commit shared reader rescue lane lane_impl lane_io "
     "catalog paused lanes backlog divided lease peers pipe inflight exec spawn scene hands thread "
     "so handlers"),
    ("G", "workers", "public 0 1 2 E F", "worker worker_impl worker_link worker_open worker_report main"),
    ("handlers", "workers/handlers", "public", "*"),
]

# Foreign headers, and the only files that may include them.
LIBRARIES = {
    "hiredis/": "src/redis_io.c src/reply_reader.c",
    "msgpack": "src/pack.c",
    "ini.h": "src/config_file.c",
    "zlib.h": "gateway/deflate.c",
    "openssl/": "src/tls.c gateway/crypto.c",
    "event2/http": "gateway/ops.c gateway/guests.c",
    "event2/": "src/connect.c src/loop.c src/loop.h src/redis_io.c src/tls.c src/wire.c gateway/ops.c gateway/guests.c",
}

# What else may stand in angle brackets: the C library and the kernel.
LIBC = set("""
assert ctype dirent dlfcn endian errno fcntl float getopt inttypes libgen limits malloc
math netdb poll pthread pwd grp sched signal spawn stdalign stdarg stdatomic stdbool
stddef stdint stdio stdlib string strings syslog time unistd sysexits
arpa/inet netinet/in netinet/tcp sys/epoll sys/eventfd sys/file sys/ioctl
sys/mman sys/prctl sys/random sys/resource sys/socket sys/stat sys/syscall
sys/time sys/types sys/uio sys/un sys/utsname sys/wait termios linux/limits linux/openat2
""".split())

# Pure floors see no descriptor and no loop.
PURE = {"1", "A", "E"}
IMPURE = {"netdb", "poll", "pthread", "sys/epoll", "sys/eventfd", "sys/socket",
          "sys/wait", "netinet/tcp", "signal"}

GENERATED = {"script_sources.h", "src/script_sources.h", "gateway/client_source.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def matches(pattern, stem):
    return pattern == stem or (pattern.endswith("*")
                               and stem.startswith(pattern[:-1]))


def floor_of(path):
    """The row of FLOORS that the file stands in, or None."""
    for row in FLOORS:
        if path.parent == ROOT / row[1] and any(
                matches(p, path.stem) for p in row[3].split()):
            return row
    return None


def includes(path):
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1] == "<", found[2]


def judge_system(where, row, header):
    """A complaint about <header>, or None."""
    if header.startswith("redistribute/"):
        return judge_house("include/" + header, row)
    for prefix, allowed in LIBRARIES.items():
        if header.startswith(prefix):
            if where in allowed.split():
                return None
            return "<%s> is for %s only" % (header, allowed)
    stem = header.removesuffix(".h")
    if stem not in LIBC:
        return "<%s> is of no library that this rule knows" % header
    if row[0] in PURE and stem in IMPURE:
        return "<%s> on floor %s, which is pure" % (header, row[0])
    return None


def judge_house(header, row):
    """A complaint about a header of ours, root-relative, or None."""
    if header in GENERATED:
        return None
    path = ROOT / header
    if "/" not in header or not path.is_file():
        return '"%s" is no file, seen from the root' % header
    if path.suffix == ".def":
        return None
    target = floor_of(path)
    if target is None:
        return None  # told where the file itself is judged
    if target is row or target[0] in row[2].split():
        return None
    return '"%s" is of floor %s, floor %s may include %s' % (
        header, target[0], row[0], row[2] or "nothing else")


def circles(graph):
    """Headers from which one comes back to them."""
    done, path, found = set(), [], []

    def walk(node):
        if node in path:
            found.append(path[path.index(node):] + [node])
            return
        if node in done:
            return
        path.append(node)
        for other in graph.get(node, ()):
            walk(other)
        path.pop()
        done.add(node)

    for node in sorted(graph):
        walk(node)
    return found


def main():
    violations, graph = [], {}
    paths = files("*.c", "*.h", under=("src", "gateway", "workers", "include"))
    for path in paths:
        where, row = name(path), floor_of(path)
        if row is None:
            violations.append("%s:1: the file is on no floor" % where)
            continue
        graph[where] = []
        for number, system, header in includes(path):
            why = (judge_system(where, row, header) if system
                   else judge_house(header, row))
            if row[0] == "handlers" and not system:
                why = 'handlers include <redistribute/...> only, not "%s"' \
                    % header
            if why:
                violations.append("%s:%d: %s" % (where, number, why))
            graph[where].append("include/" + header if system else header)
    for circle in circles(graph):
        violations.append("%s:1: circle: %s" % (circle[0],
                                                " -> ".join(circle)))
    finish(violations, len(paths))


main()
