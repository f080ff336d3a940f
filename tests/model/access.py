"""The model's access lists: which ones may be set, whom they let in, what of them is shown.

A list is a tuple of (permissions, scheme, id); who asks is a set of (scheme, id).
"""

import base64
import hashlib
import ipaddress
import re

from harness.java_order import in_java_order
from harness.servers import SUPER_DIGEST

from .errors import INVALID_ACL, MARSHALLING, Refused

READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16
ADDRESS = ("ip", "127.0.0.1")
SUPER = ("super", "")
ANYONE = ("world", "anyone")


def proved_by(text):
    """The identities that digest authentication adds."""
    digest = text.split(":")[0] + ":" + base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
    return {("digest", digest)} | ({SUPER} if digest == SUPER_DIGEST else set())


def user(identity):
    """The name by which whoAmI tells of an identity."""
    scheme, name = identity
    return name.split(":")[0] if scheme == "digest" else name


def allows(acl, wanted, identities):
    """Whether one of the wanted permissions is given; a list without entries protects nothing."""
    return not acl or SUPER in identities or any(
        permissions & wanted and matches((scheme, name), identities) for permissions, scheme, name in acl)


def matches(entry, identities):
    if entry == ANYONE or entry in identities:
        return True
    scheme, name = entry
    if scheme != "ip":
        return False
    bits, count = network(name)
    own = [network(address)[0] for kind, address in identities if kind == "ip"]
    return any(len(each) == len(bits) and each[:count] == bits[:count] for each in own)


def network(text):
    """The bits of an address and how many of them count, or None if it is neither address nor network."""
    address, slash, bits = text.partition("/")
    packed = packed_v6(address) if ":" in address else packed_v4(address)
    if packed is None or slash and not re.fullmatch(r"\+?[0-9]+", bits):
        return None
    width = 8 * len(packed)
    count = int(bits) if slash else width
    return (f"{int.from_bytes(packed):0{width}b}", count) if count <= width else None


def packed_v4(text):
    parts = text.split(".")
    if len(parts) != 4 or not all(re.fullmatch(r"[0-9]+", part) and int(part) < 256 for part in parts):
        return None
    return bytes(int(part) for part in parts)


def packed_v6(text):
    try:
        return None if "." in text or "%" in text else ipaddress.IPv6Address(text).packed
    except ValueError:
        return None


def fixed(acl, identities):
    """The list as it is stored: each entry once, `auth` replaced by what the connection has proved."""
    entries = []
    for permissions, scheme, name in dict.fromkeys(acl or ()):
        if scheme == "auth":
            proved = [(permissions, kind, each) for kind, each in in_java_order(identities) if kind == "digest"]
            if not proved:
                raise Refused(INVALID_ACL)
            entries += proved
        elif is_valid(scheme, name):
            entries.append((permissions, scheme, name))
        else:
            raise Refused(INVALID_ACL)
    if not entries:
        raise Refused(INVALID_ACL)
    return tuple(entries)


def is_valid(scheme, name):
    if scheme not in ("world", "digest", "ip"):
        return False
    if name is None:
        raise Refused(MARSHALLING)  # Java looks into the id before it looks whether there is one.
    if scheme == "world":
        return name == "anyone"
    if scheme == "digest":
        return name.rstrip(":").count(":") == 1
    return network(name) is not None


def masked(acl):
    """The list without the hashes of passwords."""
    return tuple(
        (permissions, scheme, name.split(":")[0] + ":x" if scheme == "digest" else name) for permissions, scheme, name in acl)
