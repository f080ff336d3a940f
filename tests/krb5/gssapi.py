"""A client's half of GSSAPI (RFC 4752), with every part in the hands of a test. Contexts are MIT's, whose words it raises."""

import base64
import struct

import kerberos

from sasl.digest import send

NO_LAYER = 1


class Client:
    """One exchange, as whoever this process's tickets are of."""

    def __init__(self, service="zookeeper@localhost", flags=kerberos.GSS_C_MUTUAL_FLAG | kerberos.GSS_C_SEQUENCE_FLAG):
        _, self.context = kerberos.authGSSClientInit(service, gssflags=flags)

    def step(self, token=b""):
        """The context's answer to a token."""
        kerberos.authGSSClientStep(self.context, base64.b64encode(token).decode())
        return base64.b64decode(kerberos.authGSSClientResponse(self.context) or "")

    def wrap(self, message):
        kerberos.authGSSClientWrap(self.context, base64.b64encode(message).decode())
        return base64.b64decode(kerberos.authGSSClientResponse(self.context))

    def unwrap(self, token):
        kerberos.authGSSClientUnwrap(self.context, base64.b64encode(token).decode())
        return base64.b64decode(kerberos.authGSSClientResponse(self.context) or "")


def choice(layer=NO_LAYER, size=0, name=b""):
    """What a client says last."""
    return struct.pack(">I", layer << 24 | size) + name


def offered(session, client=None):
    """Goes up to the server's offer of layers: the client, and the offer."""
    client = client or Client()
    err, proof = send(session, client.step())
    assert err == 0, err
    assert client.step(proof) == b""
    err, offer = send(session, b"")
    assert err == 0
    return client, client.unwrap(offer)


def log_in(session, name=b"", client=None):
    """A whole exchange: the last reply's error and token."""
    client, _ = offered(session, client)
    return send(session, client.wrap(choice(name=name)))
