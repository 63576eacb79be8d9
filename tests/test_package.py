"""The package as pip installs it: what it holds, what it runs with, and what it says is missing."""

import json
import sys
import tarfile
import tomllib
from hashlib import sha256
from importlib.metadata import PathDistribution
from pathlib import Path
from zipfile import Path as ZipPath
from zipfile import ZipFile

import anthropic
import httpx2
import pytest
from filelock import FileLock

from antiphon import __version__
from antiphon.cli import FAMILIES
from support.console_app import load_builder
from support.environments import PIP, Environment, run
from support.processes import KEY, serving

ROOT = Path(__file__).parents[1]
INFO = f"antiphon-{__version__}.dist-info/"
LINE = "antiphon: {}pip install 'antiphon[{}]'\n"
# They need no more than the client has, or say first how they are called.
WITHOUT_SERVER = {
    *("models", "service", "doctor", "config", "completion"),
    *("message", "chat", "batches", "launch"),
}
# Imports every module but those that run when they are imported: commands, and alembic's script.
IMPORT = """
import pkgutil, sys
from importlib import import_module
for root in sys.argv[1:]:
    package = import_module(root)
    for found in pkgutil.walk_packages(package.__path__, root + "."):
        # The plugin is imported by pytest alone.
        if not found.name.endswith((".__main__", ".migrations.env", ".testing.plugin")):
            import_module(found.name)
print(package.__file__)
"""


def build(source: Path, folder: Path) -> Path:
    """Build a wheel with the build backend of the lock."""
    run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run have: what takes seconds is made in it once.

    `wheel` is the folder of the wheel, and `venv` the environment of the package and `server`.
    """
    folder = tmp_path_factory.getbasetemp() / "package"
    done = folder / "done"
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            # A package may be built without the Console; that of the tests has it.
            load_builder().Console(ROOT).build()
            wheel = build(ROOT, folder / "wheel")
            Environment(folder / "venv").install_with_locked(wheel, "server")
            done.touch()
    return folder


@pytest.fixture(scope="session")
def wheel(shared: Path) -> Path:
    (wheel,) = (shared / "wheel").glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def server(shared: Path) -> Environment:
    """An environment of `pip install 'antiphon[server]'`."""
    return Environment(shared / "venv")


@pytest.fixture(scope="session")
def bare(server: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment of `pip install antiphon`."""
    environment = Environment(tmp_path_factory.mktemp("bare") / "venv")
    environment.share_with_locked(server)
    return environment


def answer_of(environment: Environment, folder: Path) -> str:
    """Start a server on the scripted engine, look at its Console, and ask it one question."""
    folder.joinpath("antiphon.toml").write_text(
        'engine = "scripted"\nscripted.text = "Installed."', encoding="utf-8"
    )
    environ = {"ANTIPHON_API_KEY": KEY, "PYTHONPATH": ""}
    with (
        serving(folder, environ=environ, program=[str(environment.program)]) as program,
        anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client,
    ):
        assert '<div id="root">' in httpx2.get(f"{program.url}/console").text
        message = client.messages.create(
            model="claude-opus-5-5",
            max_tokens=20,
            messages=[{"role": "user", "content": "Are you installed?"}],
        )
    (block,) = message.content
    assert block.type == "text"
    return block.text


def test_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    source = ROOT / "src"
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    scripts = {
        "antiphon/store/script.lua",
        "antiphon/store/counters/counters.lua",
        "antiphon/store/prompt_cache/index.lua",
    }
    app = "antiphon/console_app/"
    assert {"antiphon/py.typed", *scripts, f"{app}index.html", f"{app}index.html.br"} <= files
    assert not any(name.startswith(f"{app}missing") for name in files)
    assert any(name.startswith("antiphon/store/database/migrations/versions/") for name in files)
    held = set(contents(wheel))
    assert {name for name in held if not name.startswith(INFO)} == files
    assert INFO + "licenses/LICENSE" in held


def test_wheel_has_the_program_the_engines_and_the_extras_of_the_project(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (folder,) = (one for one in ZipPath(wheel).iterdir() if one.name.endswith(".dist-info"))
    package = PathDistribution(folder)
    assert package.version == __version__
    assert package.metadata.get_all("Provides-Extra") == sorted(project["optional-dependencies"])
    base = [one for one in package.requires or () if "extra ==" not in one]
    assert base == ["httptools>=0.6.4", "msgspec>=0.20"]
    assert {(one.group, one.name): one.value for one in package.entry_points} == {
        **{("console_scripts", name): value for name, value in project["scripts"].items()},
        **{
            (group, name): value
            for group, found in project["entry-points"].items()
            for name, value in found.items()
        },
    }


@pytest.mark.soak
def test_wheel_of_the_sdist_equals_the_wheel_of_the_sources(wheel: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)], ROOT)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "console/build.py", "src/antiphon/console_app/index.html"} <= held
    unwanted = {"node_modules", "__pycache__", ".models", ".venv", ".git", "dist"}
    assert not [name for name in held if unwanted & {*Path(name).parts}]
    assert contents(build(sdist, tmp_path)) == contents(wheel)


def test_wheel_that_is_built_again_is_the_same(wheel: Path, tmp_path: Path) -> None:
    assert build(ROOT, tmp_path).read_bytes() == wheel.read_bytes()


def test_pure_layers_import_without_extras(bare: Environment, tmp_path: Path) -> None:
    pure = ("antiphon.wire", "antiphon.schemas", "antiphon.core")
    done = bare.run(bare.python, "-c", IMPORT, *pure, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(bare.folder))


@pytest.mark.parametrize(("flag", "said"), [("--help", "usage: antiphon"), ("--version", "antiph")])
def test_program_helps_without_extras(
    bare: Environment, tmp_path: Path, flag: str, said: str
) -> None:
    done = bare.run(bare.program, flag, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(said)


@pytest.mark.parametrize("command", [*sorted(FAMILIES.keys() - WITHOUT_SERVER), "service install"])
def test_command_without_the_server_extra_names_it(
    bare: Environment, tmp_path: Path, command: str
) -> None:
    done = bare.run(bare.program, *command.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == LINE.format("this needs: ", "server")
    assert list(tmp_path.iterdir()) == []


def test_doctor_names_the_server_extra_and_what_lacks(bare: Environment, tmp_path: Path) -> None:
    done = bare.run(bare.program, "doctor", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    (found,) = json.loads(done.stdout)["findings"]
    assert "uvicorn" in found["text"]
    assert (found["name"], found["mend"]) == ("packages", "pip install 'antiphon[server]'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["message hi", "chat", "batches list", "models served"])
def test_command_that_asks_a_server_needs_no_extra(
    bare: Environment, tmp_path: Path, command: str
) -> None:
    done = bare.run(bare.program, *command.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("antiphon: the server at http://127.0.0.1:8000 needs a key: ")


def test_models_are_listed_without_extras(bare: Environment, tmp_path: Path) -> None:
    done = bare.run(bare.program, "models", "list", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No models are on this machine yet, ")
    done = bare.run(bare.program, "models", "remove", "nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("antiphon: ")
    done = bare.run(bare.program, "models", "pull", "hf:owner/name/file.gguf", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, LINE.format("this needs: ", "server"))


@pytest.mark.parametrize(
    ("command", "setting", "said"),
    [
        (
            "serve --engine scripted",
            {"ANTIPHON_DATABASE_URL": "postgresql://antiphon@127.0.0.1/antiphon"},
            LINE.format("ANTIPHON_DATABASE_URL: PostgreSQL needs a driver: ", "postgres"),
        ),
        (
            "keys list",
            {"ANTIPHON_DATABASE_URL": "postgresql://antiphon@127.0.0.1/antiphon"},
            LINE.format("ANTIPHON_DATABASE_URL: PostgreSQL needs a driver: ", "postgres"),
        ),
        (
            "serve --engine scripted",
            {"ANTIPHON_COUNTERS_URL": "valkey://127.0.0.1"},
            LINE.format("ANTIPHON_COUNTERS_URL: Valkey needs a client: ", "valkey"),
        ),
        (
            "serve --engine scripted",
            {
                "ANTIPHON_OIDC_ISSUER": "https://login.example.org",
                "ANTIPHON_OIDC_CLIENT_ID": "antiphon",
            },
            LINE.format("[oidc] needs libraries: ", "oidc"),
        ),
    ],
    ids=["server on PostgreSQL", "command on PostgreSQL", "server on Valkey", "server with OpenID"],
)
def test_setting_without_its_extra_names_it(
    server: Environment, tmp_path: Path, command: str, setting: dict[str, str], said: str
) -> None:
    environ = {"ANTIPHON_DATA_DIR": str(tmp_path / "data"), **setting}
    done = server.run(server.program, *command.split(), cwd=tmp_path, environ=environ)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_messages_name_the_program_as_the_reader_can_call_it(
    server: Environment, tmp_path: Path
) -> None:
    folder, path = Path("venv/bin"), "/usr/bin:/bin"
    tmp_path.joinpath("venv").symlink_to(server.folder)

    def said(*words: str, path: str = path) -> str:
        done = server.run(folder / "antiphon", *words, cwd=tmp_path, environ={"PATH": path})
        return done.stdout + done.stderr

    said("keys", "create", "laptop")
    assert "`venv/bin/antiphon users add " in said("users", "list")
    assert "`venv/bin/antiphon keys list`" in said("keys", "revoke", "nobody")
    assert "See `venv/bin/antiphon --help`" in said("key")
    assert "\n  venv/bin/antiphon limits set " in said("limits", "set", "--help")
    # With the program on the PATH; tests/cli/test_program.py has more of this.
    assert "See `antiphon --help`" in said("key", path=f"{server.program.parent}:{path}")


def test_package_with_its_extras_imports_nothing_else(server: Environment, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    environment.share_with_locked(server, "server", "postgres", "valkey", "otel")
    done = environment.run(environment.python, "-c", IMPORT, "antiphon", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_installed_server_answers(server: Environment, tmp_path: Path) -> None:
    assert answer_of(server, tmp_path) == "Installed."


@pytest.mark.soak
def test_server_installed_from_the_package_index_answers(wheel: Path, tmp_path: Path) -> None:
    """With the newest releases of all that it requires: what comes out depends on the day."""
    environment = Environment(tmp_path / "venv")
    environment.install(f"{wheel}[server]")
    assert answer_of(environment, tmp_path) == "Installed."


@pytest.mark.soak
def test_packages_of_one_command_run_with_the_locked_releases_of_the_index(tmp_path: Path) -> None:
    """As an installation that trusts no index: every file is compared with a hash."""
    run(["make", "--no-print-directory", "package"], ROOT)
    dist = ROOT / "dist"
    sums = dict(line.split()[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        path.name: sha256(path.read_bytes()).hexdigest()
        for pattern in ("*.whl", "*.tar.gz")
        for path in dist.glob(pattern)
    }
    (wheel,) = dist.glob("*.whl")
    environment = Environment(tmp_path / "venv")
    environment.install("--require-hashes", "-r", str(ROOT / "requirements" / "deploy.lock"))
    environment.install("--no-deps", "--no-index", str(wheel))
    assert answer_of(environment, tmp_path) == "Installed."
