"""The Helm chart: rendered, held against the schemas of Kubernetes, and against the commands and settings that there really are."""

import contextlib
import json
import re
import subprocess
import sys
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from sqlalchemy import text

from infra.database.session import Database
from infra.settings import PREFIX, Settings
from tests.infra.test_deploy import AWS, grace_of, parses
from tests.support.repository import ROOT

CHART = ROOT / "infra" / "kubernetes" / "stenopool"
ROLES = {"api", "worker-cpu", "worker-io", "scheduler"}
OWN_RESOURCES = {"keda": {"enabled": True}, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
EVERYTHING = {
    **OWN_RESOURCES,
    "ingress": {"enabled": True, "tlsSecret": "tls"},
    "models": {"existingClaim": "weights"},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"pool": "speech"},
    "tolerations": [{"key": "speech", "operator": "Exists"}],
    "podAnnotations": {"example.org/why": "because"},
}
# A Go library is loaded for it: in a process of its own, which never forks.
RENDER = """
import json, sys
import helm_python
with helm_python.Chart.load(sys.argv[1]) as chart:
    json.dump([chart.render(values, name="speech", namespace="audio") for values in json.load(sys.stdin)], sys.stdout)
"""
Resource = dict[str, Any]

TEXT = {"type": "string"}
CALLED = {
    "apiVersion": TEXT,
    "kind": TEXT,
    "metadata": {"type": "object", "required": ["name", "labels"]},
}


def closed(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split() or list(properties),
        "additionalProperties": False,
    }


# What others' resources may say, as far as we say it: their own schemas come with their controllers.
OTHERS = {
    "TriggerAuthentication": closed(
        **CALLED, spec=closed(secretTargetRef={"type": "array", "items": closed(parameter=TEXT, name=TEXT, key=TEXT)})
    ),
    "ScaledObject": closed(
        **CALLED,
        spec=closed(
            scaleTargetRef=closed(name=TEXT),
            minReplicaCount={"type": "integer", "minimum": 0},
            maxReplicaCount={"type": "integer", "minimum": 1},
            pollingInterval={"type": "integer"},
            cooldownPeriod={"type": "integer"},
            advanced={"type": "object"},
            triggers={
                "type": "array",
                "items": closed(
                    type={"const": "postgresql"},
                    metricType={"const": "AverageValue"},
                    authenticationRef=closed(name=TEXT),
                    metadata=closed(query=TEXT, targetQueryValue=TEXT, activationTargetQueryValue=TEXT),
                ),
            },
        ),
    ),
    "ServiceMonitor": closed(
        **CALLED,
        spec=closed(
            selector=closed(matchLabels={"type": "object"}),
            podTargetLabels={"type": "array"},
            endpoints={"type": "array", "items": closed(port=TEXT, path=TEXT, interval=TEXT)},
        ),
    ),
}


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Resource]]:
    """What the chart makes of no values at all, and of all that can be switched on."""
    given = {"default": {}, "everything": EVERYTHING}
    asked = json.dumps(list(given.values()))
    command = [sys.executable, "-c", RENDER, str(CHART)]
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return dict(zip(given, map(_resources, json.loads(ran.stdout)), strict=True))


def _resources(files: dict[str, str]) -> list[Resource]:
    texts = [content for name, content in files.items() if name.endswith(".yaml")]
    return [resource for content in texts for resource in yaml.safe_load_all(content) if resource]


def of_kind(resources: list[Resource], kind: str) -> dict[str, Resource]:
    return {found["metadata"]["name"]: found for found in resources if found["kind"] == kind}


def containers(resources: list[Resource]) -> dict[str, Resource]:
    """Those of the roles, by role."""
    found = of_kind(resources, "Deployment")
    return {name.removeprefix("speech-stenopool-"): pod_of(one)["containers"][0] for name, one in found.items()}


def pod_of(deployment: Resource) -> Resource:
    pod: Resource = deployment["spec"]["template"]["spec"]
    return pod


pytestmark = pytest.mark.processes


@pytest.mark.parametrize("values", ["default", "everything"])
def test_kubernetes_takes_every_resource(rendered: dict[str, list[Resource]], values: str) -> None:
    version = kubernetes_validate.latest_version()
    for resource in rendered[values]:
        if resource["kind"] in OTHERS:
            jsonschema.validate(resource, OTHERS[resource["kind"]])
        else:
            kubernetes_validate.validate(resource, version, strict=True)


def test_others_resources_are_made_only_where_they_are_wanted(rendered: dict[str, list[Resource]]) -> None:
    assert {one["kind"] for one in rendered["default"]} & {*OTHERS, "Ingress"} == set()
    assert {one["kind"] for one in rendered["everything"]} >= {*OTHERS, "Ingress"}


def test_names_are_given_once_and_references_meet(rendered: dict[str, list[Resource]]) -> None:
    for resources in rendered.values():
        names = [(one["kind"], one["metadata"]["name"]) for one in resources]
        assert len(names) == len(set(names))
        services = of_kind(resources, "Service")
        for pod in map(pod_of, of_kind(resources, "Deployment").values()):
            assert ("ServiceAccount", pod["serviceAccountName"]) in names
            source, secret = pod["containers"][0]["envFrom"]
            assert ("ConfigMap", source["configMapRef"]["name"]) in names
            assert secret == {"secretRef": {"name": "stenopool"}}
            mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
            assert mounted == {volume["name"] for volume in pod["volumes"]}
        for ingress in of_kind(resources, "Ingress").values():
            path = ingress["spec"]["rules"][0]["http"]["paths"][0]
            assert path["backend"]["service"]["name"] in services


def test_every_role_is_run_by_a_command_that_there_is(rendered: dict[str, list[Resource]]) -> None:
    for resources in rendered.values():
        assert set(containers(resources)) == ROLES
        for role, container in containers(resources).items():
            assert parses(container["args"]), role
            for probe in ("startupProbe", "livenessProbe"):
                if "exec" in container[probe]:
                    program, *words = container[probe]["exec"]["command"]
                    assert program == "stenopool" and parses(words) and words[-1] == "--check"
                    assert words[:-1] == container["args"][: len(words) - 1]
        api = containers(resources)["api"]
        port = int(api["args"][api["args"].index("--port") + 1])
        assert {"name": "http", "containerPort": port} in api["ports"]
        assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert api["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_a_pod_is_not_killed_before_its_work_is_handed_over(rendered: dict[str, list[Resource]]) -> None:
    """A call to a provider may last 330 seconds."""
    for resources in rendered.values():
        for deployment in of_kind(resources, "Deployment").values():
            pod = pod_of(deployment)
            grace = grace_of(pod["containers"][0]["args"])
            assert grace > 330
            assert pod["terminationGracePeriodSeconds"] >= grace + 15


def test_nobody_is_root_and_nothing_is_written_but_where_it_must_be(rendered: dict[str, list[Resource]]) -> None:
    for resources in rendered.values():
        for pod in map(pod_of, of_kind(resources, "Deployment").values()):
            assert pod["enableServiceLinks"] is False
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
            container = pod["containers"][0]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            paths = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
            assert not paths["/data"] and not paths["/tmp"]
            assert {value["name"]: value["value"] for value in container["env"]}["STENOPOOL_HOME"] == "/data"


def test_settings_are_settings(rendered: dict[str, list[Resource]]) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | AWS
    (given,) = of_kind(rendered["default"], "ConfigMap").values()
    assert set(given["data"]) <= known
    values = (CHART / "values.yaml").read_text("utf-8")
    named = set(re.findall(r"\bSTENOPOOL_[A-Z_]+\b", values))
    assert named <= known, "values.yaml names what is no setting"
    assert Settings.from_env(given["data"]).storage_url.startswith("s3://")


def test_budgets_policies_and_monitors_select_the_pods(rendered: dict[str, list[Resource]]) -> None:
    resources = rendered["everything"]
    pods = {
        role: deployment["spec"]["template"]["metadata"]["labels"]
        for role, deployment in (
            (name.removeprefix("speech-stenopool-"), one) for name, one in of_kind(resources, "Deployment").items()
        )
    }

    def chosen(selector: dict[str, str]) -> set[str]:
        return {role for role, labels in pods.items() if selector.items() <= labels.items()}

    budgets = of_kind(resources, "PodDisruptionBudget").values()
    assert sorted(role for one in budgets for role in chosen(one["spec"]["selector"]["matchLabels"])) == sorted(ROLES)
    policies = of_kind(resources, "NetworkPolicy")
    assert chosen(policies["speech-stenopool"]["spec"]["podSelector"]["matchLabels"]) == ROLES
    assert chosen(policies["speech-stenopool-api"]["spec"]["podSelector"]["matchLabels"]) == {"api"}
    services = of_kind(resources, "Service")
    assert chosen(services["speech-stenopool-api"]["spec"]["selector"]) == {"api"}
    assert chosen(services["speech-stenopool-metrics"]["spec"]["selector"]) == ROLES
    (monitor,) = of_kind(resources, "ServiceMonitor").values()
    watched = monitor["spec"]["selector"]["matchLabels"].items()
    assert [name for name, one in services.items() if watched <= one["metadata"]["labels"].items()] == [
        "speech-stenopool-metrics"
    ]


def test_metrics_are_told_where_they_are_read(rendered: dict[str, list[Resource]]) -> None:
    for container in containers(rendered["default"]).values():
        address = container["args"][container["args"].index("--metrics") + 1]
        assert {"name": "metrics", "containerPort": int(address.rpartition(":")[2])} in container["ports"]


def test_workers_are_scaled_by_what_the_view_tells(rendered: dict[str, list[Resource]], postgres_url: str) -> None:
    resources = rendered["everything"]
    scaled = of_kind(resources, "ScaledObject")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scaled.values()} == {
        "speech-stenopool-worker-cpu",
        "speech-stenopool-worker-io",
    }
    with contextlib.closing(Database(postgres_url)) as database, database.connection() as connection:
        for one in scaled.values():
            assert "replicas" not in of_kind(resources, "Deployment")[one["metadata"]["name"]]["spec"]
            query = one["spec"]["triggers"][0]["metadata"]["query"]
            assert float(connection.execute(text(query)).scalar_one()) == 0.0
    assert all("replicas" in one["spec"] for one in of_kind(rendered["default"], "Deployment").values())
