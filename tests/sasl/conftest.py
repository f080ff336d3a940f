"""Servers with users, and Java's beside ours: what one answers the other must."""

import pytest

from harness.servers import Server
from tls.authority import Authority

PROVIDER = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
MODULE = "org.apache.zookeeper.server.auth.DigestLoginModule"
USERS = {"alice": "in wonderland", "admin": "sesame", "super": "own", "née€": "pässword"}


def jaas(users, section="Server"):
    """A section of a login configuration."""
    options = " ".join(f'user_{user}="{password}"' for user, password in users.items())
    return f"{section} {{ {MODULE} required {options}; }};\n"


def with_users(kind, directory, users=USERS, **properties):
    """A server that has read who may log in."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "jaas.conf"
    path.write_text(jaas(users))
    return Server(kind, directory, properties={
        "java.security.auth.login.config": path, "authProvider.sasl": PROVIDER, "superUser": "admin", **properties})


@pytest.fixture(scope="module")
def beside_java(kind, tmp_path_factory):
    """`beside_java(ask, property=...)`: what Java's server and ours answer, in this order."""
    pairs = {}

    def ask_both(ask, **properties):
        name = tuple(sorted(properties.items()))
        if name not in pairs:
            pairs[name] = [
                with_users(each, tmp_path_factory.mktemp(each), **properties).start(wait=False) for each in ("java395", kind)]
            for server in pairs[name]:
                server.await_serving()
        return [ask(server) for server in pairs[name]]

    yield ask_both
    for server in (server for pair in pairs.values() for server in pair):
        server.kill()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))
