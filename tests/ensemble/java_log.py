"""What Java's own mistakes leave in its files, and how it is known that they were its own.

Java 3.8: a follower's log may lack something, or hold it twice.

A follower's log writer acknowledges over the connection to its leader. When the leader goes, the end of the role may take that
connection away in between: the writer ends over a null pointer, with everything that was still to be written, while the tree in
memory has it and the server goes on from there. What comes next is written behind the hole, and nothing is missed before the
server is started again; then it lacks what was acknowledged, and may lead. Or the writer outlives its role and writes what the
tree in memory has not seen: the next leader sends it again, and it is written again. A replay then does twice what it does, and
finds the digests that were right the first time wrong for that long; the tree comes to the same end. And while a role ends, the
log is replayed on the tree to which the role's last commits are still being applied: what is said of digests in between is said
of a record that two threads are at.

ZOOKEEPER-4409 and 4712, mended in 3.9.3 and in no 3.8.

Java 3.9.5: a follower that comes into step with a leader that reigns already logs that epoch's transactions first, and writes
the epoch behind them (ZOOKEEPER-4643). Killed in between it does not start again. What it has logged is committed, so it has
joined that epoch.
"""

import re
import struct

LOG_WRITER_ENDED = re.compile(
    r'Severe unrecoverable error, from thread : SyncThread:\d+\n'
    r'java\.lang\.NullPointerException: Cannot invoke "java\.net\.Socket\.isClosed\(\)" because "this\.learner\.sock" is null')
EPOCH_LEFT_BEHIND = re.compile(r"The current epoch, [0-9a-f]+, is older than the last zxid, (\d+)")
WRITTEN_AGAIN = re.compile(r"FileTxnLog - Current zxid (\d+) is <= (\d+) for ")
DIGEST_AT = re.compile(r"(?:[Vv]alue:|on txn: -?\d+,-?\d+,)(\d+)")
FILE_HEADER_BYTES = 16
RECORD_HEADER = struct.Struct(">qi")
# In a record: session, cxid, then the zxid.
ZXID = struct.Struct(">8x4xq")


def is_written_twice(line, log):
    """Whether this line of a Java server's log doubts the digest of what that log has said to be written again."""
    at = DIGEST_AT.search(line)
    return at is not None and any(
        int(again) <= int(at.group(1)) <= int(written) for again, written in WRITTEN_AGAIN.findall(log))


def is_ending_role(line, was_ending):
    """Whether a server of Java 3.8 is between the end of a role and the next election behind this line; 3.9.5 has other words."""
    if "ZooKeeperServer - shutting down" in line:
        return True
    return was_ending and not line.endswith("QuorumPeer - LOOKING") and "Reading configuration from" not in line


def outlives_role(line, was_outliving):
    """Whether the thread that applies a role's commits is told to end and has not yet, behind this line; the next election may have begun."""
    if line.endswith("CommitProcessor - Shutting down"):
        return True
    return was_outliving and "CommitProcessor exited loop!" not in line and "Reading configuration from" not in line


def zxids(log):
    """The zxids in a log, up to its end or what is being written."""
    with open(log, "rb") as file:
        file.seek(FILE_HEADER_BYTES)
        while len(header := file.read(RECORD_HEADER.size)) == RECORD_HEADER.size:
            _, length = RECORD_HEADER.unpack(header)
            record = file.read(length + 1)
            if length <= 0 or len(record) <= length:
                return
            yield ZXID.unpack_from(record)[0]


def holes(version_2):
    """(last zxid before, first zxid behind) of every hole: within a log an epoch's counter goes on by one, and a new epoch's
    begins with one, but behind a leader's snapshot, which is there under the zxid that it holds."""
    # A snapshot that is being written has one suffix more.
    held = {int(path.suffix[1:], 16) for path in version_2.glob("snapshot.*") if path.suffix != ".tmp"}
    found = []
    for log in sorted(version_2.glob("log.*"), key=lambda path: int(path.suffix[1:], 16)):
        before = None
        for zxid in zxids(log):
            follows = before is None or zxid <= before + 1 or zxid & 0xFFFF_FFFF == 1
            if not follows and zxid - 1 not in held:
                found.append((before, zxid))
            before = zxid
    return found
