"""The manifests fit Kubernetes' own schemas, are whole in themselves, and ask zabd for nothing that it does not have."""

import copy
import hashlib
import json
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from harness import places

from . import keys, manifests
from .manifests import NAMES, RELEASES, Manifest, manifest

# Of the objects of the tutorial's own manifest, as JSON with sorted keys.
TUTORIALS_SHA256 = "8c4c9f29d0aef2728082b58af05f6846f2ba41ce67f6540ae92435fc8e4a1a1c"
PROMETHEUS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
# What we recommend: all but the tutorial's.
OURS = [name for name in NAMES if name != "zookeeper.yaml"]


@pytest.fixture(autouse=True)
def only_zabd(kind):
    if kind != "zabd":
        pytest.skip("manifests are for zabd")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", NAMES)
def test_every_object_fits_its_schema(name, release):
    for each in manifest(name).objects:
        if each["apiVersion"].startswith("monitoring.coreos.com/"):
            continue  # No kind of Kubernetes' own.
        kubernetes_validate.validate(each, release, strict=True)


def test_the_schemas_find_what_is_wrong():
    wrong = copy.deepcopy(manifest("zabd.yaml").set)
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[-1], strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_labels_meet_their_selectors(name):
    each = manifest(name)
    labels = each.pod["metadata"]["labels"]

    def meets(selector):
        return selector.items() <= labels.items()

    assert meets(each.set["spec"]["selector"]["matchLabels"])
    services = each.of("Service")
    assert all(meets(service["spec"]["selector"]) for service in services)
    assert each.set["spec"]["serviceName"] in [service["metadata"]["name"] for service in services]
    assert all(meets(budget["spec"]["selector"]["matchLabels"]) for budget in each.of("PodDisruptionBudget"))
    for policy in each.of("NetworkPolicy"):
        assert meets(policy["spec"]["podSelector"]["matchLabels"])
        assert meets(policy["spec"]["ingress"][1]["from"][0]["podSelector"]["matchLabels"])
    for constraint in each.pod["spec"].get("topologySpreadConstraints", []):
        assert meets(constraint["labelSelector"]["matchLabels"])


@pytest.mark.parametrize("name", NAMES)
def test_ports_and_volumes_are_those_of_the_container(name):
    each = manifest(name)
    ports = each.ports()
    for service in each.of("Service"):
        for port in service["spec"]["ports"]:
            assert port.get("targetPort", port["port"]) in [*ports, *ports.values()]
    for policy in each.of("NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            assert {port["port"] for port in rule["ports"]} <= set(ports)
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "httpGet" in each.container.get(kind, {}):
            assert each.container[kind]["httpGet"]["port"] == "probes"
            assert each.value("probes_port") == str(ports["probes"])
    claims = [claim["metadata"]["name"] for claim in each.set["spec"].get("volumeClaimTemplates", [])]
    volumes = [volume["name"] for volume in each.pod["spec"].get("volumes", [])]
    assert {mount["name"] for mount in each.container["volumeMounts"]} == {*claims, *volumes}


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_is_one_of_the_program(name):
    usage = subprocess.run([places.ZABD, "start-zookeeper", "-h"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^ +--(\w+) ", usage, re.M))
    program, *words = manifest(name).words()
    assert program == "start-zookeeper"
    assert {word.removeprefix("--").split("=")[0] for word in words} <= known
    assert manifest(name).value("servers") == str(manifest(name).set["spec"]["replicas"])


@pytest.mark.parametrize("name", OURS)
def test_pods_fit_the_restricted_level(name):
    """Of Kubernetes' Pod Security Standards."""
    pod, container = manifest(name).pod["spec"], manifest(name).container
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", OURS)
def test_what_members_need_to_find_each_other(name):
    each = manifest(name)
    members = each.of("Service", each.set["spec"]["serviceName"])
    assert members["spec"]["clusterIP"] == "None" and members["spec"]["publishNotReadyAddresses"] is True
    assert each.set["spec"]["podManagementPolicy"] == "Parallel"
    # A leader hands over for two seconds at most, and a member that ends must not be cut short.
    assert each.pod["spec"]["terminationGracePeriodSeconds"] >= 5
    for budget in each.of("PodDisruptionBudget"):
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" and budget["spec"]["maxUnavailable"] == 1


def test_the_tutorials_manifest_is_the_tutorials_but_for_the_image():
    """Object by object and field by field, as the page has it at the time of writing."""
    objects = copy.deepcopy(manifest("zookeeper.yaml").objects)
    container = objects[-1]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "zabd:compat"
    container["image"] = "registry.k8s.io/kubernetes-zookeeper:1.0-3.4.10"
    assert hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest() == TUTORIALS_SHA256


def test_the_tutorials_manifest_keeps_its_faults():
    """They are listed in docs/kubernetes.md, and not mended in silence."""
    each = manifest("zookeeper.yaml")
    affinity = each.pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    wanted = affinity["labelSelector"]["matchExpressions"][0]
    assert wanted["key"] not in each.pod["metadata"]["labels"], "the affinity selects nothing"
    assert each.set["spec"]["podManagementPolicy"] == "OrderedReady"
    assert "publishNotReadyAddresses" not in each.of("Service", "zk-hs")["spec"]
    assert each.value("data_log_dir").startswith(each.value("data_dir"))
    assert "startupProbe" not in each.container and "securityContext" not in each.container


def test_the_file_and_the_chart_are_the_same():
    """The chart with its default values makes zabd.yaml, but for Helm's labels and for flags that say what is so anyway."""
    file, chart = manifest("zabd.yaml"), manifest("as-file")

    def plain(each):
        each = copy.deepcopy(each)
        labels = each["metadata"]["labels"]
        each["metadata"]["labels"] = {key: labels[key] for key in labels if key.endswith(("/name", "/instance", "/component"))}
        if each["kind"] == "StatefulSet":
            each["spec"]["template"]["spec"]["containers"][0].pop("args")
        return each

    made = [plain(each) for each in chart.objects if "helm.sh/hook" not in each["metadata"].get("annotations", {})]
    key = lambda each: (each["kind"], each["metadata"]["name"])  # noqa: E731
    assert sorted(made, key=key) == sorted(map(plain, file.objects), key=key)
    assert set(file.words()) <= set(chart.words())


def test_helm_finds_nothing_to_mend():
    done = subprocess.run([manifests.HELM, "lint", "--strict", manifests.CHART], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", [
    {"replicaCount": 2}, {"replicaCount": "3"}, {"nosuch": 1}, {"image": {"tag": 1}}, {"image": {"digest": "sha256:1"}},
    {"config": {"snapCount": []}}, {"probes": {"port": 0}}, {"persistence": {"size": "much"}},
    {"terminationGracePeriodSeconds": 0}, {"logLevel": "LOUD"}, {"metrics": {"port": 0}},
    {"metrics": {"serviceMonitor": {"interval": "often"}}}])
def test_wrong_values_are_refused(values):
    with pytest.raises(ValueError, match="don't meet the specifications of the schema"):
        manifests.render(values)


def test_values_reach_the_objects():
    each = manifest("everything")
    assert each.set["metadata"]["name"] == "zabd-zoo"
    assert each.container["image"] == "registry.example:5000/x/zabd@sha256:" + "0" * 64
    environment = {variable["name"]: variable["value"] for variable in each.container["env"]}
    assert environment == {
        "JVMFLAGS": f"-DmetricsProvider.className={PROMETHEUS} -DmetricsProvider.httpPort=9001 -DglobalOutstandingLimit=2000 -DsnapCount=50000", "SERVER_JVMFLAGS": "-Djute.maxbuffer=2097152"}
    assert each.ports()["probes"] == 9000 and each.value("id_base") == "0"
    assert each.of("Service", "zabd-zoo")["spec"]["type"] == "LoadBalancer"
    assert each.set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    clients = each.of("NetworkPolicy")[0]["spec"]["ingress"][0]["from"]
    assert clients[0] == {"podSelector": {"matchLabels": {"k": "l"}}}
    labels = next(pod for pod in each.of("Pod"))["metadata"]["labels"]
    assert clients[1]["podSelector"]["matchLabels"].items() <= labels.items(), "`helm test` is let in"
    assert each.of("NetworkPolicy")[0]["spec"]["ingress"][2]["from"] == [{"namespaceSelector": {}}]
    alone = manifest("alone")
    assert "env" not in alone.container and "metrics" not in alone.ports() and not alone.of("ServiceMonitor")
    assert not alone.of("PodDisruptionBudget") and not alone.of("NetworkPolicy") and not alone.of("ServiceAccount")
    assert alone.pod["spec"]["volumes"] == [{"name": "data", "emptyDir": {}}]
    assert alone.pod["spec"]["serviceAccountName"] == "other"


def test_numbers_are_whole_however_large():
    """A file's numbers are floating ones for Helm."""
    each = Manifest("large", manifests.render({
        "tickTime": 4194304, "maxClientCnxns": 1000000, "terminationGracePeriodSeconds": 2000000, "minReadySeconds": 1000000,
        "purgeInterval": 1000000, "config": {"jute.maxbuffer": 4194304, "snapshotSizeFactor": 0.33, "skipACL": True}}))
    assert (each.value("tick_time"), each.value("max_client_cnxns"), each.value("purge_interval")) == ("4194304", "1000000", "1000000")
    assert each.pod["spec"]["terminationGracePeriodSeconds"] == 2000000 and each.set["spec"]["minReadySeconds"] == 1000000
    flags = each.container["env"][0]["value"].split()
    assert {"-Djute.maxbuffer=4194304", "-DsnapshotSizeFactor=0.33", "-DskipACL=true"} <= set(flags)
    texts = json.dumps(each.objects)
    assert "e+06" not in texts


@pytest.mark.parametrize("values, said", [
    *(({"config": {key: 1}}, f"config.{key}: the chart sets this key by a value of its own") for key in (
        "dataDir", "zookeeper.tickTime", "autopurge.purgeInterval", "metricsProvider.httpPort", "server.9", "zabd.probes.port")),
    *(({"config": {key: 1}}, f"config.{key}: the server has no such key") for key in ("bogusKey", "a key", "snapcount", "authProvider")),
    ({"config": {"4lw.commands.whitelist": "mntr, ruok"}}, 'config.4lw.commands.whitelist: "mntr, ruok" has a blank in it'),
    ({"config": {"snapCount": "1 -Dx=y"}}, "has a blank in it"),
    ({"podManagementPolicy": "OrderedReady"}, "must be Parallel: with OrderedReady the first member is waited for"),
    ({"extraEnv": [{"name": "ZABD_PROBES_PORT", "value": "1"}]}, "set probes.port"),
    ({"extraEnv": [{"name": "ZABD_ID_BASE", "value": "1"}]}, "set idBase"),
    ({"extraEnv": [{"name": "JVMFLAGS", "valueFrom": {}}]}, "JVMFLAGS must have a value")])
def test_what_cannot_work_is_refused_with_the_reason(values, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        manifests.render(values)


def test_the_chart_knows_every_key():
    assert keys.FILE.read_text() == keys.text(), "run `PYTHONPATH=tests .deps/venv/bin/python -m manifests.keys`"
    some = {"4lw.commands.whitelist": "mntr,ruok", "zookeeper.snapCount": 5, "authProvider.1": "x", "fips-mode": True,
            "connection_throttle_tokens": 1, "connectionMaxTokens": 1, "zabd.log.format": "json"}
    flags = Manifest("keys", manifests.render({"config": some})).container["env"][0]["value"]
    assert all(f"-D{key}=" in flags for key in some)


def test_variables_of_ones_own_leave_the_charts_words():
    each = Manifest("flags", manifests.render({"extraEnv": [{"name": "JVMFLAGS", "value": "-Dx=y"}, {"name": "A", "value": "b"}]}))
    assert [variable["name"] for variable in each.container["env"]] == ["JVMFLAGS", "A"]
    assert each.container["env"][0]["value"].split()[0] == "-Dx=y" and "metricsProvider" in each.container["env"][0]["value"]


def test_a_port_for_tls_is_in_everything_that_names_ports():
    each = Manifest("tls", manifests.render({"config": {"secureClientPort": 2281}}))
    assert each.ports()["secure-client"] == 2281
    assert {"name": "secure-client", "port": 2281, "targetPort": "secure-client"} in each.of("Service", "zabd")["spec"]["ports"]
    assert {"port": "secure-client"} in each.of("NetworkPolicy")[0]["spec"]["ingress"][0]["ports"]
    assert "secure-client" not in json.dumps(manifest("default").objects)


def test_no_two_members_share_a_node_unless_that_is_wanted():
    def rules(values):
        pod = Manifest("nodes", manifests.render(values)).pod
        return pod["spec"].get("affinity", {}).get("podAntiAffinity", {}), pod["metadata"]["labels"]

    for name in OURS:
        pod = manifest(name).pod
        (term,) = pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    rule, labels = rules({"podAntiAffinity": "preferred", "affinity": {"nodeAffinity": {}}})
    (soft,) = rule["preferredDuringSchedulingIgnoredDuringExecution"]
    assert soft["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels.items() and len(rule) == 1
    assert rules({"podAntiAffinity": "none"})[0] == {}
    assert rules({"affinity": {"podAntiAffinity": {"a": 1}}})[0] == {"a": 1}


@pytest.mark.parametrize("image, name, policy", [
    ({}, "zabd:hardened", "IfNotPresent"), ({"tag": ""}, "zabd:hardened", "IfNotPresent"), ({"tag": "compat"}, "zabd:compat", "IfNotPresent"),
    ({"repository": "x.example/zabd"}, "x.example/zabd:hardened", "Always"), ({"registry": "x.example"}, "x.example/zabd:hardened", "Always"),
    ({"registry": "x.example", "pullPolicy": "Never"}, "x.example/zabd:hardened", "Never"),
    ({"registry": "x.example", "digest": "sha256:" + "1" * 64}, "x.example/zabd@sha256:" + "1" * 64, "IfNotPresent")])
def test_the_image_is_one_that_there_is_and_no_old_one(image, name, policy):
    each = Manifest("image", manifests.render({"image": image}))
    assert (each.container["image"], each.container["imagePullPolicy"]) == (name, policy)
    built = (places.ROOT / "docker" / "build").read_text()
    assert "build -t zabd:hardened\n" in built, "the tag that goes without saying"


def test_a_label_of_everybodys_is_there_once():
    objects = manifests.render({"commonLabels": {"app.kubernetes.io/component": "other", "app.kubernetes.io/instance": "other"}})
    for each in (each for each in objects if each["kind"] != "Pod"):
        assert each["metadata"]["labels"]["app.kubernetes.io/component"] == "other"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "zabd", "what selectors look for stays"
    made = Manifest("labels", objects)
    assert made.set["spec"]["selector"]["matchLabels"].items() <= made.pod["metadata"]["labels"].items()


def monitors():
    """Each ServiceMonitor, beside the manifest whose members it is for."""
    file = yaml.safe_load((manifests.FOLDER / "prometheus" / "servicemonitor.yaml").read_text())
    return [(file, manifest("zabd.yaml")), (manifest("everything").of("ServiceMonitor")[0], manifest("everything"))]


def test_prometheus_finds_each_member():
    for monitor, each in monitors():
        (endpoint,) = monitor["spec"]["endpoints"]
        wanted = monitor["spec"]["selector"]["matchLabels"]
        found = [service for service in each.of("Service") if wanted.items() <= service["metadata"]["labels"].items()
                 and endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]]
        assert [service["metadata"]["name"] for service in found] == [each.set["spec"]["serviceName"]]
        port = each.ports()["metrics"]
        flags = next(variable["value"] for variable in each.container["env"] if variable["name"] == "JVMFLAGS").split()
        assert flags[:2] == [f"-DmetricsProvider.className={PROMETHEUS}", f"-DmetricsProvider.httpPort={port}"]
        assert endpoint["path"] == "/metrics"
    made = manifest("everything").of("ServiceMonitor")[0]
    assert made["metadata"]["labels"]["release"] == "prometheus" and made["spec"]["endpoints"][0]["interval"] == "15s"
    assert not manifest("default").of("ServiceMonitor")


def test_long_names_leave_room_for_what_kubernetes_adds():
    objects = manifests.render({"nameOverride": "n" * 40})
    names = [each["metadata"]["name"] for each in objects if each["kind"] == "StatefulSet"]
    # `-members` for the service, and an ordinal and a hash for pods and their revisions.
    assert max(map(len, names)) <= 63 - len("-0-7c8d9f6b5d")


def test_the_compose_file_starts_what_there_is():
    compose = yaml.safe_load((places.ROOT / "docker" / "compose.yaml").read_text())
    servers = compose["services"]
    assert list(servers) == ["zk-0", "zk-1", "zk-2"]
    usage = subprocess.run([places.ZABD, "start-zookeeper", "-h"], capture_output=True, text=True, check=True).stdout
    for name, server in servers.items():
        assert server["hostname"] == name and server["networks"]["ensemble"]["aliases"] == [f"{name}.zk"]
        assert server["entrypoint"] == ["start-zookeeper"] and "--domain=zk" in server["command"]
        assert {word.split("=")[0] for word in server["command"]} <= set(re.findall(r"--\w+", usage))
        assert server["read_only"] and server["user"] == "1000:1000" and server["cap_drop"] == ["ALL"]
        mounts = [volume.split(":")[1] for volume in server["volumes"]]
        written = [word.split("=")[1] for word in server["command"] if "_dir=" in word]
        assert all(any(path.startswith(mount) for mount in mounts) for path in written)
