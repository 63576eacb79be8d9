"""The workflow of a release: what may publish, and what it runs. It has never been run."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.environments import Environment

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/release.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]
# The hash of a commit, with the release that it is of behind it.
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def uses(job: dict[str, Any]) -> list[str]:
    return [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]


def runs(job: dict[str, Any]) -> str:
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def test_release_is_made_of_tags_alone() -> None:
    # YAML reads `on` as true.
    assert yaml.safe_load(TEXT)[True] == {"push": {"tags": ["v*"]}}


def test_every_action_is_named_by_the_hash_of_its_commit() -> None:
    lines = [line.strip().removeprefix("- ") for line in TEXT.splitlines() if "uses:" in line]
    assert len(lines) > 5
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_each_job_has_the_permissions_of_its_work_and_no_others() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "build": {"contents": "read"},
        "try": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "publish": {"id-token": "write"},
        "release": {"contents": "write"},
    }
    assert "secrets." not in TEXT


@pytest.mark.parametrize("name", ["attest", "publish", "release"])
def test_job_that_can_publish_runs_nothing_of_the_repository(name: str) -> None:
    job = JOBS[name]
    assert "actions/checkout" not in uses(job)
    assert not re.search(r"make|scripts/|pip|python", runs(job))
    assert uses(job)[0] == "actions/download-artifact"


def test_what_is_published_was_built_by_the_one_command_and_tried_before() -> None:
    assert "make package" in runs(JOBS["build"])
    assert "scripts/try_package dist" in runs(JOBS["try"])
    order = {name: job.get("needs") for name, job in JOBS.items()}
    assert order == {
        "build": None,
        "try": "build",
        "attest": "try",
        "publish": "attest",
        "release": "publish",
    }
    assert JOBS["publish"]["environment"]["name"] == "pypi"
    (step,) = [step for step in JOBS["publish"]["steps"] if "gh-action" in step.get("uses", "")]
    assert step["with"]["attestations"] is True


def test_steps_of_a_shell_take_no_text_of_others() -> None:
    """An expression in a script is put into it as it is, also the name of a tag."""
    for job in JOBS.values():
        assert "${{" not in runs(job)


@pytest.mark.soak
def test_schema_of_workflows_has_nothing_against_it(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install("check-jsonschema")
    check = (environment.folder / "bin/check-jsonschema", "--builtin-schema")
    schema = "vendor.github-workflows"
    done = environment.run(*check, schema, WORKFLOW, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(TEXT.replace("runs-on:", "runs_on:"), encoding="utf-8")
    assert environment.run(*check, schema, wrong, cwd=tmp_path).returncode == 1
