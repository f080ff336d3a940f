"""`zabd check zoo.cfg` of servers whose certificates are not valid today."""

import datetime
import subprocess

import pytest

from harness import places

SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5, hours=1)


@pytest.fixture(autouse=True)
def only_zabd(kind):
    """There is nothing to compare: Java has no such command."""
    if kind != "zabd":
        pytest.skip("what zabd does, and this server does not")


def check(tmp_path, authority, *names, trust="ca.crt", sides=("ssl", "ssl.quorum")):
    """What is said of a server that shows these certificates, one on each side."""
    lines = ["admin.enableServer=false", f"dataDir={tmp_path}/data", "secureClientPort=1",
             "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory"]
    if len(names) > 1:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "myid").write_text("1\n")
        lines += ["sslQuorum=true", "initLimit=5", "syncLimit=2", *(f"server.{number}=127.0.0.1:1:2" for number in (1, 2, 3))]
    for side, name in zip(sides, names):
        lines += [f"{side}.keyStore.location={authority.path(name)}.pem", f"{side}.trustStore.location={authority.path(trust)}",
                  f"{side}.trustStore.type=PEM"]
    (tmp_path / "zoo.cfg").write_text("".join(f"{line}\n" for line in lines))
    return subprocess.run([places.ZABD, "check", tmp_path / "zoo.cfg"], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name, told", [
    ("expired", "has expired on 2021-01-01; hint: replace the file, no restart is needed"),
    ("early", "is not valid before 2090-01-01; hint: set this machine's clock right if it is behind, else replace the file"),
])
def test_who_would_be_refused_is_told(tmp_path, authority, name, told):
    checked = check(tmp_path, authority, name)
    assert checked.returncode == 1, checked
    assert f"warning: The certificate of CN={name} in {authority.path(name)}.pem {told}" in checked.stdout, checked
    assert "TLS: the stores for clients can be read, and show no certificate that is valid now\n" in checked.stdout, checked
    assert checked.stdout.endswith("\na start goes through, and whoever looks at its certificate refuses it\n"), checked


def test_a_good_side_does_not_hide_a_bad_one(tmp_path, authority):
    checked = check(tmp_path, authority, "second", "expired")
    assert checked.returncode == 1, checked
    told = "TLS: the stores for members can be read, and show no certificate that is valid now; those for clients are good\n"
    assert told in checked.stdout and checked.stdout.count("has expired") == 1, checked


def test_what_ends_soon_and_whom_it_believes_only_warn(tmp_path, authority):
    authority.sign("soon", "/CN=soon", days=("20240101000000Z", SOON.strftime("%Y%m%d%H%M%SZ")))
    checked = check(tmp_path, authority, "soon", trust="expired.crt")
    assert checked.returncode == 0 and "TLS: the stores for clients are good\n" in checked.stdout, checked
    assert f"CN=soon in {authority.path('soon')}.pem expires in 5 days, on {SOON:%Y-%m-%d}; hint: " in checked.stdout, checked
    assert f"CN=expired in {authority.path('expired')}.crt has expired on 2021-01-01; hint: " in checked.stdout, checked
