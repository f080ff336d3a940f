"""The AdminServer's commands answer what Java's answer: the same names in the same order, and the same values behind the same work.

Values are left out that measure time, name a process or a directory, or are identities that each server gives by itself.
"""

import json
import re
import socket

import pytest

from harness import wire
from harness.observing import figures, is_javas, status_bytes
from harness.servers import SUPER_AUTH, Server, free_port
from harness.waiting import eventually
from harness.wire import Writer
from operations import test_figures

from .conftest import DEFAULT, HttpServer, ask

# What Jackson finds by looking at a class has an order that differs from start to start.
UNORDERED = ("server_stats", "quorum_address", "election_address")
# Their names are values.
KEYED = ("expiry_time_to_session_ids", "session_id_to_ephemeral_paths", "path_to_session_ids", "session_id_to_watched_paths")
SUPER = {"Authorization": " ".join(SUPER_AUTH)}
LIMIT = {"rateLimiterIntervalInMS": 600_000_000}  # Ten minutes: Java takes them for microseconds.


def command(server, name, method="GET", path="/commands", **more):
    """Status and answer of a command."""
    status, headers, text = ask(server.admin_port, f"{path}/{name}", method, **more)
    assert headers["Content-Type"] == "application/json", (name, text)
    return status, json.loads(text)


def names(value):
    """Every name in an answer, in order, with those below it."""
    if isinstance(value, dict):
        listed = [(name, [] if name in KEYED else names(below)) for name, below in value.items()]
        return [(name, sorted(below) if name in UNORDERED else below) for name, below in listed]
    if isinstance(value, list):
        return [names(each) for each in value[:1]]
    return []


@pytest.fixture(scope="module")
def servers(start_both):
    """Both servers, behind the same work."""
    both = start_both(provider=DEFAULT, admin=LIMIT, properties=test_figures.PROPERTIES)
    sessions = [session for server in both.values() for session in test_figures.work(server.port)]
    for server in both.values():
        session = wire.Session(server.port, 30_000)
        sessions.append(session)
        for number in range(130):
            assert session.create(f"/b/{number}", b"").err == 0
    yield both
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def members(start_both):
    """A leader without followers, of each kind, at another path, that takes no snapshots for anybody."""
    def config():
        line = f"127.0.0.1:{free_port()}:{free_port()}"
        return {"server.1": line, "standaloneEnabled": "false", "initLimit": 10, "syncLimit": 5}

    both = start_both(provider=DEFAULT, admin={"commandURL": "/zk", "snapshot.enabled": "false"}, config=config)
    for server in both.values():
        # The first transaction of the epoch.
        wire.Session(server.port, 30_000).close()
    return both


def both(servers, kind, name, **more):
    """What both answer, Java first."""
    return command(servers["java395"], name, **more), command(servers[kind], name, **more)


COMMANDS = [
    "configuration", "connection_stat_reset", "connections", "dirs", "dump", "get_trace_mask", "hash", "initial_configuration",
    "is_read_only", "last_snapshot", "leader", "observer_connection_stat_reset", "observers", "ruok", "server_stats", "stats",
    "voting_view", "watch_summary", "watches_by_path", "zabstate", "set_trace_mask", "set_trace_mask?traceMask=x", "nothing", "ruok/",
    "RUOK", "environment", "conf", "cons", "envi", "gtmk", "icfg", "isro", "lsnp", "lead", "obsr", "orst", "srvr", "stat", "stmk", "wchs",
    "wchp", "stat_reset", "srst", "crst", "config", "env", "watches", "wchc", "snapshot", "snap", "restore", "rest"]
# Their answers are the same in everything.
EQUAL = [
    "connection_stat_reset", "get_trace_mask", "is_read_only", "leader", "observer_connection_stat_reset", "observers", "ruok",
    "voting_view", "watch_summary", "zabstate", "set_trace_mask", "set_trace_mask?traceMask=x", "set_trace_mask?traceMask=7", "nothing",
    "ruok/", "RUOK", "gtmk", "isro", "wchs", "stat_reset", "srst", "crst", "snapshot", "snap", "restore", "rest"]
# Of release 3.10, which is not out, and of JMX.
NEW = ["shed_connections", "terminate_session"]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_answer_has_the_same_names_in_the_same_order(servers, kind, name):
    (status, expected), (our_status, ours) = both(servers, kind, name)
    assert (our_status, names(ours)) == (status, names(expected))


@pytest.mark.parametrize("name", EQUAL)
def test_an_answer_is_the_same(servers, kind, name):
    expected, ours = both(servers, kind, name)
    assert ours == expected


def test_the_list_is_the_same(servers, kind):
    for path in ("/commands", "/commands/"):
        texts = {each: ask(server.admin_port, path) for each, server in servers.items()}
        (status, _, expected), (our_status, _, ours) = texts["java395"], texts[kind]
        lines = ours.splitlines()
        if kind == "zabd":
            for name in NEW:
                at = lines.index(f'<a href="/commands/{name}">{name}</a>'.encode())
                assert lines[at + 1] == b"<br/>"
                del lines[at:at + 2]
        assert (our_status, lines) == (status, expected.splitlines())


def test_every_name_of_javas_list_is_asked_for(servers):
    """Those whose values are compared one by one elsewhere are not compared here."""
    listed = re.findall(r">(\w+)</a>", ask(servers["java395"].admin_port, "/commands")[2].decode())
    assert set(listed) - set(COMMANDS) == {"monitor", "system_properties"}


def test_text_is_indented_as_jacksons(servers, kind):
    for name in ("is_read_only", "voting_view", "observers", "leader", "watch_summary"):
        texts = {each: ask(server.admin_port, f"/commands/{name}")[2] for each, server in servers.items()}
        assert texts[kind] == texts["java395"], name
    lists = {each: ask(server.admin_port, "/commands/connections")[2].decode() for each, server in servers.items()}
    shapes = {each: [line.split(" : ")[0] for line in text.splitlines()] for each, text in lists.items()}
    assert shapes[kind] == shapes["java395"]


PATHS = [("GET", "/"), ("GET", "/nothing"), ("HEAD", "/commands/ruok"), ("TRACE", "/commands/ruok"), ("OPTIONS", "/commands/ruok"),
         ("PUT", "/commands/ruok"), ("DELETE", "/commands/ruok"), ("GET", "/commandsx"), ("POST", "/commands"), ("PATCH", "/commands/ruok"), ("BREW", "/commands/ruok"),
         ("GET", "/commands/%zz"), ("GET", "/..")]
# What they ask for is the same command, or the same word that is none.
NAMES = ["/commands/ruok", "/commands/%72uok", "/commands%2Fruok", "/commands/../commands/ruok", "/commands/./ruok", "/commands/ruok;x=1",
         "/commands;x/ruok", "/commands/ruok/", "/commands//ruok", "/commands/a+b", "/commands/RUOK", "/commands/ruok/../isro"]


def test_paths_and_methods_are_javas(servers, kind):
    statuses = {each: [ask(server.admin_port, path, method)[0] for method, path in PATHS] for each, server in servers.items()}
    assert statuses[kind] == statuses["java395"]
    answers = {each: [ask(server.admin_port, path)[::2] for path in NAMES] for each, server in servers.items()}
    assert answers[kind] == answers["java395"]


def test_who_speaks_http_1_1_names_a_host(servers, kind):
    def status(server, version):
        with socket.create_connection(("127.0.0.1", server.admin_port), 60) as connection:
            connection.sendall(f"GET /commands/ruok HTTP/{version}\r\n\r\n".encode())
            return connection.recv(4096).split()[1]

    assert [status(servers[kind], version) for version in ("1.1", "1.0")] == [b"400", b"200"]
    assert [status(servers["java395"], version) for version in ("1.1", "1.0")] == [b"400", b"200"]


def test_what_takes_post_is_not_had_by_get(servers):
    """Java's answers are 500 and a trace of its stack."""
    if "zabd" in servers:
        assert command(servers["zabd"], "ruok", "POST")[0] == 405
        assert command(servers["zabd"], "restore", headers=SUPER)[0] == 405


def test_configuration_and_statistics_have_the_same_values(servers, kind):
    (_, expected), (_, ours) = both(servers, kind, "configuration")
    own = {"client_port", "data_dir", "data_log_dir"}
    assert {key: ours[key] for key in ours.keys() - own} == {key: expected[key] for key in expected.keys() - own}
    assert ours["data_dir"] == f"{servers[kind].data_dir}/version-2" and ours["client_port"] == servers[kind].port
    (_, expected), (_, ours) = both(servers, kind, "server_stats")
    assert (ours["node_count"], ours["client_response"]) == (expected["node_count"], expected["client_response"])
    counted = ("outstanding_requests", "server_state", "last_processed_zxid", "num_alive_client_connections", "auth_failed_count",
               "client_response_stats", "provider_null", "non_mtlsremote_conn_count")
    assert [ours["server_stats"][key] for key in counted] == [expected["server_stats"][key] for key in counted]
    assert command(servers[kind], "initial_configuration")[1]["initial_configuration"] == (
        servers[kind].directory / "zoo.cfg").read_text()


def test_connections_and_sessions_have_the_same_values(servers, kind):
    def connections(server):
        told = command(server, "connections")[1]["connections"]
        stable = ("interest_ops", "outstanding_requests", "session_timeout")
        return [[each[key] for key in stable] for each in sorted(told, key=lambda each: each["session_id"])]

    def dump(server):
        told = command(server, "dump")[1]
        return (sum(map(len, told["expiry_time_to_session_ids"].values())), list(told["session_id_to_ephemeral_paths"].values()))

    def watches(server):
        by_session = command(server, "watches")[1]["session_id_to_watched_paths"]
        by_path = command(server, "watches_by_path")[1]["path_to_session_ids"]
        return sorted(map(sorted, by_session.values())), {path: len(ids) for path, ids in by_path.items()}

    def digests(server):
        return [(each["zxid"], each["digest_version"]) for each in command(server, "hash")[1]["digests"]]

    for look in (connections, dump, watches, digests):
        assert look(servers[kind]) == look(servers["java395"]), look.__name__
    assert digests(servers[kind]) != []


def test_monitor_has_every_figure(servers, kind):
    def monitor(server):
        return {name: type(value) for name, value in command(server, "monitor")[1].items() if is_javas(name)}

    assert monitor(servers[kind]) == monitor(servers["java395"])


def test_properties_are_what_was_configured(servers, kind):
    (_, expected), (_, ours) = both(servers, kind, "system_properties")
    for key in ("zookeeper.enforceQuota", "zookeeper.ensembleAuthName", "zookeeper.admin.serverAddress", "user.dir", "os.name"):
        if key != "user.dir":
            assert ours[key] == expected[key], key
    assert "D/InIHSb7yEEbrWz8b9l71RjZJU=" not in json.dumps(ours) or kind != "zabd", "secrets are not told"


def test_secrets_are_told_to_nobody(kind, tmp_path):
    """Neither those of known keys nor what was mistyped, belongs to somebody else, or stands in a comment: by no command, in no log."""
    if kind != "zabd":
        return
    lines = {
        "ssl.keyStore.password": "sesame1", "ssl.keyStore.pasword": "sesame2", "db.passphrase": "sesame3",
        "#ssl.trustStore.password": "sesame4", "ssl.trustStore.password ": "\\\n  sesame5", "vault.token": "sesame6", "my.key": "plain"}
    with HttpServer(kind, tmp_path, provider=DEFAULT, admin={}, config=lines, properties={"db.password": "sesame7"}) as server:
        told = [ask(server.admin_port, f"/commands/{name}")[2].decode() for name in ("icfg", "sysp", "conf", "envi")]
        told.append(server.log_text())
        for text in told:
            assert "sesame" not in text
        assert "my.key=plain" in told[0] and '"zookeeper.my.key" : "plain"' in told[1]
        assert '"zookeeper.db.password" : "(hidden)"' in told[1]


def test_what_a_login_configuration_asks_for_is_told_to_nobody(kind, tmp_path):
    """Its passwords may be the values of any key that nothing reads, whatever that is called."""
    if kind != "zabd":
        return
    jaas = tmp_path / "jaas.conf"
    jaas.write_text(
        'Server { org.apache.zookeeper.server.auth.DigestLoginModule required '
        'user_a="${zookeeper.alice}" user_b="${zookeeper.bob}"; };')
    with HttpServer(kind, tmp_path, provider=DEFAULT, admin={}, config={"alice": "sesame1"},
                    properties={"bob": "sesame2", "java.security.auth.login.config": jaas}) as server:
        told = [ask(server.admin_port, f"/commands/{name}")[2].decode() for name in ("icfg", "sysp", "conf", "envi")]
        told.append(server.log_text())
        assert not any("sesame" in text for text in told)
        assert '"zookeeper.bob" : "(hidden)"' in told[1] and "clientPort=" in told[0]


SAID = [{}, {"Authorization": "nope a:b"}, {"Authorization": "digest"}, {"Authorization": "digest a:b c"}]


def test_a_snapshot_is_for_whom_may_have_it(servers, kind):
    for headers in SAID:
        expected, ours = both(servers, kind, "snapshot", headers=headers)
        assert ours == expected and ours[0] == 401, headers


def test_a_snapshot_is_sent_as_it_is_on_the_disk(servers, kind, tmp_path):
    """Whoever may have it gets one in each interval, and a server starts from it."""
    status, headers, snapshot = ask(servers[kind].admin_port, "/commands/snapshot", headers=SUPER)
    java_status, java_headers, _ = ask(servers["java395"].admin_port, "/commands/snapshot", headers=SUPER)
    if kind != "java395":
        assert (status, headers["Content-Type"], headers["last_zxid"]) == (
            java_status, java_headers["Content-Type"], java_headers["last_zxid"])
        assert len(snapshot) == int(headers["snapshot_size"]) == int(headers["Content-Length"])
        zxid = headers["last_zxid"].removeprefix("0x")
        assert snapshot == (servers[kind].data_dir / "version-2" / f"snapshot.{zxid}").read_bytes()
        fresh = Server("java395", tmp_path)
        (fresh.data_dir / "version-2").mkdir(parents=True)
        (fresh.data_dir / "version-2" / f"snapshot.{zxid}").write_bytes(snapshot)
        with fresh:
            session = wire.Session(fresh.port, 30_000)
            assert session.call(wire.EXISTS, Writer().ustring("/b/129").boolean(False).bytes).err == 0
            session.close()
    expected, ours = both(servers, kind, "snapshot?streaming=false", headers=SUPER)
    assert ours == expected == (429, {"command": "snapshot", "error": None})
    if kind == "zabd":
        # Java says no more than that.
        status, headers, _ = ask(servers[kind].admin_port, "/commands/snapshot?streaming=false", headers=SUPER)
        assert status == 429 and int(headers["Retry-After"]) > 200, headers
    figures = [command(server, "monitor")[1]["snapshot_rate_limited_count"] for server in servers.values()]
    assert all(count >= 1 for count in figures)


def test_the_roots_list_says_who_may(servers, kind):
    for server in servers.values():
        session = wire.Session(server.port, 30_000)
        session.auth(*SUPER_AUTH)
        body = Writer().ustring("/").int(2).int(31).ustring("digest").ustring("x:y").int(1).ustring("world").ustring("anyone")
        body = body.int(-1).bytes
        assert session.call(wire.SET_ACL, body).err == 0
        session.close()
    expected, ours = both(servers, kind, "snapshot", headers={"Authorization": "digest a:b"})
    assert ours == expected == (403, {"command": "snapshot", "error": "Not authorized"})
    # Whether one was taken a moment ago is up to the tests before this one.
    for server in servers.values():
        assert ask(server.admin_port, "/commands/snapshot", headers=SUPER)[0] in (200, 429)


MEMBERS = ["leader", "voting_view", "zabstate", "configuration", "server_stats", "observers", "is_read_only", "initial_configuration"]


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_has_the_same_names_in_the_same_order(members, kind, name):
    (status, expected), (our_status, ours) = both(members, kind, name, path="/zk")
    assert (our_status, names(ours)) == (status, names(expected))


def test_a_member_tells_no_initial_configuration(members, kind):
    expected, ours = both(members, kind, "initial_configuration", path="/zk")
    assert ours == expected and ours[1]["initial_configuration"] is None


def test_a_leader_says_who_it_is(members, kind):
    (_, expected), (_, ours) = both(members, kind, "leader", path="/zk")
    assert ours == expected == {
        "is_leader": True, "leader_id": 1, "leader_ip": "127.0.0.1", "command": "leader", "error": None}
    state = {each: command(server, "zabstate", path="/zk")[1] for each, server in members.items()}
    same = ("myid", "is_leader", "voting", "zab_epoch", "zab_counter", "zabstate")
    assert [state[kind][key] for key in same] == [state["java395"][key] for key in same]
    assert all(state[each]["client_address"] == f"127.0.0.1:{members[each].port}" for each in members)
    view = {each: command(server, "voting_view", path="/zk")[1]["current_config"] for each, server in members.items()}
    for each, told in view.items():
        quorum, election = (members[each].config["server.1"].split(":")[index] for index in (1, 2))
        assert told == {"1": {
            "server_addresses": [f"127.0.0.1:{quorum}"], "election_addresses": [f"127.0.0.1:{election}"],
            "client_address": f"127.0.0.1:{members[each].port}", "learner_type": "participant"}}


def test_a_member_that_does_not_serve_says_so(start_both, kind):
    """One of three, without the others."""
    def config():
        lines = {f"server.{number}": f"127.0.0.1:{free_port()}:{free_port()}" for number in (1, 2, 3)}
        return {**lines, "initLimit": 10, "syncLimit": 5}

    alone = start_both(provider=DEFAULT, admin={}, config=config, is_waited_for=False)
    for server in alone.values():
        eventually(lambda port=server.admin_port: is_open(port), 60)
    for name in ("ruok", "server_stats", "leader", "snapshot", "connections"):
        expected, ours = both(alone, kind, name)
        assert ours == expected, name
        assert ours[1]["error"] == "This ZooKeeper instance is not currently serving requests"
    for name in ("zabstate", "get_trace_mask", "set_trace_mask?traceMask=3"):
        expected, ours = both(alone, kind, name)
        assert ours == expected, name


def is_open(port):
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_snapshots_may_be_switched_off(members, kind):
    expected, ours = both(members, kind, "snapshot", path="/zk", headers=SUPER)
    assert ours == expected == (503, {"command": "snapshot", "error": None})


def test_a_port_that_is_taken_is_told_and_clients_are_served(kind, tmp_path):
    if kind != "zabd":
        return
    server = HttpServer(kind, tmp_path, admin={})
    with socket.create_server(("127.0.0.1", server.admin_port)), server:
        said = server.log_text()
        assert f"Problem starting AdminServer: cannot listen on 127.0.0.1:{server.admin_port}: Address already in use" in said
        assert " - WARN " in next(line for line in said.splitlines() if "Problem starting" in line)


def test_slow_and_oversize_requests_cost_nothing(servers, kind):
    """Whoever announces a gigabyte that he may not send hears so at once, whether the rest ever comes or not. Nothing is kept of what
    came, and each is counted."""
    server = servers[kind]

    def seen():
        return int(figures(server.port)["zabd_http_requests_refused"]), status_bytes(server.process.pid, "VmRSS")

    before = seen() if kind == "zabd" else None
    crowd = []
    for _ in range(100):
        crowd.append(socket.create_connection(("127.0.0.1", server.admin_port), 60))
        crowd[-1].sendall(b"POST /commands/restore HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000)
        assert crowd[-1].recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 401"
    assert command(server, "ruok")[0] == 200
    if before:
        refused, rss = seen()
        assert refused == before[0] + 100 and rss - before[1] < 16 << 20
    for each in crowd:
        each.close()
