"""Servers with users, and Java's beside ours: what one answers the other must."""

import pytest

from harness.pairs import Pairs
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
    with Pairs(kind, lambda each, **properties: with_users(each, tmp_path_factory.mktemp(each), **properties)) as pairs:
        yield pairs.ask


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))
