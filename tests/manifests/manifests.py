"""The manifests of k8s/ as objects: those that are files, and those that the chart makes."""

import functools
import subprocess
from dataclasses import dataclass

import yaml

from harness.places import DEPS, ROOT

FOLDER = ROOT / "k8s"
CHART = FOLDER / "chart"
HELM = DEPS / "helm" / "helm"
# The oldest and the newest release whose schemas they must fit.
RELEASES = ("1.30", "1.37")

# Values of the chart that reach every branch of its templates.
VALUES = {
    "default": {},
    "as-file": {"fullnameOverride": "zabd"},
    "alone": {
        "replicaCount": 1, "persistence": {"enabled": False}, "pdb": {"enabled": False}, "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False, "name": "other"}, "topologySpreadConstraints": [], "resources": {},
        "metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}},
    "everything": {
        "nameOverride": "zoo", "commonLabels": {"team": "a"}, "replicaCount": 5, "idBase": 0,
        "image": {"registry": "registry.example:5000", "repository": "x/zabd", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}], "config": {"globalOutstandingLimit": 2000, "snapCount": 50000},
        "service": {"type": "LoadBalancer", "port": 2182, "annotations": {"a": "b"}},
        "persistence": {"storageClass": "fast", "annotations": {"c": "d"}}, "probes": {"port": 9000},
        "priorityClassName": "high", "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}}, "podAnnotations": {"e": "f"}, "podLabels": {"g": "h"},
        "extraEnv": [{"name": "SERVER_JVMFLAGS", "value": "-Djute.maxbuffer=2097152"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}], "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "serviceAccount": {"annotations": {"i": "j"}},
        "metrics": {"port": 9001, "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}}},
        "networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"k": "l"}}}], "metrics": [{"namespaceSelector": {}}]}},
}


@dataclass
class Manifest:
    """All objects of one manifest."""

    name: str
    objects: list

    def of(self, kind, name=None):
        """The objects of a kind, or the one of a name."""
        found = [each for each in self.objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
        return found if name is None else found[0]

    @property
    def set(self):
        """Its StatefulSet."""
        return self.of("StatefulSet")[0]

    @property
    def pod(self):
        """What its pods are made of."""
        return self.set["spec"]["template"]

    @property
    def container(self):
        """The one container in them."""
        return self.pod["spec"]["containers"][0]

    def words(self):
        """What is started: a shell's string is taken apart."""
        words = [*self.container["command"], *self.container.get("args", [])]
        return words[2].split() if words[:2] == ["sh", "-c"] else words

    def value(self, flag):
        """What a flag of `start-zookeeper` is given."""
        return next(word.split("=", 1)[1] for word in self.words() if word.startswith(f"--{flag}="))

    def ports(self):
        """The ports of the container by name."""
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}


class OnceLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML's readers take either."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key stands twice: {keys}")
        return super().construct_mapping(node, deep)


def render(values, *words):
    """What `helm template` makes of some values; its mistakes are raised."""
    done = subprocess.run(
        [HELM, "template", "zabd", CHART, "--namespace", "there", "--kube-version", "1.34.0", "--values", "-", *words],
        input=yaml.safe_dump(values), capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise ValueError(done.stderr)
    return [each for each in yaml.load_all(done.stdout, OnceLoader) if each]


@functools.cache
def manifest(name):
    """One manifest: the name of a file, or of values of the chart."""
    if name.endswith(".yaml"):
        return Manifest(name, list(yaml.safe_load_all((FOLDER / name).read_text())))
    return Manifest(name, render(VALUES[name]))


NAMES = [path.name for path in sorted(FOLDER.glob("*.yaml"))] + list(VALUES)
