"""What a storm excuses Java for is found in its files and words, and only that."""

from harness.places import GOLDEN

from . import java_log, members

VERSION_2 = GOLDEN / "java-3.8.0" / "fuzzy" / "version-2"


def without(log, left_out, target):
    """A copy of a log that lacks some records."""
    data, offset = log.read_bytes(), java_log.FILE_HEADER_BYTES
    kept = [data[:offset]]
    for number, _ in enumerate(java_log.zxids(log)):
        _, length = java_log.RECORD_HEADER.unpack_from(data, offset)
        end = offset + java_log.RECORD_HEADER.size + length + 1
        if number not in left_out:
            kept.append(data[offset:end])
        offset = end
    target.write_bytes(b"".join([*kept, data[offset:]]))


def test_records_that_a_log_lacks_are_a_hole(tmp_path):
    """Unless a leader's snapshot brought them."""
    assert java_log.holes(VERSION_2) == []
    log = VERSION_2 / "log.64e"
    there = list(java_log.zxids(log))
    assert there == list(range(0x64e, 0x64e + len(there))) and len(there) > 10
    without(log, range(3, 7), tmp_path / log.name)
    assert java_log.holes(tmp_path) == [(there[2], there[7])]
    (tmp_path / f"snapshot.{there[5]:x}").touch()
    (tmp_path / f"snapshot.{there[6]:x}.tmp").touch()
    assert java_log.holes(tmp_path) == [(there[2], there[7])], "it ends within the hole"
    (tmp_path / f"snapshot.{there[6]:x}").touch()
    assert java_log.holes(tmp_path) == []


def test_a_log_that_is_being_written_ends_where_it_does(tmp_path):
    log = VERSION_2 / "log.64e"
    (tmp_path / log.name).write_bytes(log.read_bytes()[:1000])
    there = list(java_log.zxids(tmp_path / log.name))
    assert there and there == list(java_log.zxids(log))[:len(there)]
    assert java_log.holes(tmp_path) == []


def test_the_writers_end_is_known_by_its_words():
    """As Java 3.8.0 said it in a storm."""
    said = (
        "[SyncThread:3] ERROR org.apache.zookeeper.server.ZooKeeperCriticalThread - "
        "Severe unrecoverable error, from thread : SyncThread:3\n"
        'java.lang.NullPointerException: Cannot invoke "java.net.Socket.isClosed()" because "this.learner.sock" is null\n'
        "\tat org.apache.zookeeper.server.quorum.SendAckRequestProcessor.flush(SendAckRequestProcessor.java:67)\n")
    assert java_log.LOG_WRITER_ENDED.search(said)
    assert not java_log.LOG_WRITER_ENDED.search(said.replace("NullPointerException", "OutOfMemoryError"))


def test_a_doubt_counts_unless_its_record_was_written_twice():
    log = "[SyncThread:3] WARN org.[...].FileTxnLog - Current zxid 188978561025 is <= 188978561071 for create\n"
    doubt = "[main] WARN org.[...].DataTree - [43 times] Message: Digests are not matching. Value is Zxid. Last value:{}"
    first = "[main] ERROR org.[...].DataTree - First digest mismatch on txn: 72060175575285760,5905,{},1795652080082,1"
    for line in (doubt, first):
        assert java_log.is_written_twice(line.format(188978561025), log)
        assert java_log.is_written_twice(line.format(188978561071), log)
        assert not java_log.is_written_twice(line.format(188978561024), log)
        assert not java_log.is_written_twice(line.format(188978561072), log)
        assert not java_log.is_written_twice(line.format(188978561025), "")
    assert not java_log.is_written_twice("Digests are not matching: DigestMismatch { zxid: Zxid(188978561025) }", log)


def test_an_epoch_that_was_not_written_is_known_by_its_words():
    """As Java 3.9.5 said it in a storm."""
    said = "Caused by: java.io.IOException: The current epoch, 45, is older than the last zxid, 300647710807\n"
    assert int(java_log.EPOCH_LEFT_BEHIND.search(said).group(1)) >> 32 == 0x46


def test_a_role_ends_before_the_next_election():
    ends, looks = "[...] INFO org.[...].ZooKeeperServer - shutting down", "[...] INFO org.[...].QuorumPeer - LOOKING"
    starts = "[main] INFO org.[...].QuorumPeerConfig - Reading configuration from: zoo.cfg"
    assert [java_log.is_ending_role(line, False) for line in (ends, looks, starts, "")] == [True, False, False, False]
    assert [java_log.is_ending_role(line, True) for line in (ends, looks, starts, "")] == [True, False, False, True]


def test_the_thread_that_outlives_its_role_proves_nothing_until_it_ends(tmp_path):
    """As Java 3.9.5 said it behind a pause: the log is read into the tree that the thread is still at."""
    ends, exits = "[...] INFO org.[...].CommitProcessor - Shutting down", "[...] INFO org.[...].CommitProcessor - CommitProcessor exited loop!"
    looks = "[...] INFO org.[...].QuorumPeer - LOOKING"
    doubt = "[CommitProcessor:1] WARN org.[...].DataTree - Message:Digests are not matching. Value is Zxid. Value:4294967497"
    other = doubt.replace("CommitProcessor:1", "main")
    ensemble = members.Ensemble(["java395"], tmp_path, is_started=False)
    with ensemble:
        assert ensemble.complaints("\n".join([doubt, ends, looks, doubt, other, exits, doubt])) == [doubt, other, doubt]


def test_a_snapshot_of_a_java_leader_is_known_behind_a_proxy(tmp_path):
    """The stream that a Java leader sends holds more than it says, and the digests behind it prove nothing."""
    log = (
        "[...] Successfully connected to leader, using address: /127.0.0.1:{}\n"
        "[...] Getting a snapshot from leader 0x2c0000003f\n"
        "[...] Message:Digests are not matching. Value is Zxid. Value:188978561085\n")
    with members.Ensemble(["java395", "zabd", "java395"], tmp_path, has_network=True, is_started=False) as ensemble:
        quorum_port = {leader: ensemble.network.address(3, leader)[0] for leader in (1, 2)}
        assert ensemble.complaints(log.format(quorum_port[1])) == []
        assert len(ensemble.complaints(log.format(quorum_port[2]))) == 1
