"""The dashboard and the alerts of `deploy/`: they ask for metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from antiphon.core.metrics.families import Kind
from antiphon.service.metrics.catalogue import FAMILIES
from support.asgi import HEADERS, HELLO
from support.grafana_schema import RELEASES, NoSchemaError, faults, schema
from support.processes import KEY, serving
from support.prometheus import NoPrometheusError, prometheus, promtool, running_prometheus

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus/antiphon.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana/antiphon.json").read_text(encoding="utf-8"))
ALERTS = [
    rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
# Every name under which a family is asked for, with its labels.
NAMES = {
    family.name + suffix: {*family.labels, *({"le"} if suffix == "_bucket" else ())}
    for family in FAMILIES
    for suffix in (("_bucket", "_sum", "_count") if family.kind is Kind.HISTOGRAM else ("",))
}
# Prometheus adds these.
OF_PROMETHEUS = {"job", "instance"}


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


def asked(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of an expression, with the labels by which it is chosen."""
    for name, _, chosen in re.findall(r"\b((?:antiphon|process)_\w+)(\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=|!=)~?\s*\"", chosen))


def grouped(expression: str) -> set[str]:
    groups = re.findall(r"\b(?:by|on|group_left|without)\s*\(([^)]*)\)", expression)
    return {label.strip() for group in groups for label in group.split(",")}


@pytest.mark.parametrize("expression", [*queries(), *(one["expr"] for one in ALERTS)])
def test_query_asks_for_metrics_and_labels_that_there_are(expression: str) -> None:
    found = list(asked(expression))
    assert found or expression.startswith("up{")
    for name, chosen in found:
        assert name in NAMES
        assert chosen <= NAMES[name] | OF_PROMETHEUS
    known = set().union(*(NAMES[name] for name, _ in found)) | OF_PROMETHEUS
    assert grouped(expression) <= known


def test_dashboard_shows_every_metric() -> None:
    shown = {name for expression in queries() for name, _ in asked(expression)}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    assert [one.name for one in FAMILIES if one.name not in families] == []


def test_labels_of_legends_and_texts_are_those_of_their_queries() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            wanted = (
                set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                if ("legendFormat" in target)
                else set()
            )
            expression = target["expr"]
            by = grouped(expression)
            names = set().union(*(NAMES[name] for name, _ in asked(expression))) | OF_PROMETHEUS
            assert wanted <= (by if "sum by" in expression or "max by" in expression else names)
    for alert in ALERTS:
        text = " ".join(alert["annotations"].values())
        wanted = set(re.findall(r"\$labels\.(\w+)", text))
        by = grouped(alert["expr"])
        names = set().union(*(NAMES[n] for n, _ in asked(alert["expr"]))) | OF_PROMETHEUS
        assert wanted <= (by or names), alert["alert"]


def test_alerts_say_what_is_so_and_what_to_look_at() -> None:
    names = [one["alert"] for one in ALERTS]
    assert len(set(names)) == len(names)
    for one in ALERTS:
        assert re.fullmatch(r"Antiphon[A-Za-z]+", one["alert"])
        assert one["labels"]["severity"] in {"critical", "warning", "info"}
        assert {*one["annotations"]} == {"summary", "description"}


def test_panels_have_their_own_ids_and_places() -> None:
    panels = DASHBOARD["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_configuration_names_the_rules_beside_it() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert config["rule_files"] == [RULES.name]
    assert [one["job_name"] for one in config["scrape_configs"]] == ["antiphon"]


@pytest.fixture(scope="module")
def programs() -> Path:
    try:
        return prometheus(ROOT / ".cache")
    except NoPrometheusError as error:
        pytest.skip(str(error))


@pytest.mark.soak
def test_promtool_finds_nothing_wrong(programs: Path) -> None:
    config = DEPLOY / "prometheus/prometheus.yml"
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool(programs, "check", "rules", RULES)
    assert "SUCCESS" in promtool(programs, "check", "config", config)
    tests = ROOT / "tests/support/alerts.test.yml"
    assert "SUCCESS" in promtool(programs, "test", "rules", tests)


def without_variables(expression: str) -> str:
    """Return a query of the dashboard as Grafana sends it."""
    found = re.sub(r'"\$(job|instance|model)"', '".*"', expression)
    return found.replace("$__rate_interval", "1m")


@pytest.mark.soak
def test_prometheus_reads_a_server_and_answers_the_dashboard(
    programs: Path, tmp_path: Path
) -> None:
    environ = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_ENGINE": "scripted",
        "ANTIPHON_METRICS_LISTEN": "127.0.0.1:0",
    }
    with serving(tmp_path / "data", environ=environ) as server:
        (url,) = re.findall(r"http://\S+/metrics", server.output)
        promtool(programs, "check", "metrics", stdin=httpx2.get(url).content)
        target = url.removeprefix("http://").removesuffix("/metrics")
        folder = tmp_path / "prometheus"
        folder.mkdir()
        with running_prometheus(programs, DEPLOY / "prometheus", target, folder) as reader:
            reader.until("up == 1")
            headers = {**HEADERS, "x-api-key": KEY}
            for _ in range(3):
                answer = httpx2.post(f"{server.url}/v1/messages", json=HELLO, headers=headers)
                assert answer.status_code == 200
            (answered,) = reader.until('antiphon_answers_total{outcome="completed"} == 3')
            assert answered["metric"]["model"] == "scripted"
            for expression in queries():
                if not expression.startswith("label_values"):
                    reader.query(without_variables(expression))
            rules: list[Any] = reader.ask("rules")["groups"][0]["rules"]
            assert [one["name"] for one in rules] == [one["alert"] for one in ALERTS]
            assert {one["health"] for one in rules} <= {"ok", "unknown"}
            assert reader.query('ALERTS{alertstate="firing"}') == []


@pytest.mark.soak
@pytest.mark.parametrize("release", RELEASES)
def test_dashboard_is_what_the_schemas_of_grafana_have(release: str, tmp_path: Path) -> None:
    try:
        folder = schema(ROOT / ".cache", release)
    except NoSchemaError as error:
        pytest.skip(str(error))
    # Grafana itself writes it, for its form of a variable; the schemas leave it out.
    own = "/templating/list/definition"
    found = faults(folder, DEPLOY / "grafana/antiphon.json")
    assert [one for one in found if one != own] == []
    # They are strict.
    odd = json.loads(json.dumps(DASHBOARD))
    odd["panels"][1]["options"]["nonsense"] = 1
    odd["panels"][1]["options"]["colorMode"] = "loud"
    (tmp_path / "odd.json").write_text(json.dumps(odd), encoding="utf-8")
    worse = faults(folder, tmp_path / "odd.json")
    assert {one for one in worse if one != own} == {
        "/panels/options/nonsense",
        "/panels/options/color_mode: loud",
    }
