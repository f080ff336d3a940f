"""What once parted zabd from Java, as short as it can be said: each case is a row of bursts by client 0, named for what it shows.

A random walk that parts becomes a case here; the names of its znodes begin with its own.
"""

from harness import wire

from . import requests as ask

OPEN = wire.OPEN_ACL


def entry(scheme, name):
    """A list of one entry."""
    return ((31, scheme, name),)


def each_alone(*requests):
    """One burst for each request."""
    return [(request,) for request in requests]


CASES = {
    "sync_echoes_null": each_alone(ask.sync(None)),
    "an_encoded_surrogate_is_one_malformed_character": each_alone(
        ask.sync(b"/\xed\xa0\x80"), ask.sync(b"/\xed\xa0"), ask.sync(b"\xff\xed\xbf\xbf\xed"),
        ask.set_watches(0, data=[b"/\xed\xa0\x80"])),
    "characters_of_four_bytes_come_back": each_alone(ask.sync("/𝄞"), ask.set_watches(0, child=["/𝄞/x"])),
    "an_entry_without_an_id_is_a_marshalling_error_if_its_scheme_is_known": each_alone(
        *(ask.create("/ids", acl=entry(scheme, None)) for scheme in ("world", "digest", "ip", "auth", "sasl", "nonsense", None)),
        *(ask.set_acl("/", acl=entry(scheme, None)) for scheme in ("world", "digest", "ip", "auth", "sasl", "nonsense", None))),
    "an_entry_without_an_id_fails_a_whole_multi": each_alone(
        ask.multi(ask.create("/whole"), ask.create("/whole/a", acl=entry("ip", None)), ask.delete("/none")),
        ask.multi(ask.delete("/none"), ask.create("/whole", acl=entry("ip", None))),
        ask.exists("/whole"), ask.create("/whole-", flags=2)),
    "digest_ids_are_split_at_colons_as_java_splits": each_alone(
        *(ask.create("/digest-", acl=entry("digest", name), flags=2)
          for name in (":x", "a:b:", "a:b::", "a:", "a", ":", "::", "", "a:b:c"))),
    "addresses_are_read_as_java_reads_them": each_alone(
        *(ask.create("/ip-", acl=entry("ip", name), flags=2) for name in (
            "127.000.000.01", "127.0.0.0/08", "127.0.0.0/+8", "127.0.0.0/", "127.0.0.256", "127.0.0.", "::ffff:127.0.0.1", "::",
            "1::/0", ":::", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8:9", "12345::", "127.0.0.1%lo", "fe80::1%lo"))),
    "a_null_path_is_found_where_java_needs_it": each_alone(
        ask.create(None), ask.create(None, flags=3, opcode=wire.CREATE2), ask.delete(None), ask.set_data(None), ask.set_acl(None),
        ask.set_acl(None, acl=()), ask.exists(None), ask.get_data(None), ask.get_acl(None), ask.get_children(None),
        ask.get_children2(None), ask.get_all_children_number(None), ask.get_ephemerals(None), ask.multi(ask.check(None)),
        ask.multi(ask.create("/path"), ask.delete(None)), ask.multi(ask.set_data(None)), ask.exists("/path")),
    "a_body_cut_behind_a_null_path_takes_no_zxid": each_alone(
        *(ask.cut(request, 5) for request in (ask.create(None), ask.delete(None), ask.set_data(None), ask.set_acl(None))),
        ask.create("/cut-", flags=2)),
    "blank_prefixes_ask_for_all_ephemerals": each_alone(
        ask.create("/blank", flags=1),
        *(ask.get_ephemerals(prefix) for prefix in ("", " ", " / ", "/ ", "/b", " /b", "/x", None))),
    "below_its_empty_name_the_root_counts_itself": each_alone(ask.get_all_children_number(""), ask.get_all_children_number("/")),
    "flags_choose_what_a_create_in_a_multi_makes": each_alone(
        *(ask.multi(ask.create("/flags-", flags=flags, opcode=wire.CREATE_TTL, ttl=1000), ask.create("/flags-", flags=2))
          for flags in (0, 1, 2, 3, 4, 5, 6, 7, -1)),
        *(ask.multi(ask.create("/flags-", flags=flags, opcode=opcode), ask.create("/flags-", flags=2))
          for opcode in (wire.CREATE, wire.CREATE2) for flags in range(-1, 8)),
        *(ask.multi(ask.create("/flags-c", flags=flags, opcode=wire.CREATE_CONTAINER)) for flags in (4, 5, 6, 7)),
        ask.multi(ask.create("/flags-", flags=5, opcode=wire.CREATE_TTL, ttl=0)), ask.get_children2("/")),
    "a_create_in_a_multi_without_a_list_takes_no_zxid": each_alone(
        *(ask.multi(ask.create("/list", acl=None, opcode=opcode, flags=flags)) for opcode, flags in (
            (wire.CREATE, 0), (wire.CREATE, 5), (wire.CREATE, 7), (wire.CREATE2, 0), (wire.CREATE_CONTAINER, 4))),
        ask.multi(ask.create("/list", acl=None, opcode=wire.CREATE_TTL, flags=5, ttl=1000)),
        ask.create("/list", acl=None), ask.multi(ask.create("/list", acl=())), ask.exists("/list")),
}
