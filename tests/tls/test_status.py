"""`zkServer.sh status` of a server that has only a port with TLS."""

import subprocess

from harness import places
from harness.waiting import eventually

from .authority import PASSWORD

NOTE = (" \nNote: We used secureClientPort ({}) to establish connection, but we failed. The 'status'\n"
        "  command establishes a client connection to the server to execute diagnostic commands. Please make sure you\n"
        "  provided all the Client SSL connection related parameters in the CLIENT_JVMFLAGS environment variable! E.g.:\n"
        '  CLIENT_JVMFLAGS="-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty\n'
        "  -Dzookeeper.ssl.trustStore.location=/tmp/clienttrust.jks -Dzookeeper.ssl.trustStore.password=password\n"
        "  -Dzookeeper.ssl.keyStore.location=/tmp/client.jks -Dzookeeper.ssl.keyStore.password=password\n"
        '  -Dzookeeper.client.secure=true" ./zkServer.sh status\n \n'
        "Error contacting service. It is probably not running.\n")


def test_a_server_with_tls_alone_is_asked_by_tls(house_of, authority, kind, tmp_path):
    """The words are those of Java's script, and a server of either kind is asked by zabd's."""
    house = house_of()
    house.server.kill()
    for key in ("clientPort", "clientPortAddress"):
        del house.server.config[key]
    house.server.start(wait=False)
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "zoo.cfg").write_text(f"dataDir=/nowhere\nsecureClientPort={house.secure_port}\n")

    def status(**flags):
        words = " ".join(f"-Dzookeeper.{key}={value}" for key, value in {
            "ssl.keyStore.location": authority.path("alice.pem"), "ssl.trustStore.location": authority.path("trust.jks"),
            "ssl.trustStore.password": PASSWORD, **flags}.items() if value)
        return subprocess.run([places.ZABD, "zkServer.sh", "--config", conf, "status"], capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "CLIENT_JVMFLAGS": words})

    found = f"Client port found: {house.secure_port}. Client address: localhost. Client SSL: true.\n"
    # Whether `zookeeper.client.secure` is said makes no difference, as in Java.
    for secure in ("true", None):
        eventually(lambda: status(**{"client.secure": secure}).returncode == 0, what=lambda: status(**{"client.secure": secure}))
        asked = status(**{"client.secure": secure})
        assert asked.stdout.endswith(f"{found}Mode: standalone\n"), asked
    for flags, why in (({"ssl.trustStore.location": authority.path("foreign.crt"), "ssl.trustStore.type": "PEM"}, "UnknownIssuer"),
                       ({"ssl.keyStore.location": authority.path("stranger.pem")}, "does not believe the certificate that it was shown"),
                       ({"ssl.trustStore.location": tmp_path / "none.jks"}, "ssl.trustStore.location")):
        asked = status(**flags)
        assert asked.returncode == 1 and asked.stdout.endswith(found + NOTE.format(house.secure_port)), asked
        assert asked.stderr.splitlines()[-1].startswith("zkServer.sh: ") and why in asked.stderr, asked
