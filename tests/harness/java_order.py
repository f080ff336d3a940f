"""In which order Java keeps a connection's identities: `ServerCnxn.authInfo` is a `ConcurrentHashMap` of records of two strings."""


def in_java_order(identities):
    """Different (scheme, id) in the order in which they were proved, as a connection that proved them all lists them."""
    buckets = [[] for _ in range(16)]
    for count, identity in enumerate(identities, 1):
        buckets[spread(hash_of_record(identity)) % len(buckets)].append(identity)
        if count >= len(buckets) * 3 // 4:
            buckets = grown(buckets)
    return [identity for bucket in buckets for identity in bucket]


def grown(buckets):
    """Twice as many. The end of a bucket that goes to one half as a whole stays as it is; each before it comes to the front."""
    halves = [[], []]
    for bucket in buckets:
        half_of = [spread(hash_of_record(identity)) // len(buckets) % 2 for identity in bucket]
        end = len(bucket)
        while end > 0 and half_of[end - 1] == half_of[-1]:
            end -= 1
        for half in (0, 1):
            lists = [[identity for identity, its in zip(bucket[part], half_of[part]) if its == half] for part in (slice(end), slice(end, None))]
            halves[half].append(lists[0][::-1] + lists[1])
    return halves[0] + halves[1]


def hash_of_text(text):
    value, units = 0, text.encode("utf-16-be")
    for high, low in zip(units[::2], units[1::2]):
        value = (31 * value + 256 * high + low) & 0xFFFFFFFF
    return value


def hash_of_record(fields):
    value = 17
    for field in fields:
        value = (37 * value + hash_of_text(field)) & 0xFFFFFFFF
    return value


def spread(value):
    return value ^ value >> 16
