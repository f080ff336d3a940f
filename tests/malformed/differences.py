"""Where zabd answers malformed input differently from Java 3.9.5, and why. Whatever is not here must be the same.

A row that no case needs, or that a case contradicts, fails the suite: this table cannot outlive what it describes.
"""

import re
from dataclasses import dataclass


@dataclass
class Difference:
    """The cases whose names match `pattern` have these two outcomes; `None` is any."""

    pattern: str
    java: object
    zabd: object
    reason: str


def reply(err, xid=1, zxid="zxid", body=""):
    return ("reply", xid, err, zxid, body)


DIFFERENCES = [
    Difference(
        r"handshake_bytes_behind\[1048530\]|handshake_zeros\[1048575\]", None, ["closed"],
        "a request for a session has 64 KiB at most; Java keeps a megabyte for whoever connects"),
    Difference(
        r"opcode\[-10\]", None, [reply(-6, zxid=-1), "closed"],
        "createSession is for servers; Java runs it for the session that asks, and answers without a header"),
    Difference(
        r"opcode\[20\]", [reply(-101), "in order"], [reply(-6, zxid=-1), "closed"],
        "deleteContainer is for servers; Java deletes any empty node for any client"),
    Difference(
        r"createContainer with 1 as int 6", [reply(-110)], [reply(-8)],
        "flags that contradict the operation are bad arguments before anything else is looked at"),
    Difference(
        r"multiRead with -1 as int [25]", None, [reply(-5)],
        "a null path: both refuse the request, but Java sends the results of the operations before it"),
    Difference(
        r"setWatches with -1 as int [45]|setWatches2 with -1 as int [89]", None, [reply(-5)],
        "a null path, or no list: zabd refuses the whole request, Java stumbles when it comes to that, if at all"),
    Difference(
        r"many_identities", [20_001, [reply(0, -4, 0), "in order"]], [1001, [reply(-115, -4, 0), "closed"]],
        "a connection has a thousand identities at most, since each is compared with each entry of a list"),
    Difference(
        r"long_identity", [reply(0, -4, 0), "in order"], [reply(-115, -4, 0), "closed"],
        "the names of a connection's identities have 256 KiB together at most: they are kept with each request and each watch"),
    Difference(
        r"long_identities_together", [reply(0, -4, 0)] * 5 + ["in order"],
        [reply(0, -4, 0)] * 2 + [reply(-115, -4, 0), "closed"], "the same, of several names"),
    Difference(
        r"rights_that_grow\[.*\]", None, [reply(-8), "in order"],
        "a record longer than Java can read back is not written; Java writes it and does not start again"),
]


def difference_of(name):
    """The row for a case, or None."""
    rows = [row for row in DIFFERENCES if re.fullmatch(row.pattern, name)]
    assert len(rows) <= 1, f"{name} has two rows"
    return rows[0] if rows else None


def compare(name, java, actual, kind):
    """What is wrong with the two outcomes of a case, or None."""
    row = difference_of(name) if kind == "zabd" else None
    if row is None:
        return None if java == actual else f"{name}:\n  Java 3.9.5  {java}\n  {kind:10}  {actual}"
    if java == actual:
        return f"{name}: is the same in both, and has a row in the table of differences"
    if row.java not in (None, java):
        return f"{name}: Java 3.9.5 does not do what its row says, but {java}"
    if row.zabd != actual:
        return f"{name}: zabd does not do what its row says, but {actual}"
    return None
