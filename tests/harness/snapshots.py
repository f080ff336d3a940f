"""Data directories written by hand, for states that no client can bring about in a test's time."""

import struct
import zlib

from .wire import OPEN_ACL, Writer

LIST = 1


def node(path, cversion=0, acl=LIST, data=b""):
    """A znode as snapshots store it: path, data, the number of its list, and what a stat keeps."""
    return bytes(Writer().ustring(path).buffer(data).long(acl).bytes) + struct.pack(">qqqqiiiqq", 1, 1, 0, 0, 0, cversion, 0, 0, 1)


def write_snapshot(data_dir, zxid, nodes):
    """The first nodes of a server and these; without a digest, as servers before 3.6 wrote them."""
    head = Writer().int(0x5A4B534E).int(2).long(-1)  # "ZKSN", format, database.
    head.int(0)  # Sessions.
    head.int(1).long(LIST).acl(OPEN_ACL)
    first = [node(path) for path in ("", "/zookeeper", "/zookeeper/config", "/zookeeper/quota")]
    body = bytes(head.bytes) + b"".join([*first, *nodes]) + bytes(Writer().ustring("/").bytes)
    folder = data_dir / "version-2"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"snapshot.{zxid:x}").write_bytes(body + bytes(Writer().long(zlib.adler32(body)).ustring("/").bytes))
