"""Says where a setting stands: in the file, in a variable, or in a flag. Errors begin with it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

SourceKind: TypeAlias = Literal["default", "file", "environment", "flag"]


class SettingSource(msgspec.Struct, frozen=True):
    """Where a setting is set: the kind of source, and the place there; a default has none."""

    kind: SourceKind = "default"
    place: str | None = None


class Leaf(msgspec.Struct, frozen=True):
    """One setting that is no table: its path (`limits.monthly_spend`), its value and its default.

    A setting without a default of its own has `None`.
    """

    path: str
    value: Any
    default: Any


class Layer(msgspec.Struct, frozen=True):
    """The settings of one source, and the function from the path of a setting to its place there.

    `source` is what people call the source, which is of a kind. A path is that of an error: `port`,
    `limits.monthly_spend`, `models[0].price.input`.
    """

    source: str
    values: Mapping[str, Any]
    place: Callable[[str], str]
    kind: SourceKind

    def has(self, path: str) -> bool:
        """Return whether this source sets what is at a path, at least its table."""
        if not self.values:
            return False
        key, option = [*re.split(r"[.\[]", path), ""][:2]
        table = self.values.get(key)
        # The tables of several sources are merged, so each option may come from another one.
        return key in self.values and (not isinstance(table, dict) or not option or option in table)


class PlacedOptions(dict[str, Any]):
    """The options of an engine, which only the engine can check, and the place of each."""

    def __init__(self, options: Mapping[str, Any], places: Mapping[str, str]) -> None:
        super().__init__(options)
        self._places = places

    def place_in(self, fault: str) -> str:
        """Return the place of the option that an engine's error names; empty if it names none."""
        named = re.findall(r"(?:`|'|: )(\w+)", fault)
        return next((self._places[name] for name in named if name in self._places), "")


def layer_of_file(values: Mapping[str, Any], file: Path) -> Layer:
    """Return the settings of a file: `antiphon.toml: limits.monthly_spend`."""
    return Layer(str(file), values, lambda path: f"{file}: {path}", "file")


def layer_of_environment(values: Mapping[str, Any], prefix: str) -> Layer:
    """Return the settings of variables: `ANTIPHON_LIMITS_MONTHLY_SPEND`."""
    return Layer(
        "the environment",
        values,
        lambda path: prefix + _bare(path).replace(".", "_").upper(),
        "environment",
    )


def layer_of_flags(values: Mapping[str, Any]) -> Layer:
    """Return the settings of flags: `--data-dir`."""
    return Layer(
        "the command line", values, lambda path: "--" + _bare(path).replace("_", "-"), "flag"
    )


def place_of(layers: Sequence[Layer], path: str) -> str:
    """Return the place of the source that decides on a path: of layers, the last wins.

    Of a path that no source has, the place is the path.
    """
    for wanted in (path, re.split(r"[.\[]", path)[0]):
        for layer in reversed(layers):
            if layer.has(wanted):
                return layer.place(path)
    return path or "settings"


def source_of(layers: Sequence[Layer], path: str) -> SettingSource:
    """Return the source that decides on a path: of layers, the last that has it wins."""
    for layer in reversed(layers):
        if layer.has(path):
            return SettingSource(layer.kind, layer.place(path))
    return SettingSource()


def leaves(table: msgspec.Struct, above: str = "") -> Iterator[Leaf]:
    """Yield the settings of a table, and those of the tables in it, in their order."""
    for field in msgspec.structs.fields(table):
        value, path = getattr(table, field.name), above + field.name
        if isinstance(value, msgspec.Struct):
            yield from leaves(value, f"{path}.")
        else:
            has_default = field.default is not msgspec.NODEFAULT
            yield Leaf(path, value, field.default if has_default else None)


def placed_options(options: Mapping[str, Any], layers: Sequence[Layer], path: str) -> PlacedOptions:
    """Return the options at a path with their places."""
    places = {name: place_of(layers, f"{path}.{name}") for name in options}
    return PlacedOptions(options, places)


def places_in(layer: Layer, names: Iterable[str]) -> list[str]:
    """Return the places of those names that a layer sets; of a table, of each of its options."""
    found = [(name, layer.values[name]) for name in names if name in layer.values]
    return [
        layer.place(path)
        for name, value in found
        for path in (
            [f"{name}.{option}" for option in value] if isinstance(value, dict) else [name]
        )
    ]


def name_in_fault(values: Mapping[str, Any], path: str, fault: str) -> str:
    """Return the name in the table at a path with which a fault begins; empty if there is none."""
    table: Any = values
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(table, list) and part.isdecimal() and int(part) < len(table):
            table = table[int(part)]
        else:
            table = table.get(part) if isinstance(table, dict) else None
    found = re.match(r"(?:unknown name ')?(\w+)", fault)
    return found[1] if found and isinstance(table, dict) and found[1] in table else ""


def _bare(path: str) -> str:
    """Return a path without the numbers of lists, which variables and flags do not have."""
    return re.sub(r"\[.*", "", path)
