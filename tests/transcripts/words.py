"""Every four-letter word, asked while there is something to tell: sessions, ephemerals, watches of every kind.

Figures that follow from what was done stay; those that measure the machine or the moment become `#`.
"""

import re

from harness import wire
from harness.servers import four_letter_bytes, four_letter_word

from .programs import indented_sorted

WORDS = (
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "ruok", "srvr", "stat", "wchc", "wchp", "wchs", "isro", "hash",
    "srst")
LATENCIES = re.compile(r"(est|lresp|llat|minlat|avglat|maxlat)=\d+(\.\d+)?")


def transcript(server, normaliser):
    """Lines of all words, each under its name."""
    four_letter_word(server.port, "srst")
    four_letter_word(server.port, "crst")
    sessions = populate(server.port)
    normaliser.know(session.session_id for session in sessions)
    lines = []
    for word in WORDS:
        text = normaliser.text(four_letter_word(server.port, word))
        lines += [f"--- {word}", *mask(word, text)]
    trace = four_letter_bytes(server.port, b"stmk" + (0b100).to_bytes(8, "big"))
    lines += ["--- stmk", repr(trace), "--- gtmk", four_letter_word(server.port, "gtmk")]
    trace = four_letter_bytes(server.port, b"stmk" + b"\xff" * 8)
    lines += ["--- stmk, all bits", repr(trace), "--- gtmk", four_letter_word(server.port, "gtmk")]
    for odd in (b"ruok\n", b"ruokruok", b"srvr and more", b"RUOK", b"kill", b"reqs", b"\xff\xf4\xff\xfd"):
        lines.append(f"{odd!r}: {mask('srvr', normaliser.text(raw(server.port, odd)))}")
    for session in sessions:
        session.end()
    lines += ["--- after all sessions closed", *mask("dump", normaliser.text(four_letter_word(server.port, "dump")))]
    lines += mask("srvr", normaliser.text(four_letter_word(server.port, "srvr")))
    return lines


def refused(server, normaliser):
    """The words of a server that allows two of them."""
    answers = [(word, normaliser.text(four_letter_word(server.port, word))) for word in (*WORDS, "mntr", "stmk")]
    # How often the server was asked before it served is the harness's affair.
    return [f"{word}: {re.sub('(Received|Sent): [0-9]+', 'X', str(mask(word, text)))}" for word, text in answers]


# What zabd adds to Java's figures; Java's next release has the first ones, too.
OPERATIONS = [
    "add_watch", "check_watches", "close_session", "create", "create_session", "delete", "exists", "get_acl", "get_all_children_number",
    "get_children", "get_data", "get_ephemerals", "multi", "multi_read", "ping", "reconfig", "remove_watches", "set_acl", "set_data",
    "set_watches", "sync", "total", "who_am_i"]
FIGURES_OF_ZABD = [
    *(f"zk_op_count_{name}" for name in OPERATIONS), "zk_ttl_node_created_count", "zk_ttl_node_deleted_count",
    "zk_zabd_audit_lines_lost", "zk_zabd_client_connections_refused", "zk_zabd_log_disk_free_bytes", "zk_zabd_log_lines_lost",
    "zk_zabd_set_aside_directories", "zk_zabd_slow_operations", "zk_zabd_writes_refused"]


def mntr_keys(server):
    """The names of all figures, while every kind of thing was done once."""
    sessions = populate(server.port)
    keys = {line.split("\t")[0] for line in four_letter_word(server.port, "mntr").splitlines()}
    for session in sessions:
        session.end()
    return keys


def raw(port, request):
    try:
        return four_letter_bytes(port, request).decode()
    except ConnectionResetError:
        return ""


def populate(port):
    """Three sessions: one with nodes, one with watches of every kind, an idle one."""
    busy, watcher, idle = wire.Session(port, 20_000), wire.Session(port, 30_000), wire.Session(port, 30_000)
    for path, flags in (("/a", 0), ("/a/b", 0), ("/e1", 1), ("/e2", 1), ("/s-", 3)):
        assert busy.create(path, b"12345", flags).err == 0
    for path in ("/a", "/a/b"):
        assert watcher.call(wire.GET_DATA, wire.Writer().ustring(path).boolean(True).bytes).err == 0
    assert watcher.call(wire.EXISTS, wire.Writer().ustring("/missing").boolean(True).bytes).err == -101
    assert watcher.call(wire.GET_CHILDREN, wire.Writer().ustring("/a").boolean(True).bytes).err == 0
    assert watcher.call(wire.ADD_WATCH, wire.Writer().ustring("/persistent").int(0).bytes).err == 0
    assert watcher.call(wire.ADD_WATCH, wire.Writer().ustring("/recursive").int(1).bytes).err == 0
    assert busy.call(wire.GET_DATA, wire.Writer().ustring("/a").boolean(True).bytes).err == 0
    assert busy.call(wire.DELETE, wire.Writer().ustring("/e2").int(-1).bytes).err == 0
    return busy, watcher, idle


def mask(word, text):
    """One word's answer without measurements, and without the order of Java's hash tables."""
    if word in ("srvr", "stat"):
        text = re.sub(r"(version: ).*", r"\1#", text)
        text = re.sub(r"(Latency min/avg/max: )\d+/\d+\.\d+/\d+", r"\1#/#.#/#", text)
    if word in ("cons", "stat"):
        text = LATENCIES.sub(r"\1=#", text)
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:#", text)
    if word == "dirs" or word == "conf":
        text = re.sub(r"([sS]ize[=:] ?)\d+", r"\1#", text)
    if word == "dump":
        text = re.sub(r"^\d+ expire at", "# expire at", text, flags=re.M)
        text = re.sub(r"(ip: /127\.0\.0\.1:)\d+", r"\1#", text)
        text = re.sub(r"Sets \((\d+)\)/\((\d+)\)", r"Sets (#)/(\2)", text)
        return empty_buckets_removed(text)
    if word in ("wchc", "wchp"):
        return blocks_sorted(text)
    if word == "cons":
        return sorted(text.split("\n"))
    if word == "stat":
        lines = text.split("\n")
        return [lines[0], *sorted(line for line in lines if line.startswith(" /")), *(each for each in lines[1:] if each[:2] != " /")]
    if word == "envi":
        return sorted(line.split("=")[0] for line in text.split("\n"))
    if word == "hash":
        return [re.sub(r"[0-9a-f]+: \d+", "#: #", text)]
    return text.split("\n")


def empty_buckets_removed(text):
    """`dump` without the buckets that hold nothing at this moment; sessions of one bucket sorted."""
    kept, bucket = [], []

    def flush():
        if len(bucket) > 1:
            kept.extend(bucket[1:])
        bucket.clear()

    for line in text.split("\n"):
        if " expire at " in line:
            assert line == "# expire at <time>:", line
            flush()
            bucket.append(line)
        elif line.startswith("\t") and bucket:
            bucket.append(line)
        else:
            flush()
            kept.append(line)
    flush()
    return indented_sorted(kept)


def blocks_sorted(text):
    """Heads with their indented lines, both sorted."""
    blocks = []
    for line in text.split("\n"):
        if line.startswith("\t"):
            blocks[-1][1].append(line)
        else:
            blocks.append((line, []))
    return [part for head, lines in sorted(blocks) for part in (head, *sorted(lines))]
