"""What the request throttler's keys change, each shown by its effect.

`flushDelay` makes the pipeline slow: a write that comes soon after another one is not answered before the delay is over, and
keeps its place in the pipeline until then.
"""


import pytest

from harness import wire
from harness.waiting import eventually

from .client import NO_NODE, OK, THROTTLED, data_body, path_watch


def slow(delay_ms, **properties):
    return {"flushDelay": delay_ms, "maxWriteQueuePollTime": delay_ms, **properties}


def written_in_turns(house):
    """The largest batch of the log, when two clients write six times each, all at once."""
    clients = [house.client(), house.client()]
    for number, client in enumerate(clients):
        assert client.create(f"/{number}").err == OK
    for number, client in enumerate(clients):
        client.submit_together([(wire.SET_DATA, data_body(f"/{number}", b"x"))] * 6)
    for client in clients:
        replies = [client.reply() for _ in range(6)]
        assert [reply.err for reply in replies] == [OK] * 6
        assert [reply.xid for reply in replies] == list(range(2, 8))
    return house.figure("max_sync_processor_batch_size")


def test_no_more_requests_are_in_the_pipeline_than_may_be(house_of):
    throttled = house_of(properties=slow(60, request_throttle_max_requests=2))
    assert written_in_turns(throttled) <= 2
    assert throttled.figure("request_throttle_wait_count") > 0
    assert throttled.figure("max_request_throttle_queue_time_ms") >= 60
    assert written_in_turns(house_of(properties=slow(60))) > 2


def test_what_waited_too_long_is_refused_in_its_turn_and_untried(house_of):
    house = house_of(properties=slow(100, request_throttle_max_requests=1, throttled_op_wait_time=150))
    client = house.client()
    assert client.create("/node").err == OK
    writes = [(wire.SET_DATA, data_body("/node", b"x"))] * 10
    client.submit_together([*writes, (wire.GET_DATA, path_watch("/node"))])
    replies = [client.reply() for _ in range(11)]
    done = [reply for reply in replies if reply.err == OK]
    refused = replies[len(done):]
    assert 1 <= len(done) < 10
    assert {(reply.err, reply.body, reply.zxid) for reply in refused} == {(THROTTLED, b"", done[-1].zxid)}
    assert [reply.xid for reply in replies] == list(range(2, 13))
    assert client.stat("/node")["version"] == len(done)
    assert house.figure("throttled_ops") == len(refused)
    last = client.set("/node", b"y")
    assert (last.err, last.zxid) == (OK, done[-1].zxid + 1), "what was refused has no position in the log"


@pytest.mark.parametrize("drops", [True, False])
def test_what_is_left_behind_is_dropped_or_done_as_configured(house_of, drops):
    house = house_of(properties=slow(400, request_throttle_max_requests=1, request_throttle_drop_stale=str(drops).lower()))
    busy, hasty = house.client(), house.client()
    assert busy.create("/busy").err == OK
    busy.submit_together([(wire.SET_DATA, data_body("/busy", b"x"))] * 2)
    assert busy.reply().err == OK
    # The second write has the only place, for as long as the delay is.
    hasty.submit(wire.CREATE, wire.create_body("/hasty"))
    hasty.close()
    figure = "stale_requests_dropped" if drops else "stale_requests"
    eventually(lambda: house.figure(figure) == 1, what=figure)
    assert busy.reply().err == OK
    assert busy.set("/busy", b"y").err == OK
    assert busy.exists("/hasty").err == (NO_NODE if drops else OK)


def test_what_is_older_than_its_session_may_be_is_dropped(house_of):
    """Two others are served before it, each for as long as the delay is."""
    house = house_of(config={"tickTime": 100, "maxSessionTimeout": 10_000}, properties=slow(
        700, request_throttle_max_requests=1, request_stale_latency_check="true"))
    busy = [house.client(), house.client()]
    hasty = house.client(timeout_ms=1000)
    waits = house.figure("request_throttle_wait_count")
    for number, client in enumerate(busy):
        client.submit(wire.CREATE, wire.create_body(f"/{number}"))
    eventually(lambda: house.figure("request_throttle_wait_count") > waits, what="one of them waits")
    hasty.submit(wire.CREATE, wire.create_body("/hasty"))
    assert hasty.is_closed()
    assert house.figure("stale_requests_dropped") == 1
    assert [client.reply().err for client in busy] == [OK, OK]
    assert busy[0].exists("/hasty").err == NO_NODE
