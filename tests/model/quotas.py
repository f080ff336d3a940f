"""The model's quotas: which parts of the tree have limits, and the texts that say how much they hold. Nothing enforces them."""

import re

ROOT, LIMITS, STATS = "/zookeeper/quota", "/zookeeper_limits", "/zookeeper_stats"


def stands_for(path, name):
    """The part of the tree of which this is the special znode of that name; nothing, if it is none."""
    return path[len(ROOT):-len(name)] if path.startswith(ROOT + "/") and path.endswith(name) else ""


def stats_of(part):
    return f"{ROOT}{part}{STATS}"


def counted_on(data, count, size):
    """The text of a usage when so much has come or gone: what else it says stays."""
    numbers = {"count": -1, "bytes": -1}
    for pair in re.split("[,;]+", data.decode().rstrip(",;")):
        name, number = pair.split("=")[:2]
        numbers[name] = int(number)
    return text(numbers.pop("count") + count, numbers.pop("bytes") + size, numbers)


def text(count, size, others=()):
    kept = "".join(f";{name}={number}" for name, number in sorted(dict(others).items()))
    return f"count={count},bytes={size}{'=' if kept else ''}{kept}".encode()


def covering(parts, path):
    """The nearest part with limits that a path is in, or nothing."""
    while path and path not in parts:
        path = path[:path.rindex("/")]
    return path
