# SPDX-License-Identifier: MIT
"""share.lua, called by hand: how the slots of a team are shared, whoever comes,
goes, dies or asks twice."""
import time

import pytest

from scripts import script

SLOTS = 256
HASH = "rd:slots:t"
TEAM = "rd:team:t"
LEASE = 10000


@pytest.fixture
def r(server):
    client = server.client(decode_responses=True)
    client.flushall()
    yield client
    client.close()


def beat(r, *names):
    for name in names:
        script(r, "beat", [TEAM, "rd:teams", "rd:roll:t"], [name, LEASE, "t"])


def share(r, me, want=1, back=(), slots=SLOTS, dice=7):
    """(quota, wait, {slot: token})"""
    words = " ".join(f"{s} {t}" for s, t in dict(back).items())
    quota, wait, *rest = script(r, "share", [HASH, TEAM],
                                [me, slots, LEASE, want, dice, words])
    return quota, wait, {s: int(t) for s, t in zip(rest[::2], rest[1::2])}


def name(n):
    return f"node.a:{n}.inc{n}"


def surplus(mine, quota):
    return dict(list(mine.items())[quota:])


def settle(r, names, **more):
    """Rounds until nobody has anything to give or take: {name: slots}."""
    held = {}
    for _ in range(3):
        for n in names:
            quota, _, mine = share(r, n, **more)
            if len(mine) > quota:
                _, _, mine = share(r, n, back=surplus(mine, quota), **more)
            held[n] = mine
    every = [s for mine in held.values() for s in mine]
    assert len(every) == len(set(every))
    return held


def now_ms(r):
    seconds, micros = r.time()
    return seconds * 1000 + micros // 1000


@pytest.mark.parametrize("count, quota", [(1, 256), (3, 86), (8, 32), (9, 29)])
def test_every_member_gets_its_share(r, count, quota):
    names = [name(n) for n in range(count)]
    beat(r, *names)
    held = settle(r, names)
    assert sum(map(len, held.values())) == SLOTS
    assert all(share(r, n)[0] == quota for n in names)
    assert max(map(len, held.values())) == quota
    assert r.hget(HASH, "=quota") == str(quota)
    assert r.hget(HASH, "=free") == "0"


def test_a_member_that_joins_gets_what_the_others_give_back(r):
    names = [name(n) for n in range(9)]
    beat(r, *names[:8])
    before = settle(r, names[:8])
    beat(r, names[8])
    # Nothing is free until somebody gives back.
    quota, wait, mine = share(r, names[8])
    assert (quota, mine) == (29, {}) and 0 < wait <= LEASE + 1
    after = settle(r, names)
    assert [len(after[n]) for n in names] == [29] * 8 + [24]
    # Only surplus has moved; what stayed has its token.
    for n in names[:8]:
        assert after[n].items() <= before[n].items()
    for slot, token in after[names[8]].items():
        assert token > max(t for n in names[:8] for t in before[n].values())


def test_nobody_takes_more_than_its_share_or_what_is_held(r):
    beat(r, "a", "b")
    assert len(share(r, "a")[2]) == 128
    quota, wait, mine = share(r, "a")
    assert (quota, wait, len(mine)) == (128, 0, 128)
    assert r.hget(HASH, "=free") == "128"
    b = share(r, "b")[2]
    assert len(b) == 128 and not b.keys() & mine.keys()


def test_a_worker_that_was_taken_off_the_list_loses_its_slots_at_once(r):
    beat(r, "a", "b")
    held = settle(r, ["a", "b"])
    r.zrem(TEAM, "b")
    quota, wait, mine = share(r, "a")
    assert (quota, wait, len(mine)) == (SLOTS, 0, SLOTS)
    assert held["a"].items() <= mine.items()
    for slot, token in held["b"].items():
        assert mine[slot] > token
    # The dead one is answered, and gets nothing.
    assert share(r, "b")[2] == {}
    # It gives back what is not its own any more: nothing happens.
    assert share(r, "b", back=held["b"])[2] == {}
    assert share(r, "a")[2] == mine


def test_a_lease_that_runs_out_frees_the_slots(r):
    beat(r, "a", "b")
    held = settle(r, ["a", "b"])
    r.zadd(TEAM, {"b": now_ms(r) + 400})
    r.zadd(TEAM, {"c": now_ms(r) + 60000})
    quota, wait, mine = share(r, "c")
    assert quota == 86 and mine == {} and 0 < wait <= 401
    time.sleep(wait / 1000)
    quota, wait, mine = share(r, "c")
    assert (quota, wait, len(mine)) == (128, 0, 128)
    assert mine.keys() == held["b"].keys()
    assert share(r, "b")[2] == {}


def test_who_comes_back_keeps_what_nobody_has_taken(r):
    beat(r, "a", "b")
    held = settle(r, ["a", "b"])
    r.zadd(TEAM, {"b": now_ms(r) - 1})
    assert share(r, "b")[2] == held["b"]
    # It is not alive, so it takes nothing even where something is free.
    one = dict([list(held["b"].items())[0]])
    assert len(share(r, "b", back=one)[2]) == 127
    assert len(share(r, "b")[2]) == 127
    beat(r, "b")
    again = share(r, "b")[2]
    assert again.keys() == held["b"].keys()
    slot, token = one.popitem()
    assert again.pop(slot) > token
    assert again.items() <= held["b"].items()


def test_no_lease_runs_out_while_redis_was_away(r):
    beat(r, "a", "b", "gone")
    held = settle(r, ["a", "b", "gone"])
    now = now_ms(r)
    old = {"a": now - 5000, "b": now - 5000, "=beat": now - 2 * LEASE}
    r.zadd(TEAM, old)
    r.zrem(TEAM, "gone")
    # Before the first beat after it: nobody has died of time.
    r.zadd(TEAM, {"a": now + 5000})
    quota, wait, mine = share(r, "a")
    assert quota == 128
    assert held["a"].items() <= mine.items()
    assert not mine.keys() & held["b"].keys()
    # After it the same, for one lease; who was taken off is another matter.
    beat(r, "a")
    quota, wait, mine = share(r, "a")
    assert quota == 128 and len(mine) == 128
    assert mine.keys() <= held["a"].keys() | held["gone"].keys()
    beat(r, "c")
    quota, wait, mine = share(r, "c")
    assert quota == 86 and len(mine) == SLOTS - 128 - len(held["b"])
    assert LEASE - 1000 < wait <= LEASE + 1
    r.zincrby(TEAM, -LEASE, "=since")
    quota, wait, mine = share(r, "c")
    assert quota == 128 and mine.keys() >= held["b"].keys()


def test_a_repeated_call_changes_nothing(r):
    beat(r, "a", "b")
    a = share(r, "a")
    before = r.hgetall(HASH)
    for dice in range(5):
        assert share(r, "a", dice=dice) == a
    b = share(r, "b")
    three = dict(list(b[2].items())[:3])
    beat(r, "c")
    first = share(r, "b", back=three)
    now = r.hgetall(HASH)
    assert len(first[2]) == 125 and share(r, "b", back=three) == first
    assert r.hgetall(HASH) == now
    assert before.items() & now.items()


def test_what_changes_nothing_rings_no_bell(r, server):
    beat(r, "a", "b", "c")
    settle(r, ["a", "b", "c"])
    r.config_resetstat()
    for n in "abc":
        share(r, n)
    assert "cmdstat_hset" not in r.info("commandstats")


def test_a_late_request_cannot_give_back_what_was_taken_after_it(r):
    beat(r, "a")
    old = share(r, "a")[2]
    one = dict([list(old.items())[0]])
    new = share(r, "a", back=one)[2]
    slot, = one
    assert new[slot] > one[slot]
    assert share(r, "a", back=one)[2] == new


def test_only_what_is_ours_is_given_back(r):
    beat(r, "a", "b")
    held = settle(r, ["a", "b"])
    wrong = {**held["b"], 999: 1, **{s: t + 1 for s, t in held["a"].items()}}
    assert share(r, "a", back=wrong)[2] == held["a"]
    assert share(r, "b")[2] == held["b"]


def test_tokens_grow_even_where_the_hash_was_deleted(r):
    beat(r, "a", "b")
    held = settle(r, ["a", "b"])
    last = int(r.hget(HASH, "=token"))
    assert last == max(t for m in held.values() for t in m.values())
    assert len({t for m in held.values() for t in m.values()}) == SLOTS
    r.delete(HASH)
    again = settle(r, ["b", "a"])
    assert min(t for m in again.values() for t in m.values()) > last
    # A clock that was set back does not make them smaller either.
    ahead = int(time.time() * 1e6) + 10**15
    r.hset(HASH, "=token", ahead)
    r.zrem(TEAM, "b")
    mine = share(r, "a")[2]
    assert sorted(mine[s] for s in again["b"]) == [
        ahead + i for i in range(1, 129)]


def test_a_seat_gets_its_old_slots_again(r):
    seats = [f"my.node:{n}" for n in range(4)]
    names = [f"{s}.old" for s in seats]
    beat(r, *names)
    held = settle(r, names)
    # One left in peace, one was killed.
    share(r, names[1], want=0, back=held[names[1]])
    r.zrem(TEAM, names[1], names[2])
    beat(r, "my.node:2.new", "my.node:1.new")
    assert share(r, "my.node:2.new")[2].keys() == held[names[2]].keys()
    assert share(r, "my.node:1.new")[2].keys() == held[names[1]].keys()


def test_free_slots_are_taken_at_random(r):
    taken = []
    for dice in range(3):
        r.delete(HASH)
        beat(r, "a", "b", "c", "d")
        taken.append(tuple(share(r, "a", dice=dice)[2]))
    assert len(set(taken)) == 3
    assert all(t[-1] > 128 and t[0] < 128 for t in taken)


def test_who_leaves_does_not_count_but_keeps_what_it_has(r):
    beat(r, "a", "b", "c", "d")
    held = settle(r, "abcd")
    quota, wait, mine = share(r, "d", want=0)
    assert wait == 0 and mine == held["d"]
    assert r.hget(HASH, "=quota") == "86"
    assert share(r, "a")[2] == held["a"]
    # What it gives back is taken while it is still there.
    few = dict(list(mine.items())[:5])
    assert len(share(r, "d", want=0, back=few)[2]) == 59
    assert r.hget(HASH, "=free") == "5"
    assert share(r, "a")[2].keys() == held["a"].keys() | few.keys()
    assert r.hget(HASH, "=free") == "0"
    share(r, "d", want=0, back=mine)
    assert settle(r, "abc").keys() == set("abc")
    assert r.hget(HASH, "=leaving") == "d"
    r.zrem(TEAM, "d")
    share(r, "a")
    assert r.hget(HASH, "=leaving") == ""
    # All leave at once.
    assert share(r, "a", want=0)[0] == 128
    assert share(r, "b", want=0)[0] == SLOTS
    assert share(r, "c", want=0)[0] == SLOTS


def test_more_members_than_slots(r):
    names = [name(n) for n in range(10)]
    beat(r, *names)
    held = settle(r, names, slots=4)
    assert sorted(map(len, held.values())) == [0] * 6 + [1] * 4
    assert share(r, names[9], slots=4)[:1] == (1,)


def test_very_many_slots(r):
    beat(r, "a")
    mine = share(r, "a", slots=65536)[2]
    assert len(mine) == 65536
    beat(r, "b")
    back = surplus(mine, 32768)
    assert len(share(r, "a", slots=65536, back=back)[2]) == 32768
    assert share(r, "b", slots=65536)[2].keys() == back.keys()


def test_foreign_fields_do_no_harm(r):
    beat(r, "a")
    r.hset(HASH, mapping={"0": "nonsense", "1": "", "x": "1 a", "999": "5 a",
                          "-1": "5 a", "1.5": "5 a", "2": "7 =", "=token": "x",
                          "=leaving": "a a  nobody"})
    quota, wait, mine = share(r, "a")
    assert quota == SLOTS and sorted(mine) == list(range(SLOTS))
    assert share(r, "a") == (quota, wait, mine)


def test_a_look_costs_a_few_hundred_microseconds(r):
    names = [name(n) for n in range(8)]
    beat(r, *names)
    settle(r, names)
    best = 1e9
    for _ in range(5):
        r.config_resetstat()
        for n in names * 5:
            share(r, n)
        stat = r.info("commandstats")["cmdstat_eval"]
        best = min(best, stat["usec_per_call"])
    assert best < 1500
