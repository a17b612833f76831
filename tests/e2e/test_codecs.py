# SPDX-License-Identifier: MIT
"""Whatever stands in a channel reaches everybody who reads it, in every form,
unaltered: what the gateway stored, and what any other program has XADDed."""
import base64
import json

import pytest

from harness import channel_key, eventually, exec_handler
from peer import BINARY, TEXT, Ext, pack, unpack


def b64(data):
    return base64.b64encode(data).decode()


ALL = bytes(range(256))
NESTED = {"k": [1, -1, 1.5, "é", None, True, {"x": []}], "n": 2**53, "m": -2**63}


class Case:
    """One entry, and how it must look.  fields: as XADDed.  value: in JSON and
    MessagePack alike, unless in_msgpack is given; more: beside it in JSON.
    plain: opcode and bytes, or a value that the text's JSON must have."""

    def __init__(self, name, fields, value, plain, more=None, in_msgpack=...,
                 type_=None, more_msgpack=None):
        self.name = name
        self.fields = [f.encode() if isinstance(f, str) else f for f in fields]
        self.value = value
        self.in_msgpack = value if in_msgpack is ... else in_msgpack
        self.more = more
        self.more_msgpack = more_msgpack
        self.plain = plain
        self.type = type_


def raw(name, fields, data, **more):
    """An entry whose payload is taken as bytes."""
    return Case(name, fields, None, (BINARY, data), more={"data64": b64(data)},
                in_msgpack=data, **more)


CASES = [
    Case("json", ["json", '{"a":1}'], {"a": 1}, (TEXT, b'{"a":1}')),
    Case("json with blanks", ["json", ' {"a" : [1, 2.50] } '], {"a": [1, 2.5]},
         (TEXT, b' {"a" : [1, 2.50] } ')),
    Case("json string", ["json", '"x\\u00e9\\n"'], "xé\n", (TEXT, b'"x\\u00e9\\n"')),
    Case("json number", ["json", "5"], 5, (TEXT, b"5")),
    Case("json null", ["json", "null"], None, (TEXT, b"null")),
    Case("json with type", ["type", "T", "json", "[]"], [], (TEXT, b"[]"), type_="T"),
    Case("type behind", ["json", "[]", "type", "T"], [], (TEXT, b"[]"), type_="T"),
    Case("json with origin", ["type", "Tä", "from", "alice", "key", "k1",
                              "json", "1"], 1, (TEXT, b"1"), type_="Tä",
         more={"from": "alice", "key": "k1"},
         more_msgpack={"from": "alice", "key": "k1"}),
    Case("text", ["text", "plain wörds 😀"], "plain wörds 😀",
         (TEXT, "plain wörds 😀".encode())),
    Case("text with controls", ["text", "a\0b\n\"\\\x7f"], "a\0b\n\"\\\x7f",
         (TEXT, b"a\0b\n\"\\\x7f")),
    Case("text like json", ["text", '{"a":1}'], '{"a":1}', (TEXT, b'{"a":1}')),
    Case("empty text", ["text", ""], "", (TEXT, b"")),
    Case("msgpack", ["msgpack", pack(NESTED)], NESTED, (BINARY, pack(NESTED))),
    Case("msgpack with bytes", ["msgpack", pack({"b": ALL})], None,
         (BINARY, pack({"b": ALL})), more={"msgpack64": b64(pack({"b": ALL}))},
         in_msgpack={"b": ALL}),
    Case("msgpack with number keys", ["msgpack", pack({1: 2})], None,
         (BINARY, pack({1: 2})), more={"msgpack64": b64(pack({1: 2}))},
         in_msgpack={1: 2}),
    Case("msgpack extension", ["msgpack", pack(Ext(7, b"abcde"))], None,
         (BINARY, pack(Ext(7, b"abcde"))),
         more={"msgpack64": b64(pack(Ext(7, b"abcde")))},
         in_msgpack=Ext(7, b"abcde")),
    Case("msgpack not a number", ["msgpack", pack(float("inf"))], None,
         (BINARY, pack(float("inf"))),
         more={"msgpack64": b64(pack(float("inf")))}, in_msgpack=float("inf")),
    Case("msgpack big", ["msgpack", pack(2**64 - 1)], 2**64 - 1,
         (BINARY, pack(2**64 - 1))),
    raw("bin", ["bin", ALL], ALL),
    raw("empty bin", ["bin", b""], b""),
    raw("bin that is text", ["type", "T", "bin", b"text"], b"text", type_="T"),
    # Other producers.
    Case("foreign", ["agent", "Firefox", "ip", "10.0.0.1"],
         {"agent": "Firefox", "ip": "10.0.0.1"},
         {"agent": "Firefox", "ip": "10.0.0.1"}),
    Case("foreign with bytes", ["a", "x", "b", ALL],
         {"a": "x", "b": {"data64": b64(ALL)}},
         {"a": "x", "b": {"data64": b64(ALL)}}, in_msgpack={"a": "x", "b": ALL}),
    Case("foreign name twice", ["a", "1", "a", "2"], [["a", "1"], ["a", "2"]],
         [["a", "1"], ["a", "2"]]),
    Case("foreign name of bytes", [b"\xff", "1", "a", b"\xfe"],
         [[{"data64": "/w=="}, "1"], ["a", {"data64": "/g=="}]],
         [[{"data64": "/w=="}, "1"], ["a", {"data64": "/g=="}]],
         in_msgpack=[[b"\xff", "1"], ["a", b"\xfe"]]),
    Case("foreign empty", ["", ""], {"": ""}, {"": ""}),
    Case("foreign with a type", ["type", "T", "n", "1"], {"type": "T", "n": "1"},
         {"type": "T", "n": "1"}, type_=...),
    # What is not what its name says.
    Case("json that is none", ["json", "not json"], "not json", (TEXT, b"not json")),
    Case("json that is empty", ["json", ""], "", (TEXT, b"")),
    Case("json that is two", ["json", "{} {}"], "{} {}", (TEXT, b"{} {}")),
    raw("json that is not UTF-8", ["json", b'"\xff"'], b'"\xff"'),
    raw("text that is not UTF-8", ["text", b"ab\xff"], b"ab\xff"),
    raw("text with a surrogate", ["text", b"\xed\xa0\x80"], b"\xed\xa0\x80"),
    raw("msgpack that is broken", ["msgpack", b"\x92\x01"], b"\x92\x01"),
    raw("msgpack that never was", ["msgpack", b"\xc1"], b"\xc1"),
    raw("msgpack that is two", ["msgpack", b"\x01\x02"], b"\x01\x02"),
    raw("msgpack that is empty", ["msgpack", b""], b""),
    raw("msgpack that promises much", ["msgpack", b"\xdd\xff\xff\xff\xff"],
        b"\xdd\xff\xff\xff\xff"),
    raw("msgpack that is deep", ["msgpack", b"\x91" * 50000], b"\x91" * 50000),
    Case("type that is not UTF-8", ["type", b"\xff", "json", "1"],
         {"type": {"data64": "/w=="}, "json": "1"},
         {"type": {"data64": "/w=="}, "json": "1"},
         in_msgpack={"type": b"\xff", "json": "1"}),
]


@pytest.fixture(scope="module")
def filled(run_once, server, tmp_path_factory):
    """A channel that holds all cases, a gateway, and a worker that notes."""
    notes = tmp_path_factory.mktemp("notes") / "notes"
    store = server.client()
    site = run_once.daemon("--consume", "cases", "--handler",
                           exec_handler("note", notes),
                           redis=server, workers=1)
    ids = [store.execute_command("XADD", channel_key("cases"), "*",
                                 *c.fields).decode() for c in CASES]

    def seen():
        found = [json.loads(line) for line in open(notes, encoding="utf-8")]
        return found if len(found) >= len(CASES) else None
    noted = {m["id"]: m for m in eventually(seen, 20)}
    json_client = run_once.client(site)
    json_client.ok("subscribe", channel="cases", offset="0")
    in_json = json_client.messages("cases", len(CASES))
    pack_client = run_once.client(site, "msgpack")
    pack_client.ok("subscribe", channel="cases", offset="0")
    in_msgpack = pack_client.messages("cases", len(CASES))
    plain_peer = run_once.peer(site, "/ws/cases?offset=0")
    plain = [plain_peer.message() for _ in CASES]
    return {c.name: (ids[i], in_json[i], in_msgpack[i], plain[i],
                     noted.get(ids[i])) for i, c in enumerate(CASES)}


each = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def check_envelope(case, got, more):
    assert got[1] == case.type or case.type is ...
    if more is None:
        assert len(got) == 3 or got[3] in ({}, None), got
    else:
        assert got[3] == more


@each
def test_entry_in_json(filled, case):
    offset, got = filled[case.name][:2]
    assert got[0] == offset
    assert got[2] == case.value and type(got[2]) is type(case.value)
    check_envelope(case, got, case.more)


@each
def test_entry_in_messagepack(filled, case):
    offset, _, got = filled[case.name][:3]
    assert got[0] == offset
    assert got[2] == case.in_msgpack
    assert type(got[2]) is type(case.in_msgpack)
    check_envelope(case, got, case.more_msgpack)


@each
def test_entry_in_plain_mode(filled, case):
    opcode, payload = filled[case.name][3]
    if isinstance(case.plain, tuple):
        assert (opcode, payload) == case.plain
    else:
        assert opcode == TEXT and json.loads(payload) == case.plain


@each
def test_entry_in_an_exec_handler(filled, case):
    offset, *_, got = filled[case.name]
    assert got["event"] == "message" and got["channel"] == "cases"
    assert got["id"] == offset and got["deliveries"] == 1
    assert got.get("type") == case.type or case.type is ...
    more = case.more or {}
    assert got.get("from") == more.get("from")
    if "data64" in more:
        assert got["data64"] == more["data64"] and got.get("data") is None
    elif "msgpack64" in more:
        # JSON cannot say it: the handler gets the bytes, under either name.
        assert more["msgpack64"] in (got.get("msgpack64"), got.get("data64"))
    else:
        assert got["data"] == case.value


# --- what goes in through the gateway ----------------------------------------

def stored(store, channel):
    return [fields for _, fields in store.xrange(channel_key(channel))]


def test_json_client_stores_json_and_bytes(client, store, channel):
    client.ok("publish", channel=channel, data={"a": [1, "é"]}, type="T")
    client.ok("publish", channel=channel, data64=b64(ALL))
    client.ok("publish", channel=channel, data=None)
    client.ok("publish", channel=channel, data="words")
    assert stored(store, channel) == [
        {b"type": b"T", b"json": b'{"a": [1, "\\u00e9"]}'}, {b"bin": ALL},
        {b"json": b"null"}, {b"json": b'"words"'}]


def test_messagepack_client_stores_text_bytes_and_values(run, site, store, channel):
    client = run.client(site, "msgpack")
    values = ["wörds", ALL, {"a": [1, b"\0", None]}, 5, None]
    for v in values:
        client.ok("publish", channel=channel, data=v)
    assert stored(store, channel) == [
        {b"text": "wörds".encode()}, {b"bin": ALL},
        {b"msgpack": pack(values[2])}, {b"msgpack": pack(5)},
        {b"msgpack": pack(None)}]


def test_messagepack_value_is_kept_byte_for_byte(run, site, store, channel):
    """Also where it is not in its shortest form."""
    long_one = bytes.fromhex("ce00000001")
    body = (b"\x84" + pack("id") + pack(1) + pack("do") + pack("publish") +
            pack("channel") + pack(channel) + pack("data") + long_one)
    client = run.client(site, "msgpack")
    client.binary(body)
    client.reply(1)
    assert stored(store, channel) == [{b"msgpack": long_one}]
    client.ok("subscribe", channel=channel)
    client.send(BINARY, body.replace(b"\xa2id\x01", b"\xa2id\x09"))
    while True:
        payload = client.message()[1]
        if "push" in unpack(payload):
            assert long_one in payload
            break


def test_plain_mode_stores_json_text_and_bytes(run, site, store, channel):
    p = run.peer(site, f"/ws/{channel}")
    for opcode, payload in ((TEXT, b'{"a": 1}'), (TEXT, b"words"), (BINARY, ALL)):
        p.send(opcode, payload)
        assert p.message() == (opcode, payload)
    assert stored(store, channel) == [
        {b"json": b'{"a": 1}'}, {b"text": b"words"}, {b"bin": ALL}]


def test_redis_cli_reaches_every_kind_of_subscriber(run, site, server, channel):
    """The line of the design, as an operator types it."""
    clients = [run.client(site), run.client(site, "msgpack")]
    for c in clients:
        c.ok("subscribe", channel=channel)
    p = run.peer(site, f"/ws/{channel}")
    p.text("0")
    assert p.message() == (TEXT, b"0")
    server.cli("XADD", channel_key(channel), "*", "json", '{"a":1}')
    server.cli("XADD", channel_key(channel), "*", "blob", b"\xff\xfe", "n", "1")
    a, b = clients
    assert [m[2] for m in a.messages(channel, 3)] == [
        0, {"a": 1}, {"blob": {"data64": "//4="}, "n": "1"}]
    assert [m[2] for m in b.messages(channel, 3)] == [
        0, {"a": 1}, {"blob": b"\xff\xfe", "n": "1"}]
    assert p.message() == (TEXT, b'{"a":1}')
    assert json.loads(p.message()[1]) == {"blob": {"data64": "//4="}, "n": "1"}


def test_nothing_that_others_write_stops_a_reader(run, site, store, client, channel):
    """Another type of key, a stream deleted and made anew, odd entries."""
    key = channel_key(channel)
    client.ok("subscribe", channel=channel)
    for c in CASES:
        store.execute_command("XADD", key, "*", *c.fields)
    client.messages(channel, len(CASES))
    store.delete(key)
    store.set(key, "not a stream")
    other = f"{channel}-other"
    client.ok("subscribe", channel=other)
    client.ok("publish", channel=other, data=1)
    client.messages(other, 1)
    store.delete(key)
    store.execute_command("XADD", key, "*", "json", '"again"')
    assert client.messages(channel, 1)[0][2] == "again"


def test_echoing_handler_passes_every_form_on(run, server, channel):
    """In by XADD, through an exec handler, out by its emit: the same message."""
    site = run.daemon("--team", "echoers", "--consume", channel, "--handler",
                      exec_handler("echo", f"{channel}-out"),
                      redis=server, workers=1)
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    client.ok("subscribe", channel=f"{channel}-out")
    store = server.client()
    forms = [("json", '{"a":[1,null]}'), ("json", "null"), ("text", "wörds"),
             ("bin", ALL), ("msgpack", pack(NESTED)), ("agent", "x")]
    for name, value in forms:
        store.execute_command("XADD", channel_key(channel), "*", "type", "T",
                              name, value) if name != "agent" else \
            store.execute_command("XADD", channel_key(channel), "*", name, value)
    was = client.messages(channel, len(forms))
    became = client.messages(f"{channel}-out", len(forms))
    assert [m[1:] for m in became] == [m[1:] for m in was]
