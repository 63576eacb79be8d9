"""Reads a dashboard with Grafana's own types, in a process of its own: `python grafana_schema.py`.

The types are those of one release of Grafana, from a package that is downloaded once and not
installed (`grafana-foundation-sdk`, generated of Grafana's schemas). They drop what a schema does
not have, so what is lost on the way through them is wrong, or of another release.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

RELEASES: Final = {"10.1": "1769699998!10.1.0", "11.6": "1769699379!11.6.0"}
"""The oldest and the newest that the package has."""


class NoSchemaError(Exception):
    """The package cannot be had here."""


def schema(cache: Path, release: str) -> Path:
    """Return the folder of the types of a release of Grafana. Raises `NoSchemaError`."""
    folder = cache / f"grafana-{release}"
    if not (folder / "grafana_foundation_sdk").is_dir():
        package = f"grafana-foundation-sdk=={RELEASES[release]}"
        words = ("install", "--quiet", "--no-deps", "--target", str(folder), package)
        got = subprocess.run(
            [sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False
        )
        if got.returncode:
            raise NoSchemaError(got.stderr.strip())
    return folder


def faults(folder: Path, dashboard: Path) -> list[str]:
    """Return what the types in a folder do not know of a dashboard, by its path."""
    ran = subprocess.run(
        [sys.executable, __file__, str(folder), str(dashboard)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [str(one) for one in json.loads(ran.stdout)]


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of what is not the same afterwards; what was added is none of them."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name in after:
                yield from lost(value, after[name], f"{path}/{name}")
            else:
                yield f"{path}/{name}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from lost(one, other, path)
    elif before != after:
        yield path


def wrong_words(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of values that are none of the words of their type."""
    if isinstance(value, list):
        for one in value:
            yield from wrong_words(one, path)
    elif type(value).__module__.startswith("grafana_foundation_sdk"):
        hints = get_type_hints(type(value), sys.modules[type(value).__module__].__dict__)
        for name, inner in vars(value).items():
            words = [one for one in _kinds(hints.get(name)) if issubclass(one, Enum)]
            if words and inner is not None and inner not in {w.value for one in words for w in one}:
                yield f"{path}/{name}: {inner}"
            yield from wrong_words(inner, f"{path}/{name}")


def _kinds(hint: Any) -> Iterator[type]:
    if get_origin(hint) in {Union, UnionType}:
        for one in get_args(hint):
            yield from _kinds(one)
    elif isinstance(hint, type):
        yield hint


def main(folder: str, dashboard: str) -> None:
    """Print the faults of a dashboard as JSON."""
    sys.path.insert(0, folder)
    encoder, plugins, models = (
        import_module(f"grafana_foundation_sdk.{name}")
        for name in ("cog.encoder", "cog.plugins", "models.dashboard")
    )
    plugins.register_default_plugins()
    text = Path(dashboard).read_text(encoding="utf-8")
    read = models.Dashboard.from_json(json.loads(text))
    after = json.loads(encoder.JSONEncoder().encode(read))
    sys.stdout.write(json.dumps([*lost(json.loads(text), after), *wrong_words(read)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
