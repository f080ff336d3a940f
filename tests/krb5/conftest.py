"""A realm, and servers of both kinds that are known in it: what one answers the other must."""

import sys
from types import SimpleNamespace

import pytest

from harness import places
from harness.pairs import Pairs
from harness.servers import Server

from .kdc import REALM, SERVICE, Kdc

sys.path.insert(0, str(places.DEPS / "kerberos"))

PROVIDER = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
MODULE = "com.sun.security.auth.module.Krb5LoginModule"


def jaas(section, principal, keytab, more="storeKey=true"):
    """A section of a login configuration."""
    return f'{section} {{ {MODULE} required useKeyTab=true {more} keyTab="{keytab}" principal="{principal}"; }};\n'


@pytest.fixture(scope="session")
def realm(tmp_path_factory):
    """A KDC, and the keytabs of everybody."""
    with Kdc(tmp_path_factory.mktemp("kdc")) as kdc:
        names = {"service": SERVICE, "other": "imap/localhost", "alice": "alice", "admin": "admin", "host": "worker/host.example.org"}
        keytabs = kdc.principals(*names.values())
        kdc.keytabs = SimpleNamespace(**dict(zip(names, keytabs)))
        yield kdc


def with_kerberos(kind, directory, realm, keytab=None, config=None, krb5_conf=None, principal=f"{SERVICE}@{REALM}", sections="", **properties):
    """A server that is known by a key."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "jaas.conf"
    path.write_text(jaas("Server", principal, keytab or realm.keytabs.service) + sections)
    server = Server(kind, directory, config=config, properties={
        "java.security.auth.login.config": path, "java.security.krb5.conf": krb5_conf or realm.krb5_conf, "authProvider.sasl": PROVIDER,
        "superUser": f"admin@{REALM}", **properties})
    server.environment["KRB5RCACHEDIR"] = str(directory)
    return server


@pytest.fixture(scope="module")
def beside_java(kind, realm, tmp_path_factory):
    """`beside_java(ask, property=...)`: what Java's server and ours answer, in this order."""
    with Pairs(kind, lambda each, **properties: with_kerberos(each, tmp_path_factory.mktemp(each), realm, **properties)) as pairs:
        yield pairs.ask


@pytest.fixture
def as_principal(realm, monkeypatch):
    """Makes this process a client: `as_principal("alice", *words of kinit)`."""
    monkeypatch.setenv("KRB5_CONFIG", str(realm.krb5_conf))

    def log_in(name="alice", *words):
        keytab = getattr(realm.keytabs, name)
        principal = {"host": "worker/host.example.org"}.get(name, name)
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{realm.log_in(principal, keytab, *words)}")

    return log_in
