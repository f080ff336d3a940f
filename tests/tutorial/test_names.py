"""A pod whose name does not resolve yet, or still to where it was, is a member all the same.

In the tutorial's manifest a name resolves when its pod is ready, and a probe by `ruok` says so of a server without a quorum. The
controller goes on to the next pod at once. If a server had to wait for its own name, it and the next one would be away together.
"""

from dataclasses import replace

import pytest

from .wishes import TUTORIAL

NEVER = 1e9
# A dial to an address that nobody has fails after three seconds.
ROLE_SECONDS_MAX = 2.5


@pytest.mark.parametrize("is_stale", [False, True], ids=["unknown", "stale"])
def test_a_pod_is_a_member_before_its_name_resolves(run, is_stale):
    cluster = run(TUTORIAL)
    for ordinal in cluster.ordinals:
        cluster.role(ordinal)
    cluster.wishes = replace(TUTORIAL, readiness=replace(TUTORIAL.readiness, delay_seconds=NEVER))
    for ordinal in reversed(cluster.ordinals):
        before = cluster.pods[ordinal]
        cluster.delete_pod(ordinal)
        after = cluster.create_pod(ordinal)
        if is_stale:
            cluster.names.known[before.domain_name] = before.address
        assert cluster.role(ordinal, ROLE_SECONDS_MAX)
        assert cluster.names.known.get(after.domain_name) != after.address
        cluster.names.known[after.domain_name] = after.address
