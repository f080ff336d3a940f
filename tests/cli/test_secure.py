"""TLS and SASL: who is believed, who is let in as whom, and what is said where not. Java's shell has the same options and output,
and tells the reasons in its log alone.
"""

import itertools

import pytest

from sasl.conftest import MODULE, with_users
from tls.authority import PASSWORD, Authority
from tls.conftest import House

from .shells import EVENT, Conversation, run

ALICE = "x509: CN=alice,O=Acme\\, Inc.,C=DE"
SHELLS = ("java", "zabd")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.store("alice.p12", "alice")
    return made


@pytest.fixture(scope="module")
def houses(kind, tmp_path_factory, authority):
    """Servers with TLS of both kinds: `houses["java395"]`."""
    started = {}
    for each in dict.fromkeys(("java395", kind)):
        started[each] = House(each, tmp_path_factory.mktemp(each), authority)
        started[each].server.start(wait=False)
    for house in started.values():
        house.server.await_serving()
        house.await_open()
    yield started
    for house in started.values():
        for client in house.clients:
            client.close()
        house.server.kill()


def properties(authority, **changed):
    """What alice's shell is configured with; `None` leaves a key out."""
    usual = {
        "client.secure": "true", "clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
        "ssl.keyStore.location": authority.path("alice.pem"), "ssl.trustStore.location": authority.path("ca.pem")}
    changed = {key.replace("_", "."): value for key, value in changed.items()}
    return {f"zookeeper.{key}": value for key, value in {**usual, **changed}.items() if value is not None}


def flags(authority, **changed):
    return [f"-D{key}={value}" for key, value in properties(authority, **changed).items()]


def asked(shell, house, *words, flags, host="localhost"):
    """Output without its head, complaints and exit code of one command."""
    output, errors, code = run(shell, "-server", f"{host}:{house.secure_port}", *words, flags=flags)
    head, _, said = output.partition("\n")
    assert head == f"Connecting to {host}:{house.secure_port}"
    return EVENT.sub("", said.replace("\nWATCHER::\n", "")), errors, code


def each(houses):
    """Every shell at every server but for Java's at Java's."""
    return [(shell, house) for shell, (kind, house) in itertools.product(SHELLS, houses.items()) if (shell, kind) != ("java", "java395")]


def test_a_shell_is_who_its_certificate_says(houses, authority):
    for shell, house in each(houses):
        said, errors, code = asked(shell, house, "whoami", flags=flags(authority))
        # In the order of whoever serves.
        assert (sorted(said.splitlines()), errors, code) == (["Auth scheme: User", "ip: 127.0.0.1", ALICE], "", 0), shell


def test_stores_of_each_kind_and_a_file_of_properties(houses, authority, kind, tmp_path):
    """By a file that the option names, with passwords in it or in files of their own."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    file = tmp_path / "client.properties"
    stores = properties(
        authority, **{"ssl.keyStore.location": authority.path("alice.p12"), "ssl.keyStore.password": PASSWORD,
                      "ssl.trustStore.location": authority.path("trust.jks"), "ssl.trustStore.passwordPath": tmp_path / "password",
                      "ssl.enabledProtocols": "TLSv1.2,TLSv1.3"})
    file.write_text("".join(f"{key} = {value}\n" for key, value in stores.items()))
    said, errors, code = asked("zabd", houses[kind], "-client-configuration", str(file), "whoami", flags=())
    assert (ALICE in said, errors, code) == (True, "", 0)


@pytest.mark.parametrize("changed, reason", [
    ({"ssl.trustStore.location": "foreign.crt", "ssl.trustStore.type": "PEM"},
     "the certificate of CN=server,O=Acme,C=DE was refused: nobody in the trust store has signed it"),
    ({"ssl.trustStore.location": None}, "the certificate of CN=server,O=Acme,C=DE was refused: nobody in the trust store has signed it"),
    ({"ssl.keyStore.location": None}, ("the other side wants to be shown a certificate", "does not believe the certificate")),
    ({"ssl.keyStore.location": "stranger.pem"}, "does not believe the certificate that it was shown"),
    ({"ssl.keyStore.location": "server.p12", "ssl.keyStore.password": "wrong"}, "server.p12: the password is wrong"),
    ({"ssl.trustStore.location": "none.pem"}, "none.pem: cannot be read"),
], ids=["foreign", "nobody", "anonymous", "stranger", "password", "missing"])
def test_who_is_not_believed_and_why(houses, authority, changed, reason):
    """One line, then the command fails as without a server, and as in Java's."""
    paths = {
        key: authority.path(value) if key.endswith("location") and value else value for key, value in changed.items()}
    shells = each(houses) if reason[0] == "the other side wants to be shown a certificate" else [("zabd", house) for house in houses.values()]
    for shell, house in shells:
        said, errors, code = asked(shell, house, "ls", "/", flags=flags(authority, **paths))
        assert (said, code) == ("", 1), shell
        *told, last = errors.splitlines()
        assert last == "KeeperErrorCode = ConnectionLoss for /", shell
        if shell == "zabd":
            assert len(told) == 1 and told[0].startswith(f"localhost:{house.secure_port}: TLS: "), told
            assert any(each in told[0] for each in ([reason] if isinstance(reason, str) else reason)), told
        else:
            assert told == []


def test_whoever_comes_in_plain_text_is_told_of_tls(houses, kind):
    """The server says so by an alert, which is all that it has for such a client."""
    house = houses[kind]
    said, errors, code = asked("zabd", house, "ls", "/", flags=())
    assert (said, code) == ("", 1)
    told, last = errors.splitlines()
    assert told.startswith(f"localhost:{house.secure_port}: it speaks TLS there, and plain text was sent; hint: `zookeeper.client.secure=true`")
    assert last == "KeeperErrorCode = ConnectionLoss for /"


def test_a_server_that_is_for_other_hosts(kind, authority, tmp_path):
    """Names count, not addresses, unless Java's FIPS mode is off; and nothing if they are not compared."""
    house = House(kind, tmp_path / "elsewhere", authority, properties={
        "ssl.keyStore.location": authority.path("elsewhere.pem"), "ssl.keyStore.password": ""})
    house.server.start()
    try:
        house.await_open()
        said, errors, code = asked("zabd", house, "ls", "/", flags=flags(authority))
        assert (said, code) == ("", 1)
        assert "the certificate of CN=elsewhere is for elsewhere.invalid, 127.9.9.9, which is not where it was looked for" in errors
        assert asked("java", house, "ls", "/", flags=flags(authority)) == ("", "KeeperErrorCode = ConnectionLoss for /\n", 1)
        unchecked = flags(authority, ssl_hostnameVerification="false")
        assert asked("zabd", house, "ls", "/", flags=unchecked) == ("[zookeeper]\n", "", 0)
    finally:
        house.server.kill()


def test_addresses_count_as_names_do(houses, authority, kind):
    """The certificate is for `localhost` and 127.0.0.1."""
    for host in ("localhost", "127.0.0.1"):
        assert asked("zabd", houses[kind], "whoami", flags=flags(authority), host=host)[2] == 0


def test_a_port_without_tls_and_a_shell_without_it(houses, authority, kind):
    """Nobody hangs, and nothing is asked for in the clear that was to be hidden: also where Java's shell would."""
    house = houses[kind]
    words = ["-server", f"127.0.0.1:{house.server.port}", "ls", "/"]
    _, errors, code = run("zabd", *words, flags=flags(authority, clientCnxnSocket=None))
    assert code == 1 and ": TLS: " in errors
    assert run("zabd", *words, flags=flags(authority, client_secure="false"))[1:] == ("", 0)


def test_a_session_goes_on_by_tls(kind, authority, tmp_path):
    """Long answers, events, and another connection behind a restart."""
    house = House(kind, tmp_path / "house", authority)
    house.start()
    try:
        data = "x" * 100_000
        maker = house.client()
        assert maker.create("/long", data.encode()).err == 0
        maker.end()
        with Conversation("zabd", "-server", f"localhost:{house.secure_port}", "-timeout", "6000", flags=flags(authority)) as shell:
            shell.await_text("[zk: ")
            shell.say("get -w /long")
            assert f"{data}\n" in shell.text
            house.server.kill()
            shell.await_text("state:Disconnected")
            house.server.start()
            shell.await_text("state:SyncConnected type:None", 2)
            shell.say("set /long short")
            shell.await_text("NodeDataChanged")
            assert shell.end() == 0
    finally:
        house.server.kill()


# --- SASL


@pytest.fixture(scope="module")
def with_logins(kind, tmp_path_factory):
    """A server that knows alice."""
    server = with_users(kind, tmp_path_factory.mktemp("users") / "server")
    with server.start():
        yield server


@pytest.fixture
def login(tmp_path):
    """`login(section)`: the flags of a shell that logs in by this section."""
    path = tmp_path / "jaas.conf"
    path.write_text("".join(
        f"{section} {{ {MODULE} required {options}; }};\n" for section, options in {
            "Client": 'username="alice" password="in wonderland"', "Wrong": 'username="alice" password="wrong"', "Empty": ""}.items()))

    def flags_of(section=None, **more):
        words = {"java.security.auth.login.config": path, "zookeeper.fips-mode": "false", **more}
        if section:
            words["zookeeper.sasl.clientconfig"] = section
        return [f"-D{key}={value}" for key, value in words.items()]

    return flags_of


def logged_in(shell, server, flags, *words):
    """Events, other output, complaints and exit code of one command."""
    output, errors, code = run(shell, "-server", server.hosts, "-timeout", "6000", *words, flags=flags)
    events = [event.split(" ")[1] for event in EVENT.findall(output)]
    said = EVENT.sub("", output.replace("\nWATCHER::\n", "")).split("\n", 1)[1]
    # Identities come in the order of whoever serves.
    return events, "".join(sorted(said.splitlines(keepends=True))), errors, code


IN_VAIN = "KeeperErrorCode = AuthFailed for /\n"


@pytest.mark.parametrize("section, events, said, complaint", [
    (None, ["state:SyncConnected", "state:SaslAuthenticated"], "Auth scheme: User\nip: 127.0.0.1\nsasl: alice\n", ""),
    ("Wrong", ["state:SyncConnected", "state:AuthFailed"], ("Auth scheme: User\n", "Not connected\n"), "SASL: the server refuses user `alice` or the password\n"),
    ("Other", ["state:AuthFailed", "state:SyncConnected"], "Auth scheme: User\nip: 127.0.0.1\n", "there is no section `Other`\n"),
], ids=["right", "wrong", "missing"])
def test_who_logs_in_by_sasl(with_logins, login, section, events, said, complaint):
    """Before anything is asked for; a configuration that is none leaves the session without an identity. Whether the command
    begins before the server has refused is a race in both shells."""
    words = ["-waitforconnection", "whoami"]
    for shell in SHELLS:
        told = logged_in(shell, with_logins, login(section), *words)
        assert told[0] == events and told[1] in ((said,) if isinstance(said, str) else said) and told[3] == 0, (shell, told)
        if shell == "zabd":
            assert told[2].endswith(complaint) and bool(told[2]) == bool(complaint), told


def test_a_refused_login_ends_the_session(with_logins, login):
    events, said, errors, code = logged_in("zabd", with_logins, login("Wrong"), "ls", "/")
    assert (said, code) == ("", 1) and errors.endswith(IN_VAIN)
    with Conversation("zabd", "-server", with_logins.hosts, flags=login("Wrong")) as shell:
        shell.await_text("[zk: ")
        shell.say("ls /")
        assert "(AUTH_FAILED)" in shell.text and "Not connected" in shell.text


@pytest.mark.parametrize("section, more, reason", [
    (None, {"zookeeper.fips-mode": "true"}, "fips-mode=false"), ("Empty", {}, "no `username` and `password`")], ids=["fips", "nobody"])
def test_a_login_that_cannot_be_ends_the_session(with_logins, login, section, more, reason):
    """Java's shell tells no state, and is left without a session after some seconds; its log has the reason."""
    events, said, errors, code = logged_in("zabd", with_logins, login(section, **more), "ls", "/")
    assert (events, said, code) == (["state:SyncConnected", "state:null"], "", 1)
    assert reason in errors and errors.endswith(IN_VAIN)


def test_nobody_logs_in_who_does_not_want_to(with_logins, login):
    flags = login(**{"zookeeper.sasl.client": "false"})
    assert logged_in("zabd", with_logins, flags, "whoami")[:2] == (["state:SyncConnected"], "Auth scheme: User\nip: 127.0.0.1\n")
