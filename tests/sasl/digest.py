"""A client's half of DIGEST-MD5, by the text of RFC 2831, with every part in the hands of a test."""

import hashlib
import re

from harness import wire
from harness.wire import Reader, Writer

NAME = "zk-sasl-md5"
CLIENT_NONCE = "OA6MHXh6VqTrRk"
NONCE = re.compile(rb'nonce="([A-Za-z0-9+/]{40})"')


def md5(data):
    return hashlib.md5(data).digest()


def answer(challenge, user, password, service=f"zookeeper/{NAME}", realm=NAME, acts_as=None):
    """The response to a challenge, as Java's clients write it."""
    nonce = NONCE.search(challenge)[1].decode()
    proof, _ = proofs(nonce, user, password, service, realm, acts_as or user)
    text = (
        f'charset=utf-8,username="{user}",realm="{realm}",nonce="{nonce}",nc=00000001,cnonce="{CLIENT_NONCE}",'
        f'digest-uri="{service}",maxbuf=65536,response={proof},qop=auth,authzid="{acts_as or user}"')
    return text.encode()


def proofs(nonce, user, password, service=f"zookeeper/{NAME}", realm=NAME, acts_as=None):
    """What the client has to show, and what the server has to."""
    account = md5(b":".join(_latin1(text) for text in (user, realm, password)))
    a1 = md5(b":".join([account, nonce.encode(), CLIENT_NONCE.encode(), (acts_as or user).encode()])).hex()

    def proof(method):
        a2 = md5(f"{method}:{service}".encode()).hex()
        return md5(f"{a1}:{nonce}:00000001:{CLIENT_NONCE}:auth:{a2}".encode()).hex()

    return proof("AUTHENTICATE"), proof("")


def _latin1(text):
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def send(session, token):
    """One SASL packet: the reply's error and token."""
    reply = session.call(wire.SASL, Writer().buffer(token).bytes)
    assert reply.zxid == 0
    reader = Reader(reply.body)
    received = reader.buffer()
    reader.done()
    return reply.err, received


def begin(session):
    """The server's challenge."""
    err, challenge = send(session, b"")
    assert err == 0
    return challenge


def log_in(session, user, password, **more):
    """A whole exchange: the last reply's error and token."""
    return send(session, answer(begin(session), user, password, **more))
