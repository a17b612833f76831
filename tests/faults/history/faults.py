# SPDX-License-Identifier: MIT
"""Every fault: how the seed draws it, how it is done, and what is allowed to
happen because of it (promises speak of most faults only; see checker.Allowed).

A fault is a generator: it begins, yields how many seconds until it is undone,
and undoes.  Several may be under way at once.  Where there is nothing to hurt
just now it raises LookupError, or an error of Redis, and nothing happens.
"""
import signal
import time

from history.fleet import TEAM

KNOWN = {}      # name -> (draw, do)


def fault(drawn=lambda chance, profile: {}):
    def add(do):
        KNOWN[do.__name__] = (drawn, do)
        return do
    return add


def draw(name, chance, profile):
    return KNOWN[name][0](chance, profile)


def begin(world, step):
    """The generator of a step."""
    return KNOWN[step.name][1](world, **step.args)


def a_process(chance, profile):
    return {"kind": chance.choice(profile.kinds), "pick": chance.random()}


def a_link(chance, profile):
    return {"kind": chance.choice(profile.links),
            "pick": None if chance.random() < profile.wide else chance.random()}


def seconds(low, high):
    """Mostly short, sometimes beyond a lease."""
    return lambda chance, profile: {
        "seconds": low + (high - low) * chance.random() ** 2}


def both(*draws):
    return lambda chance, profile: {k: v for d in draws
                                    for k, v in d(chance, profile).items()}


def a_channel(chance, profile):
    return {"channel": chance.choice(profile.divided_names)}


# --- processes ---------------------------------------------------------------

@fault(a_process)
def kill(world, kind, pick):
    world.note(world.fleet.signal(kind, pick, signal.SIGKILL))
    yield 0


@fault(both(a_process, seconds(0.05, 4)))
def stop(world, kind, pick, seconds):
    what, pid = world.fleet.signal(kind, pick, signal.SIGSTOP)
    world.note(what)
    yield seconds
    world.fleet.resume(pid)


# --- links -------------------------------------------------------------------

@fault(both(a_link, seconds(0.05, 6), lambda chance, profile: {
    "way": chance.choice(("requests", "replies"))}))
def hold(world, kind, pick, seconds, way):
    """One direction alone is silent for a while."""
    world.note(world.fleet.proxy.set(kind, pick, way, held=True))
    yield seconds
    world.fleet.proxy.set(kind, None, way, held=False)


@fault(a_link)
def cut(world, kind, pick):
    world.note(world.fleet.proxy.cut(kind, pick))
    yield 0


@fault(both(a_link, lambda chance, profile: {
    "more": chance.uniform(0, 0.05), "after": 3 * chance.random() ** 2}))
def late(world, kind, pick, more, after):
    """The client sees a cut; what it had sent arrives later."""
    world.note(world.fleet.proxy.orphan(kind, pick, 0.5, more, after))
    yield 0


@fault(both(a_link, seconds(1, 5), lambda chance, profile: {
    "way": chance.choice(("requests", "replies")),
    "delay": chance.uniform(0.005, 0.2)}))
def delay(world, kind, pick, way, seconds, delay):
    """Links overtake one another."""
    world.note(world.fleet.proxy.set(kind, pick, way, delay=delay))
    yield seconds
    world.fleet.proxy.set(kind, None, way, delay=0.0)


def a_bell(chance, profile):
    return {"kind": chance.choice([k for k in ("worker.bell", "gateway.bell")
                                   if k in profile.links] or ["worker.bell"]),
            "pick": None if chance.random() < 0.5 else chance.random()}


@fault(both(a_bell, seconds(0.2, 3)))
def deaf(world, kind, pick, seconds):
    """The doorbell's words are lost."""
    world.note(world.fleet.proxy.set(kind, pick, "replies", dropping=True))
    yield seconds
    world.fleet.proxy.set(kind, None, "replies", dropping=False)


@fault(lambda chance, profile: {"count": chance.randint(1, 6)})
def deaf_end(world, count):
    """The last message of a channel is the one whose word is lost."""
    proxy = world.fleet.proxy
    for kind in ("worker.bell", "gateway.bell"):
        proxy.set(kind, None, "replies", dropping=True)
    world.publishers.last_words(world.profile.divided_names[:count])
    yield 0.3
    for kind in ("worker.bell", "gateway.bell"):
        proxy.set(kind, None, "replies", dropping=False)


# --- Redis -------------------------------------------------------------------

@fault(seconds(0, 2))
def restart(world, seconds):
    world.fleet.store.need()
    world.fleet.store.stop()
    yield seconds
    world.fleet.store.ensure()


@fault(seconds(0, 2))
def crash(world, seconds):
    world.fleet.store.need()
    world.fleet.store.crash()
    yield seconds
    world.fleet.store.ensure()


@fault(seconds(0.1, 3))
def freeze(world, seconds):
    world.fleet.store.need()
    world.fleet.store.freeze()
    yield seconds
    world.fleet.store.resume()


@fault(lambda chance, profile: {"seconds": chance.uniform(0.05, 1.0)})
def forget(world, seconds):
    """All that was written in the last second is lost."""
    store = world.fleet.store
    store.need()
    since, size = store.mark()
    yield seconds
    store.need()
    if store.mark()[1] <= size:
        raise LookupError("what it should forget is forgotten already")
    window = world.allowed.lose(since)
    store.crash_and_forget(size)
    window[1] = world.server_ms()


@fault(seconds(0.3, 3))
def full(world, seconds):
    world.hand.config_set("maxmemory", 1 << 20)
    yield seconds
    world.hand.config_set("maxmemory", 0)


@fault(a_channel)
def full_of_work(world, channel):
    """A team that only consumes goes on in a full Redis, past its lease."""
    ms = 40
    world.group_at(channel)     # the team knows the channel
    if world.publishers.foreign_now(
            channel, int(3000 * world.profile.lease / ms),
            lambda pipe: pipe.config_set("maxmemory", 1 << 20), mute=1,
            do="slow", ms=ms) is None:
        raise LookupError("Redis is away")
    last = world.publishers.mine.attempts[-1].offset
    end = time.monotonic() + 6 * world.profile.lease + world.profile.patience
    while not world.is_settled(channel, last) and time.monotonic() < end:
        yield 0.1
    if not world.is_settled(channel, last):
        world.fleet.broken.append(f"{channel} stands still in a full Redis")
    world.hand.config_set("maxmemory", 0)


@fault()
def flush_scripts(world):
    world.hand.script_flush()
    yield 0


@fault(lambda chance, profile: {"pick": chance.random()})
def kill_clients(world, pick):
    """All of a type, or one."""
    if pick < 0.3:
        for kind in ("normal", "pubsub"):
            world.hand.execute_command("CLIENT", "KILL", "TYPE", kind)
    else:
        found = [c for c in world.hand.client_list() if c["name"]]
        one = found[int(pick * len(found))]
        world.note(one["name"])
        world.hand.execute_command("CLIENT", "KILL", "ID", one["id"])
    yield 0


# --- operators ---------------------------------------------------------------

@fault(lambda chance, profile: {"workers": chance.randint(
    1, 2 * profile.nodes * profile.workers)})
def scale(world, workers):
    world.fleet.verb("scale", "--team", TEAM, "--wait", "0", workers)
    yield 0


@fault(lambda chance, profile: {**a_process(chance, profile),
                                "workers": chance.randint(1, 8),
                                "deadly": chance.random() < 0.4})
def scale_kill(world, kind, pick, workers, deadly):
    world.fleet.verb("scale", "--team", TEAM, "--wait", "0", workers)
    if deadly and kind == "redis":
        world.fleet.store.crash()
        world.fleet.store.start()
    elif deadly:
        world.note(world.fleet.signal(kind, pick, signal.SIGKILL))
    yield 0


@fault(lambda chance, profile: {"pick": chance.random()})
def replace(world, pick):
    world.note(world.fleet.signal("supervisor", pick, signal.SIGUSR2))
    yield 0


@fault(lambda chance, profile: {"pick": chance.random()})
def reload(world, pick):
    world.note(world.fleet.signal("supervisor", pick, signal.SIGHUP))
    yield 0


@fault(both(seconds(0.2, 3), lambda chance, profile: {
    "what": chance.choice(["c:*", *profile.divided_names[:3],
                           *profile.shared_names])}))
def pause(world, what, seconds):
    world.fleet.verb("pause", "--team", TEAM, what)
    yield seconds
    world.fleet.verb("resume", "--team", TEAM, what)


# --- foreign hands -----------------------------------------------------------

def key_of(channel):
    return f"rd:ch:{channel}"


@fault(a_channel)
def steal(world, channel):
    """XREADGROUP with the team's name: what it takes is in nobody's hands."""
    taken = world.publishers.foreign_now(
        channel, 3, lambda pipe: pipe.xreadgroup(
            TEAM, "intruder", {key_of(channel): ">"}, count=100))
    world.allowed.out_of_turn(channel, [i.decode() for _, rows in taken or ()
                                        for i, _ in rows])
    yield 0


@fault(a_channel)
def skip(world, channel):
    """XGROUP SETID $: what was not read yet is never handled."""
    before = world.group_at(channel)
    world.publishers.foreign_now(
        channel, 3, lambda pipe: pipe.xgroup_setid(key_of(channel), TEAM, "$"))
    world.allowed.out_of_turn(channel, world.ids_after(
        channel, before, world.publishers.mine.attempts[-1].offset or "+"))
    yield 0


@fault(a_channel)
def rewind(world, channel):
    """XGROUP SETID 0: all is handled again."""
    world.allowed.repeat(channel)
    world.hand.xgroup_setid(key_of(channel), TEAM, "0")
    yield 0


@fault(a_channel)
def destroy(world, channel):
    world.allowed.repeat(channel)
    world.hand.xgroup_destroy(key_of(channel), TEAM)
    yield 0


@fault(both(a_channel, lambda chance, profile: {"keep": chance.randint(0, 20)}))
def trim(world, channel, keep):
    """What nobody has read yet is gone."""
    with world.fleet.client() as client:
        before = world.ids_after(channel, "0-0")
        client.xtrim(key_of(channel), maxlen=keep, approximate=False)
        world.allowed.vanish(channel, set(before) - set(
            world.ids_after(channel, "0-0")))
    yield 0


@fault(a_channel)
def delete(world, channel):
    world.publishers.foreign_now(channel, 5)
    last = world.hand.xrevrange(key_of(channel), count=2)
    gone = [i.decode() for i, _ in last]
    world.hand.xdel(key_of(channel), *gone)
    world.allowed.vanish(channel, gone)
    yield 0


@fault()
def flush_all(world):
    window = world.allowed.lose(0)
    world.hand.flushall()
    time.sleep(0.002)   # ids of this millisecond may be of either side
    window[1] = world.server_ms()
    yield 0
