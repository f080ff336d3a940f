"""A cluster with one StatefulSet, and what Kubernetes does with it: kubelet, DNS, the controller, evictions."""

import random
import re
import threading
import time

from harness import wire
from harness.waiting import eventually

from .network import Names, Network
from .pods import Image, Pod, make_volume
from .wishes import CLIENT_PORT, NAMESPACE

READY_SECONDS_MAX = 60
TICK_SECONDS = 0.05


def ask(address, word):
    """The answer to a four-letter word; empty while nobody listens."""
    try:
        connection = wire.Connection(CLIENT_PORT, host=address)
        connection.send(word.encode())
        return connection.until_closed().decode()
    except OSError:
        return ""


class Cluster:
    """A cluster with one StatefulSet, whose pods are `pods`, by their ordinals."""

    def __init__(self, wishes, directory, docker=None):
        self.wishes, self.directory = wishes, directory
        self.ordinals = range(wishes.replicas)
        self.image = docker or Image(directory / "image")
        self.volumes = [make_volume(directory / f"volume-{ordinal}") for ordinal in self.ordinals]
        self.pods = {}
        self.restarts = []
        self.network = docker or Network()
        self.names = Names(self.network.node)
        self.names.services[f"{wishes.service}.{NAMESPACE}"] = self.endpoint
        self.lock = threading.RLock()
        self.ends = threading.Event()
        self.failure = None
        self.kubelet = threading.Thread(target=self._run_kubelet, daemon=True)
        self.kubelet.start()

    def close(self):
        self.ends.set()
        self.kubelet.join()
        for pod in self.pods.values():
            pod.lose()
        self.names.close()
        self.network.close()
        if self.failure:
            raise self.failure

    # --- The kubelet ---------------------------------------------------------------------------------------------------

    def _run_kubelet(self):
        try:
            with self.network.node.entered():
                while not self.ends.wait(TICK_SECONDS):
                    for ordinal in self.ordinals:
                        with self.lock:
                            if pod := self.pods.get(ordinal):
                                self._look_after(pod)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def _look_after(self, pod):
        if pod.is_ending:
            return
        if not pod.container.is_running:
            self._restart(pod, "failed" if pod.container.runtime.returncode else "ended")
            return
        if not pod.has_started:
            pod.has_started = bool(self._probe(pod, "startup"))
            return
        if (is_ready := self._probe(pod, "readiness")) is not None:
            self._set_ready(pod, is_ready)
        if self._probe(pod, "liveness") is False:
            pod.container.stop()
            self._restart(pod, "was not live")

    def _probe(self, pod, kind):
        """What comes of it, if it is due and that is news: a success, or one failure too many."""
        probe, now = getattr(self.wishes, kind), time.monotonic()
        if probe is None or now < pod.due.get(kind, pod.container.started + probe.delay_seconds):
            return None
        pod.due[kind] = now + probe.period_seconds
        if probe.succeeds(pod):
            pod.failures[kind] = 0
            return True
        pod.failures[kind] = pod.failures.get(kind, 0) + 1
        return False if pod.failures[kind] >= probe.failures_max else None

    def _restart(self, pod, why):
        self._set_ready(pod, False)
        pod.start()
        self.restarts.append((pod.name, why))

    def _set_ready(self, pod, is_ready):
        if is_ready != pod.is_ready:
            pod.is_ready, pod.ready_since = is_ready, time.monotonic()
        if is_ready or self.wishes.has_early_names:
            self.names.known[pod.domain_name] = pod.address
        else:
            self.names.known.pop(pod.domain_name, None)

    # --- The controller, and whoever deletes pods ------------------------------------------------------------------------

    def create_pod(self, ordinal):
        """A pod on its volume, at a new address."""
        plug = self.network.plug(f"{self.wishes.name}-{ordinal}", self.wishes.domain)
        pod = Pod(self.wishes, ordinal, plug, self.volumes[ordinal], self.image, self.directory)
        with self.lock:
            pod.start()
            self.pods[ordinal] = pod
            self._set_ready(pod, False)
        return pod

    def delete_pod(self, ordinal):
        """Takes it from the names and from the service, and ends it; gives the exit code."""
        with self.lock:
            pod = self.pods[ordinal]
            pod.is_ending = True
            self._set_ready(pod, False)
            self.names.known.pop(pod.domain_name, None)
        code = pod.delete()
        with self.lock:
            del self.pods[ordinal]
        return code

    def await_ready(self, *ordinals):
        """Returns when these pods, or all, are ready."""
        def is_ready():
            if self.failure:
                raise self.failure
            pods = [self.pods.get(ordinal) for ordinal in ordinals or self.ordinals]
            now = time.monotonic()
            return all(pod and pod.is_ready and pod.ready_since + self.wishes.min_ready_seconds <= now for pod in pods)
        eventually(is_ready, READY_SECONDS_MAX, lambda: {pod.name: pod.container.said()[-1500:] for pod in self.pods.values()})

    def apply(self):
        """`kubectl apply`: the pods, in the manifest's order."""
        for ordinal in self.ordinals:
            self.create_pod(ordinal)
            if self.wishes.is_ordered:
                self.await_ready(ordinal)
        self.await_ready()

    def delete(self):
        """`kubectl delete statefulset`: all pods at the same time. Gives the exit codes."""
        codes = {}
        endings = [
            threading.Thread(target=lambda ordinal=ordinal: codes.update({ordinal: self.delete_pod(ordinal)}))
            for ordinal in list(self.pods)]
        for ending in endings:
            ending.start()
        for ending in endings:
            ending.join()
        return codes

    def replace_pod(self, ordinal):
        """One step of a rolling update; gives the exit code of the old one."""
        code = self.delete_pod(ordinal)
        self.create_pod(ordinal)
        self.await_ready(ordinal)
        return code

    def evict(self, ordinal):
        """What `kubectl drain` asks for: refused if more than one pod would not be ready (`maxUnavailable: 1`)."""
        others = [other for other in self.ordinals if other != ordinal]
        if not all(other in self.pods and self.pods[other].is_ready for other in others):
            return False
        self.delete_pod(ordinal)
        return True

    def lose_pod(self, ordinal):
        """Its node dies: nothing is heard of it any more, and after a while its pod is taken for gone."""
        with self.lock:
            pod = self.pods.pop(ordinal)
            pod.is_ending = True
            self.names.known.pop(pod.domain_name, None)
        pod.lose()

    # --- Clients -----------------------------------------------------------------------------------------------------------

    def endpoint(self):
        """The address of some pod that is ready, as the service of clients picks one; none if there is none."""
        ready = [pod.address for pod in list(self.pods.values()) if pod.is_ready]
        return random.choice(ready) if ready else None

    def session(self, ordinal):
        """A session with one pod, as soon as it lets clients in."""
        def attempt():
            try:
                return wire.Session(CLIENT_PORT, host=self.pods[ordinal].address)
            except (OSError, wire.Closed):
                return None

        with self.network.node.entered():
            return eventually(attempt, READY_SECONDS_MAX, f"a session with ordinal {ordinal}")

    def word(self, ordinal, word):
        """The answer to a four-letter word; empty while nobody listens."""
        with self.network.node.entered():
            return ask(self.pods[ordinal].address, word)

    def role(self, ordinal, seconds=READY_SECONDS_MAX):
        """`leader` or `follower`, as soon as it is one."""
        def look():
            return re.search("Mode: (leader|follower)", self.word(ordinal, "srvr"))
        return eventually(look, seconds, f"a role of ordinal {ordinal}").group(1)

    def leader(self):
        """The ordinal of who leads; waits until somebody does."""
        def find():
            return [ordinal for ordinal in list(self.pods) if "Mode: leader" in self.word(ordinal, "srvr")]
        return eventually(find, READY_SECONDS_MAX, "a leader")[0]
