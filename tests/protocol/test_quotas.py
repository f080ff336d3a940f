"""Limits of subtrees: where they stand, what counts, and when they bind."""

import re

import pytest

from harness import wire
from harness.servers import Server
from harness.waiting import eventually

from .client import (
    ALL, BAD_ARGUMENTS, BAD_VERSION, CONTAINER, MARSHALLING, NO_AUTH, OK, QUOTA_EXCEEDED, data_body, multi_results)
from .conftest import House, numbers


def set_quota(client, path, limits):
    """What `setquota` of a shell does."""
    at = "/zookeeper/quota"
    for name in path.split("/")[1:]:
        at += f"/{name}"
        client.create(at)
    assert client.create(f"{at}/zookeeper_limits", None if limits is None else limits.encode()).err == OK
    assert client.create(f"{at}/zookeeper_stats", b"count=0,bytes=0").err == OK


def test_a_usage_node_is_answered_as_it_was_asked_for(house):
    client = house.client()
    client.create("/asked", b"1234")
    assert client.create("/zookeeper/quota/asked").err == OK
    for opcode in (wire.CREATE2, wire.CREATE_CONTAINER):
        flags = CONTAINER if opcode == wire.CREATE_CONTAINER else 0
        reader = client.create("/zookeeper/quota/asked/zookeeper_stats", b"x", flags=flags, opcode=opcode).reader()
        assert reader.ustring() and reader.stat()["dataLength"] == 1
        assert usage(client, "/asked").startswith("count=1,bytes=4")
        client.delete("/zookeeper/quota/asked/zookeeper_stats")


def usage(client, path):
    return client.get(f"/zookeeper/quota{path}/zookeeper_stats").reader().buffer().decode()


def hard(count=-1, size=-1):
    """Limits that bind."""
    return f"count=-1,bytes=-1=;byteHardLimit={size};countHardLimit={count}"


def test_usage_counts_nodes_and_bytes_below_and_is_no_transaction(client, home):
    client.set(home, b"12")
    client.create(f"{home}/a", b"345")
    set_quota(client, home, "count=1000,bytes=1000")
    assert usage(client, home) == "count=2,bytes=5"
    stats = f"/zookeeper/quota{home}/zookeeper_stats"
    before = client.stat(stats)
    client.get(stats, True)
    client.create(f"{home}/a/b", b"6")
    client.set(f"{home}/a", b"")
    assert usage(client, home) == "count=3,bytes=3"
    client.delete(f"{home}/a/b")
    assert usage(client, home) == "count=2,bytes=2"
    assert client.stat(stats) == {**before, "dataLength": 15}
    assert client.heard() == []


def test_usage_is_counted_anew_at_start(house_of):
    house = house_of()
    client = house.client()
    client.create("/q", b"12")
    set_quota(client, "/q", "count=10,bytes=10")
    client.create("/q/a", b"345")
    house.server.stop()
    house.server.start()
    assert usage(house.client(), "/q") == "count=2,bytes=5"


def test_a_quota_ends_with_its_limits(client, home):
    set_quota(client, home, "count=1,bytes=-1")
    client.delete(f"/zookeeper/quota{home}/zookeeper_limits")
    client.create(f"{home}/a")
    assert usage(client, home) == "count=1,bytes=0"


def test_without_enforcement_nothing_is_refused(house, client, home):
    set_quota(client, home, hard(1, 1))
    assert client.create(f"{home}/a", b"12345").err == OK
    assert f"Quota exceeded: {home}" not in house.log()


@pytest.fixture(scope="module")
def enforcing_server(kind, tmp_path_factory):
    with Server(kind, tmp_path_factory.mktemp("enforcing"), properties={"enforceQuota": "true"}) as server:
        yield server


@pytest.fixture
def strict(enforcing_server):
    house = House(enforcing_server)
    yield house
    for client in house.clients:
        client.close()


def test_a_hard_limit_of_nodes_binds_creates_only(strict):
    client = strict.client()
    client.create("/n")
    client.create("/n/1", b"1")
    set_quota(client, "/n", hard(count=2))
    assert client.create("/n/2").err == QUOTA_EXCEEDED
    assert client.set("/n/1", b"long data").err == OK
    client.delete("/n/1")
    assert client.create("/n/2").err == OK
    for path in ("/n/3", "/n/2/x"):
        assert client.create(path).err == QUOTA_EXCEEDED
    assert client.create("/n3").err == OK  # Not below.


def test_above_its_limit_a_quota_binds_only_what_makes_it_worse_or_changes_bytes(strict):
    client = strict.client()
    client.create("/over", b"12345678")
    client.create("/over/1", b"1")
    set_quota(client, "/over", hard(count=1, size=4))
    assert client.set("/over", b"abcdefgh").err == OK  # As many bytes as before.
    assert client.set("/over", b"1234567").err == QUOTA_EXCEEDED  # Fewer, and still too many.
    assert client.set("/over", b"").err == OK
    assert client.create("/over/2").err == QUOTA_EXCEEDED
    assert client.delete("/over/1").err == OK


def test_a_hard_limit_of_bytes_binds_by_the_difference(strict):
    client = strict.client()
    client.create("/b", b"12345")
    set_quota(client, "/b", hard(size=10))
    assert client.create("/b/1", b"123456").err == QUOTA_EXCEEDED
    assert client.create("/b/1", b"12345").err == OK
    assert client.create("/b/2").err == OK
    assert client.set("/b", b"123456").err == QUOTA_EXCEEDED
    assert client.set("/b", b"1234").err == OK
    assert client.set("/b/1", b"123456", 7).err == BAD_VERSION
    assert client.set("/b/1", b"1234567", 7).err == QUOTA_EXCEEDED  # Looked at before the version.


def test_the_nearest_quota_counts(strict):
    client = strict.client()
    client.create("/near")
    client.create("/near/er")
    set_quota(client, "/near", hard(count=3))
    set_quota(client, "/near/er", hard(count=3))
    assert client.create("/near/er/1").err == OK
    assert client.create("/near/2").err == OK  # The outer count has not seen what is in the inner one.
    assert usage(client, "/near") == "count=3,bytes=0"


def test_limits_of_nothing_are_refused(strict, only_zabd):
    """Java's servers end when they apply the creation of the first, or the deletion of the others, and do not start again."""
    client = strict.client()
    client.create("/zookeeperx")
    for parent in ("/zookeeper/quota", "/zookeeper", "/zookeeperx"):
        assert client.create(f"{parent}/zookeeper_limits", hard(count=1).encode()).err == BAD_ARGUMENTS, parent
    assert client.create("/zookeeper/quota/zookeeper_stats", b"").err == OK
    assert client.create("/free").err == OK
    assert client.delete("/zookeeper/quota/zookeeper_stats").err == OK


def test_limits_of_a_name_without_a_slash_are_refused(strict, only_zabd):
    """Java's servers before 3.6 end with these; later ones take them for a quota of `/ame`."""
    client = strict.client()
    assert client.create("/zookeeper/quotame").err == OK
    assert client.create("/zookeeper/quotame/zookeeper_limits", hard(count=1).encode()).err == BAD_ARGUMENTS
    assert client.create("/zookeeper/quotame/under").err == OK
    assert client.create("/zookeeper/quotame/under/zookeeper_limits", hard(count=0).encode()).err == OK
    for path in ("/ame", "/ame/under", "/ame/under/x", "/under"):
        assert client.create(path).err == OK, path  # It stands for nothing here.


@pytest.mark.parametrize("text", [
    "count=1,bytes=2", "a=1,b=2", "count=1,bytes=2=;byteHardLimit=5;countHardLimit=7", "count=+1,bytes=-2,,", "x=1=2,y=3=;;"])
def test_a_usage_that_every_java_reads_may_be_written(client, text):
    path = f"/written-{next(numbers)}"
    client.create(path)
    set_quota(client, path, "count=-1,bytes=-1")
    stats = f"/zookeeper/quota{path}/zookeeper_stats"
    assert client.set(stats, text.encode()).err == OK
    assert client.create(f"{path}/a", b"12").err == OK
    shown = dict(pair.split("=")[:2] for pair in re.split("[,;]+", text) if pair)
    count, size = (int(shown.pop(name, -1)) for name in ("count", "bytes"))
    kept = "".join(f";{name}={int(number)}" for name, number in sorted(shown.items()))
    assert usage(client, path) == f"count={count + 1},bytes={size + 2}" + ("=" + kept if kept else "")
    assert client.set(path, b"").err == OK  # As long as before: the text is written anew all the same.


@pytest.mark.parametrize("text", [
    None, "", "zzz", "count=1", "count=1;bytes=2", "count==1,bytes=2", "count=1,bytes=2,x=3", "count=2147483648,bytes=2",
    "count=1,bytes=2=;x", ",count=1", "count= 1,bytes=2", "count=1,bytes=9223372036854775808"])
def test_a_usage_that_java_cannot_read_is_refused(client, only_zabd, text):
    """A server of Java's, of some version at least, ends with the next write below, and does not start again."""
    path = f"/unread-{next(numbers)}"
    client.create(path)
    set_quota(client, path, "count=-1,bytes=-1")
    stats = f"/zookeeper/quota{path}/zookeeper_stats"
    data = None if text is None else text.encode()
    assert client.set(stats, data, 7).err == BAD_VERSION
    assert client.set(stats, data).err == BAD_ARGUMENTS
    behind = (wire.CREATE, wire.create_body(f"{path}/a"))
    assert multi_results(client.multi([behind, (wire.SET_DATA, data_body(stats, data))])) == [(-1, OK), (-1, BAD_ARGUMENTS)]
    assert usage(client, path) == "count=1,bytes=0"
    # What it is created with is written over at once.
    assert client.delete(stats).err == OK
    assert client.create(stats, data).err == OK
    assert usage(client, path) == "count=1,bytes=0"
    assert client.set("/zookeeper/quota", data).err == OK


def test_a_quota_of_the_system_nodes_is_one_like_others(strict):
    client = strict.client()
    set_quota(client, "/zookeeper", hard(count=1))
    assert client.create("/zookeeper/x").err == QUOTA_EXCEEDED
    assert client.delete("/zookeeper/quota/zookeeper/zookeeper_limits").err == OK
    assert client.create("/zookeeper/x").err == OK


def test_soft_limits_are_told_and_hard_ones_replace_them(strict):
    client = strict.client()
    client.create("/soft")
    set_quota(client, "/soft", "count=1,bytes=3")
    assert client.create("/soft/1").err == OK
    eventually(lambda: "Quota exceeded: /soft [current count=2, softCountLimit=1]" in strict.log())
    assert client.set("/soft", b"12345").err == OK
    eventually(lambda: "Quota exceeded: /soft [current bytes=5, softByteLimit=3]" in strict.log())
    client.create("/both")
    set_quota(client, "/both", "count=1,bytes=-1=;byteHardLimit=4;countHardLimit=2")
    assert client.create("/both/1").err == OK
    assert client.create("/both/2").err == QUOTA_EXCEEDED
    assert client.set("/both", b"12345").err == QUOTA_EXCEEDED
    eventually(lambda: "Quota exceeded: /both [current bytes=5, hardByteLimit=4]" in strict.log())
    log = strict.log()
    assert "Quota exceeded: /both [current count=3, hardCountLimit=2]" in log and "/both [current count=2" not in log


def test_the_same_excess_is_told_once(strict):
    client = strict.client()
    client.create("/told")
    set_quota(client, "/told", hard(count=1))
    for _ in range(20):
        assert client.create("/told/1").err == QUOTA_EXCEEDED
    # What the log holds of another quota stands behind all that it will hold of this one.
    client.create("/told-later")
    set_quota(client, "/told-later", hard(count=0))
    assert client.create("/told-later/1").err == QUOTA_EXCEEDED
    eventually(lambda: "Quota exceeded: /told-later [" in strict.log())
    assert len(re.findall(r"Quota exceeded: /told \[", strict.log())) == 1


def test_each_operation_of_a_multi_is_measured_against_the_same_usage(strict):
    client = strict.client()
    client.create("/m")
    set_quota(client, "/m", hard(count=2))
    assert multi_results(client.multi([(wire.CREATE, wire.create_body(f"/m/{name}")) for name in "ab"])) == [(1, 0), (1, 0)]
    assert usage(client, "/m") == "count=3,bytes=0"
    results = multi_results(client.multi([(wire.SET_DATA, data_body("/m", b"")), (wire.CREATE, wire.create_body("/m/c"))]))
    assert results == [(-1, 0), (-1, QUOTA_EXCEEDED)]


@pytest.mark.parametrize("limits", ["", "count=-1,bytes=-1", "count=-1,bytes==5", "bytes=-1;count=-1", "x=7,,;count=-1=5;"])
def test_texts_without_a_limit(strict, limits):
    client = strict.client()
    path = f"/text-{next(numbers)}"
    client.create(path)
    set_quota(client, path, limits)
    assert client.create(f"{path}/a", b"1").err == OK


@pytest.mark.parametrize("limits", ["countHardLimit=1", "countHardLimit=1=;bytes=-1", "bytes=-1;;,countHardLimit=1", "x=5,countHardLimit=1,"])
def test_texts_with_a_limit(strict, limits):
    client = strict.client()
    path = f"/limit-{next(numbers)}"
    client.create(path)
    set_quota(client, path, limits)
    assert client.create(f"{path}/a").err == QUOTA_EXCEEDED


@pytest.mark.parametrize("limits", ["nonsense", "count=x", "count", "count=1,bytes", "count=,bytes=", "x=y,countHardLimit=1", "count= 1", ",,count=-1", "=", None])
def test_a_text_that_is_none_is_a_marshalling_error(strict, limits):
    client = strict.client()
    path = f"/nonsense-{next(numbers)}"
    client.create(path)
    set_quota(client, path, limits)
    assert client.create(f"{path}/a", b"1").err == MARSHALLING
    assert client.delete(f"/zookeeper/quota{path}/zookeeper_limits").err == OK
    assert client.create(f"{path}/a", b"1").err == OK


def test_rights_are_looked_at_before_quotas(strict):
    client = strict.client()
    client.create("/rights", acl=((ALL & ~2 & ~4, "world", "anyone"),))
    set_quota(client, "/rights", hard(count=1, size=0))
    assert client.create("/rights/a").err == client.set("/rights", b"1").err == NO_AUTH


def test_quotas_have_figures_by_namespace(house_of):
    house = house_of(properties={"enforceQuota": "true"})
    client = house.client()
    client.create("/space", b"123")
    for name, limits in (("a", "count=5,bytes=50"), ("b", hard(count=1, size=100))):
        client.create(f"/space/{name}", b"4")
        set_quota(client, f"/space/{name}", limits)
    assert client.create("/space/b/x").err == QUOTA_EXCEEDED
    figures = house.figures()
    assert {name: value for name, value in figures.items() if "quota" in name} == {
        "space_quota_count_limit_per_namespace": "6", "space_quota_bytes_limit_per_namespace": "150",
        "space_quota_count_usage_per_namespace": "2", "space_quota_bytes_usage_per_namespace": "2",
        "space_quota_exceeded_error_per_namespace": "1"}
