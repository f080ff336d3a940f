"""A whole server as one value: every node with data, stat and ACL, the sessions, the last zxid.

Read as the super user, so that no ACL hides anything; the form is that of the golden `tree.json`.
"""

import base64
import json
import re
from collections import deque

from . import wire
from .servers import SUPER_AUTH, four_letter_word


def dump_tree(port):
    """{zxid, nodes: [{path, data, stat, acl}], sessions: [id], zxid_after} of a standalone server; nodes sorted by path.

    `zxid` and `sessions` are taken before the reading session connects; opening and closing it takes two more zxids, and
    `zxid_after` is what they lead to.
    """
    zxid = last_zxid(port)
    sessions = session_ids(port)
    session = wire.Session(port)
    assert session.auth(*SUPER_AUTH).err == 0
    nodes = [read_node(session, path) for path in sorted(all_paths(session))]
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


def all_paths(session):
    """Every path, the parents first."""
    queue = deque(["/"])
    while queue:
        path = queue.popleft()
        yield path
        reply = session.call(wire.GET_CHILDREN, wire.Writer().ustring(path).boolean(False).bytes)
        assert reply.err == 0, f"getChildren {path}: {reply.err}"
        reader = reply.reader()
        base = "" if path == "/" else path
        queue.extend(f"{base}/{name}" for name in reader.vector(reader.ustring))


def read_node(session, path):
    """One node in the form of `tree.json`."""
    reply = session.call(wire.GET_DATA, wire.Writer().ustring(path).boolean(False).bytes)
    assert reply.err == 0, f"getData {path}: {reply.err}"
    reader = reply.reader()
    data, stat = reader.buffer(), reader.stat()
    reply = session.call(wire.GET_ACL, wire.Writer().ustring(path).bytes)
    assert reply.err == 0, f"getACL {path}: {reply.err}"
    reader = reply.reader()
    acl = reader.vector(reader.acl)
    assert reader.stat() == stat, f"{path} changed while it was read"
    return {
        "path": path,
        "data": None if data is None else base64.b64encode(data).decode(),
        "stat": stat,
        "acl": [list(entry) for entry in acl],
    }


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
