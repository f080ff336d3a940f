"""What a manifest of k8s/ wants for its pods, as the kubelet and the controller read it. Its seconds are tenths here."""

from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from manifests.manifests import manifest

SECONDS = 0.1
CLIENT_PORT = 2181
NAMESPACE = "default.svc.cluster.local"


@dataclass(frozen=True)
class Probe:
    """A question that the kubelet asks a container: words to run in it, or a path and a port."""

    words: tuple
    http: tuple
    delay_seconds: float
    period_seconds: float
    failures_max: int

    @classmethod
    def of(cls, container, kind):
        """The container's probe of this kind, with Kubernetes' defaults; none if it has none."""
        wanted = container.get(kind)
        if wanted is None:
            return None
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        http = wanted.get("httpGet")
        return cls(
            tuple(wanted.get("exec", {}).get("command", ())),
            http and (http["path"], ports.get(http["port"], http["port"])),
            SECONDS * wanted.get("initialDelaySeconds", 0), SECONDS * wanted.get("periodSeconds", 10),
            wanted.get("failureThreshold", 3))

    def succeeds(self, pod):
        """Asks, as from the pod's node."""
        if self.words:
            return pod.container.exec(*self.words).returncode == 0
        path, port = self.http
        connection = HTTPConnection(pod.address, port, timeout=1)
        try:
            connection.request("GET", path)
            return 200 <= connection.getresponse().status < 400
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True)
class Wishes:
    """One StatefulSet."""

    name: str
    domain: str
    # The service of clients.
    service: str
    replicas: int
    command: tuple
    variables: tuple
    volume_at: str
    is_ordered: bool
    # Names resolve before their pods are ready.
    has_early_names: bool
    has_read_only_root: bool
    min_ready_seconds: float
    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None

    @classmethod
    def of(cls, name):
        """Those of a file."""
        read = manifest(name)
        spec, container = read.set["spec"], read.container
        services = [each["metadata"]["name"] for each in read.of("Service")]
        return cls(
            name=read.set["metadata"]["name"],
            domain=f"{spec['serviceName']}.{NAMESPACE}",
            service=next(name for name in services if name != spec["serviceName"]),
            replicas=spec["replicas"],
            command=(*container["command"], *container.get("args", ())),
            variables=tuple((each["name"], each["value"]) for each in container.get("env", ())),
            volume_at=container["volumeMounts"][0]["mountPath"],
            is_ordered=spec["podManagementPolicy"] == "OrderedReady",
            has_early_names=read.of("Service", spec["serviceName"])["spec"].get("publishNotReadyAddresses", False),
            has_read_only_root=container.get("securityContext", {}).get("readOnlyRootFilesystem", False),
            min_ready_seconds=SECONDS * spec.get("minReadySeconds", 0),
            startup=Probe.of(container, "startupProbe"),
            readiness=Probe.of(container, "readinessProbe"),
            liveness=Probe.of(container, "livenessProbe"))


# As the tutorial has it: pods one after the other, one exec probe, names that resolve once a pod is ready.
TUTORIAL = Wishes.of("zookeeper.yaml")
# As we recommend it: all at once, HTTP probes, names that resolve at once, a root that nobody writes.
RECOMMENDED = Wishes.of("zabd.yaml")
