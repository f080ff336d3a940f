#!/usr/bin/env python3
"""Makes what fuzzing begins with: seeds.py <folder> writes <folder>/<target>/ and <folder>/<target>.dict.

Frames, logs and snapshots are those of real servers in tests/data/golden, cut into pieces that a fuzzer
can work with, and a few that are made here; seeds/ holds what once failed.
"""

import json
import re
import shutil
import struct
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "tests/data/golden"
LOG_HEADER = 16
FRAME_BEFORE = 12
CLIENTS = 4
# Actions of the target `replica`.
SYNC, PASS_TIME, REAP, SNAPSHOT, RESTART = 8, 9 | 7 << 4, 12, 14, 15


def exchanges():
    """The captures, one list of exchanges per server version."""
    for capture in sorted(GOLDEN.glob("*/wire.jsonl")):
        yield [json.loads(line) for line in capture.read_text().splitlines()]


def unframed(data: bytes):
    """The frames in bytes, without their lengths."""
    while len(data) >= 4:
        length = int.from_bytes(data[:4], "big")
        yield data[4 : 4 + length]
        data = data[4 + length :]


def is_word(request: bytes) -> bool:
    return request[:4].isalpha()


def client_frames():
    for exchange in exchanges():
        for one in exchange:
            for field in ("request_hex", "response_hex", "events_hex"):
                texts = one.get(field) or []
                for text in [texts] if isinstance(texts, str) else texts:
                    data = bytes.fromhex(text)
                    if not is_word(data):
                        yield from unframed(data)


def records(log: bytes):
    at = LOG_HEADER
    while at + FRAME_BEFORE <= len(log):
        (length,) = struct.unpack_from(">i", log, at + 8)
        if length <= 0:
            return
        yield log[at : at + FRAME_BEFORE + length + 1]
        at += FRAME_BEFORE + length + 1


def ustring(text: str) -> bytes:
    return struct.pack(">i", len(text)) + text.encode()


def multi(*kinds: int) -> bytes:
    """A log of one multi, of what belongs into one or of what does not."""
    bodies = {
        1: ustring("/m") + struct.pack(">ii?i", -1, 0, False, 1),
        2: ustring("/m"),
        5: ustring("/m") + ustring("data") + struct.pack(">i", 1),
        13: ustring("/m") + struct.pack(">i", 2),
        -1: struct.pack(">i", -101),
        -10: struct.pack(">i", 4000),
        -11: struct.pack(">i", 0),
        14: struct.pack(">i", 0),
    }
    parts = b"".join(struct.pack(">ii", kind, len(bodies[kind])) + bodies[kind] for kind in kinds)
    entry = struct.pack(">qiqqi", 1, 1, 1, 1, 14) + struct.pack(">i", len(kinds)) + parts
    frame = struct.pack(">qi", zlib.adler32(entry), len(entry)) + entry + b"B"
    return b"ZKLG" + struct.pack(">iq", 2, 0) + frame


def transaction_log():
    yield multi(1, 5, 13, 2)
    yield multi(1, -1, -1)
    for kind in (-10, -11, 14):
        yield multi(1, kind)
    for path in sorted(GOLDEN.glob("**/version-2/log.*")):
        log = path.read_bytes()
        every = list(records(log))
        for begin in range(0, len(every), 6):
            window = b"".join(every[begin : begin + 6])
            yield log[:LOG_HEADER] + window
            if begin >= 60:
                break
        # The end of a log with room taken ahead.
        yield log[: LOG_HEADER + len(b"".join(every[:2])) + 64]


def snapshot():
    ways = {"": 0, ".gz": 1, ".snappy": 2}
    for path in sorted(GOLDEN.glob("**/version-2/snapshot.*")):
        content = path.read_bytes()
        way = ways[path.suffix if path.suffix in ways else ""]
        if len(content) <= 16 << 10:
            yield bytes([way | 3 << 2]) + content


def config():
    for path in sorted(GOLDEN.glob("**/zoo.cfg*")):
        yield path.read_bytes()
    rows = re.findall(r"^\| `([A-Za-z0-9.]+)[^`]*` \| `?([^`| ]*)", manual(), re.MULTILINE)
    for begin in range(0, len(rows), 12):
        some = rows[begin : begin + 12]
        lines = [f"{key}={value if value not in ('none', 'required') else 1}" for key, value in some]
        base = ["dataDir=/d", "clientPort=2181"]
        yield "\n".join(base + lines).encode()
        yield "\0".join(["\n".join(base), "", "", *(f"-D{line}" for line in lines), "/zoo.cfg"]).encode()
    yield b"\0\0-Xmx1g -Djute.maxbuffer=0x100000\0server\0--data-dir=/d\0--clientPort\0002181"
    yield b"\0\0\x002181\0/d\x002000\x0060"
    dynamic = next(GOLDEN.glob("**/zoo.cfg.dynamic")).read_bytes()
    yield b"dataDir=/d\nclientPort=2181\ndynamicConfigFile=/d/zoo.cfg.dynamic\n\0" + dynamic


def manual() -> str:
    return (HERE.parent / "docs/configuration.md").read_text()


def config_dictionary() -> str:
    words = set(re.findall(r"^\| `([A-Za-z0-9.]+)", manual(), re.MULTILINE))
    words |= {"true", "false", "server.1=", "group.1=", "weight.1=", "participant", "observer", "0x", "\\\\u00"}
    return "".join(f'"{word}"\n' for word in sorted(words))


# Operations and kinds of transactions, which the bytes around them say little about.
CODES = [-11, -10, -1, *range(1, 23), *range(100, 108)]


def codes_dictionary() -> str:
    words = (struct.pack(">i", code) for code in CODES)
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)


def client_of(name: str) -> int:
    return 0 if name == "A" else 1 + sum(name.encode()) % (CLIENTS - 1)


def action(client: int, frame: bytes) -> bytes:
    return bytes([client << 4]) + struct.pack(">H", len(frame)) + frame


def connect(session: int) -> bytes:
    return struct.pack(">iqiqi", 0, 0, 10_000, session, 16) + bytes(17)


def create(path: str, data: str, flags: int = 0) -> bytes:
    acl = struct.pack(">ii", 1, 31) + ustring("world") + ustring("anyone")
    return struct.pack(">ii", 7, 1) + ustring(path) + ustring(data) + acl + struct.pack(">i", flags)


def sessions_and_quotas():
    """A session that another connection resumes, and one that expires; a quota that a part of the tree reaches."""
    yield b"".join([
        action(0, connect(0)), bytes([SYNC]), action(0, create("/e", "", 1)), bytes([SYNC, 13]),
        action(1, connect(1)), action(1, create("/f", "", 1)), bytes([SYNC]), action(2, connect(1)),
        action(3, connect(2)), bytes([PASS_TIME, SYNC, SNAPSHOT, RESTART]),
    ])  # fmt: skip
    paths = ["/zookeeper/quota/q", "/q", "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"]
    creates = [action(0, create(path, "count=2,bytes=-1=;byteHardLimit=9;countHardLimit=2")) for path in paths]
    below = [action(0, create(f"/q/{name}", "1234")) for name in "abc"]
    yield b"".join([action(0, connect(0)), bytes([SYNC]), *creates, *below, bytes([SYNC, SNAPSHOT, SNAPSHOT, RESTART])])


def many_watchers():
    """An event that several connections hear, one of them in the answer's own batch."""
    exists = struct.pack(">ii", 8, 3) + ustring("/w") + b"\1"
    watchers = [action(client, connect(0)) + bytes([SYNC]) + action(client, exists) for client in range(CLIENTS)]
    yield b"".join([*watchers, action(0, create("/w", "")), bytes([SYNC, RESTART])])


def replica():
    yield from sessions_and_quotas()
    yield from many_watchers()
    for exchange in exchanges():
        steps, first = [], None
        for one in exchange:
            request = bytes.fromhex(one["request_hex"] or "")
            if not request or is_word(request):
                continue
            frames = list(unframed(request))
            if one["name"].startswith("connect"):
                steps.append(bytes([13 | client_of(one["conn"]) << 4]))
            if one["name"] == "connect_new":
                first = action(0, frames[0]) + bytes([SYNC])
            steps += [action(client_of(one["conn"]), frame) + bytes([SYNC]) for frame in frames]
        yield b"".join(steps)
        yield b"".join(step.removesuffix(bytes([SYNC])) for step in steps) + bytes([SYNC])
        for begin in range(0, len(steps), 8):
            window = steps[begin : begin + 8]
            end = bytes([SNAPSHOT, PASS_TIME, SYNC, REAP, SNAPSHOT, SNAPSHOT, SYNC, RESTART])
            yield first + b"".join(window) + end


def connection():
    for exchange in exchanges():
        requests = [bytes.fromhex(one["request_hex"] or "") for one in exchange]
        first = next(r for one, r in zip(exchange, requests) if one["name"] == "connect_new")
        for begin in range(0, len(requests), 4):
            window = [r for r in requests[begin : begin + 4] if not is_word(r)]
            yield bytes([49]) + first + b"".join(window)
        for request in requests[:10]:
            yield bytes([2]) + request
    words = "conf cons crst dirs dump envi gtmk hash isro mntr ruok srst srvr stat wchc wchp wchs"
    for word in words.split():
        yield bytes([4]) + word.encode()
    yield bytes([8]) + b"stmk" + bytes(range(8))
    yield bytes([4]) + b"stmk123"
    yield bytes([1]) + b"\xff\xf4\xff\xfd"


def captured_packets():
    """What servers said to each other: (decoder of the target, bytes)."""
    for capture in sorted(GOLDEN.glob("zab-*/*.jsonl")):
        for line in capture.read_text().splitlines():
            packet = json.loads(line)
            data = bytes.fromhex(packet.get("hex") or "")
            if not data:
                continue
            if packet["port"] == "election":
                yield (3, data) if packet["kind"] == "INITIAL" else (2, data[4:])
            elif "signature" in packet:
                yield 5, data
            else:
                yield 0 if packet["dir"] == "listener->dialer" else 1, data


def quorum_packets():
    yield bytes([4]) + b"server.1=a:1:2:participant;0.0.0.0:3|b:1:2\ngroup.1=1\nweight.1=2\nversion=100000001"
    kinds = set()
    for decoder, data in captured_packets():
        kind = (decoder, data[:4], len(data).bit_length())
        if kind not in kinds:
            kinds.add(kind)
            yield bytes([decoder]) + data[:4000]


def main(folder: Path):
    shutil.rmtree(folder, ignore_errors=True)
    for seeds in (client_frames, quorum_packets, transaction_log, snapshot, config, replica, connection):
        into = folder / seeds.__name__
        into.mkdir(parents=True)
        for number, seed in enumerate(dict.fromkeys(seeds())):
            (into / f"golden-{number:03}").write_bytes(seed)
        for path in sorted((HERE / "seeds" / seeds.__name__).glob("*")):
            shutil.copy(path, into / path.name)
    (folder / "config.dict").write_text(config_dictionary())
    for target in ("client_frames", "transaction_log", "replica", "connection"):
        (folder / f"{target}.dict").write_text(codes_dictionary())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
