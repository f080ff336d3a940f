"""A whole server as one value: every node with data, stat and ACL, the sessions, the last zxid.

Read as the super user, so that no ACL hides anything; the form is that of the golden `tree.json`.
"""

import base64
import json
import re

from . import wire
from .servers import SUPER_AUTH, four_letter_word

# Requests on their way at once: enough to hide the way there and back, few enough to fit into socket buffers.
PIPELINED_MAX = 64


def dump_tree(port):
    """{zxid, nodes: [{path, data, stat, acl}], sessions: [id], zxid_after} of a standalone server; nodes sorted by path.

    `zxid` and `sessions` are taken before the reading session connects; opening and closing it takes two more zxids, and
    `zxid_after` is what they lead to.
    """
    zxid = last_zxid(port)
    sessions = session_ids(port)
    session = wire.Session(port)
    assert session.auth(*SUPER_AUTH).err == 0
    nodes = read_nodes(session, sorted(all_paths(session)))
    session.end()
    return {"zxid": zxid, "sessions": sessions, "nodes": nodes, "zxid_after": last_zxid(port)}


def last_zxid(port):
    """The last zxid as `srvr` shows it."""
    return int(re.search(r"Zxid: (0x[0-9a-f]+)", four_letter_word(port, "srvr")).group(1), 16)


def session_ids(port):
    """Ids of all live sessions, as `dump` shows them."""
    text = four_letter_word(port, "dump")
    tracker = text.split("ephemeral nodes dump:")[0]
    return sorted(set(re.findall(r"0x[0-9a-f]+", tracker)))


def ask_all(session, requests):
    """Readers of the replies to all (opcode, body), pipelined, in order; none may be refused."""
    requests = list(requests)
    for start in range(0, len(requests), PIPELINED_MAX):
        some = requests[start:start + PIPELINED_MAX]
        for opcode, body in some:
            session.submit(opcode, body)
        for opcode, body in some:
            reply = session.reply()
            assert reply is not None and reply.err == 0, f"{opcode} {bytes(body)}: {reply}"
            yield reply.reader()


def all_paths(session):
    """Every path, the parents first."""
    level = ["/"]
    while level:
        yield from level
        requests = [(wire.GET_CHILDREN, wire.Writer().ustring(path).boolean(False).bytes) for path in level]
        below = []
        for path, reader in zip(level, ask_all(session, requests)):
            base = "" if path == "/" else path
            below.extend(f"{base}/{name}" for name in reader.vector(reader.ustring))
        level = below


def read_nodes(session, paths):
    """Nodes in the form of `tree.json`."""
    requests = []
    for path in paths:
        requests.append((wire.GET_DATA, wire.Writer().ustring(path).boolean(False).bytes))
        requests.append((wire.GET_ACL, wire.Writer().ustring(path).bytes))
    readers = ask_all(session, requests)
    nodes = []
    for path in paths:
        reader = next(readers)
        data, stat = reader.buffer(), reader.stat()
        reader = next(readers)
        acl = reader.vector(reader.acl)
        assert reader.stat() == stat, f"{path} changed while it was read"
        nodes.append({
            "path": path,
            "data": None if data is None else base64.b64encode(data).decode(),
            "stat": stat,
            "acl": [list(entry) for entry in acl],
        })
    return nodes


def from_golden(text):
    """A golden `tree.json` in the form of `dump_tree`."""
    tree = json.loads(text)
    return {
        "zxid": tree["zxid_dec"],
        "sessions": sorted(session["id"] for session in tree["sessions"]),
        "nodes": [{**node, "acl": [[acl["perms"], acl["scheme"], acl["id"]] for acl in node["acl"]]} for node in tree["nodes"]],
    }


def differences(expected, actual, limit=20):
    """What differs between two dumps, one line each: empty when they are equal."""
    lines = []
    for key in ("zxid", "sessions"):
        if expected.get(key) != actual.get(key):
            lines.append(f"{key}: expected {expected.get(key)}, got {actual.get(key)}")
    left = {node["path"]: node for node in expected["nodes"]}
    right = {node["path"]: node for node in actual["nodes"]}
    lines += [f"{path}: missing" for path in sorted(left.keys() - right.keys())]
    lines += [f"{path}: not expected" for path in sorted(right.keys() - left.keys())]
    for path in sorted(left.keys() & right.keys()):
        for key in ("data", "acl"):
            if left[path][key] != right[path][key]:
                lines.append(f"{path} {key}: expected {shorten(left[path][key])}, got {shorten(right[path][key])}")
        for field in wire.STAT_FIELDS:
            if left[path]["stat"][field] != right[path]["stat"][field]:
                lines.append(f"{path} {field}: expected {left[path]['stat'][field]}, got {right[path]['stat'][field]}")
    return lines[:limit] + ([f"... {len(lines) - limit} more"] if len(lines) > limit else [])


def shorten(value, length=80):
    """A value that fits into a failure message."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}... ({len(text)})"
