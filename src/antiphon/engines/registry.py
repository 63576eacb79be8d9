"""Engines by name. Built-in and third-party engines are found by the same entry points."""

from importlib.metadata import EntryPoints, PackageNotFoundError, distribution, entry_points

from antiphon.engines.base import (
    CheckedOpener,
    Engine,
    EngineConfig,
    EngineStartError,
    Examined,
    OpenEngine,
    Packages,
)

PACKAGE = "antiphon"
GROUP = "antiphon.engines"


def engine_names() -> tuple[str, ...]:
    """Return the names of all installed engines."""
    return tuple(sorted(entry_points(group=GROUP).names))


async def open_engine(name: str, config: EngineConfig) -> Engine:
    """Open a model on the engine of this name; raises `EngineStartError`."""
    return await _opener(name, config)(config)


def check_engine(name: str, config: EngineConfig) -> None:
    """Check that the engine exists, and its options as far as it can without the model's files.

    Raises `EngineStartError`.
    """
    opener = _opener(name, config)
    if isinstance(opener, CheckedOpener):
        opener.check(config)


async def examine_engine(name: str, config: EngineConfig) -> Examined | None:
    """Return what an engine says of what it needs; `None` if it examines nothing.

    Raises `EngineStartError` if the engine could not be opened.
    """
    opener = _opener(name, config)
    if not isinstance(opener, CheckedOpener) or opener.examine is None:
        return None
    return await opener.examine(config)


def packages_of(name: str) -> Packages | None:
    """Return the packages that an engine needs beside those of every server, if there are any.

    An engine that cannot be loaded has none: `check_engine` tells of it.
    """
    try:
        opener = _opener(name, EngineConfig(name))
    except EngineStartError:
        return None
    return opener.packages if isinstance(opener, CheckedOpener) else None


def _entry_points(name: str) -> EntryPoints:
    """Return the entry points of an engine: this package's own, else those of all packages.

    To look through the packages of a server takes 10 ms.
    """
    try:
        own = distribution(PACKAGE).entry_points.select(group=GROUP, name=name)
    except PackageNotFoundError:  # pragma: no cover - sources on the path that nobody installed
        own = EntryPoints()
    return own or entry_points(group=GROUP, name=name)


def _opener(name: str, config: EngineConfig) -> OpenEngine:
    found = _entry_points(name)
    if not found:
        known = ", ".join(engine_names())
        raise EngineStartError(f"model {config.model}: no engine {name!r} (installed: {known})")
    try:
        opener: OpenEngine = next(iter(found)).load()
    except (ImportError, AttributeError) as error:
        raise EngineStartError(
            f"model {config.model}: engine {name!r} cannot be loaded: {error}"
        ) from error
    return opener
