"""How long a grammar takes to be made of the schemas of tools: median and 99th percentile.

The schemas are made here, always the same: tools as agents have them, unions and conditions,
strings of patterns, definitions that lead to one another. `--beside SRC` measures the same in
another tree of Antiphon in turn with this one, and says how they compare.
"""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from benchmarks.report import Figure, command, finish, positive

COUNT = 120
QUICK = 10
ROUNDS = 5
WORDS = ("path", "query", "limit", "user", "state", "labels", "title", "since", "owner", "body")
PATTERNS = ("^[a-z0-9-]+$", r"^\d{4}-\d{2}$", "^(open|closed|all)$", "^[A-Z]{2,10}-[0-9]+$")

Times = dict[str, list[float]]


def leaf(chance: random.Random) -> dict[str, Any]:
    """Make the schema of one argument."""
    return chance.choice(
        [
            {"type": "string", "description": "What it is, in some words."},
            {"type": "integer", "minimum": 1, "maximum": 10 ** chance.randint(1, 5)},
            {"type": "number"},
            {"type": "boolean", "default": False},
            {"type": ["string", "null"]},
            {"enum": chance.sample(WORDS, 4)},
            {"type": "string", "format": chance.choice(["date", "date-time", "uri", "email"])},
            {"type": "array", "items": {"type": "string"}},
        ]
    )


def tool(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    """Make the schema of a tool's input, with objects in it."""
    names = chance.sample(WORDS, chance.randint(2, 8))
    inner = [tool(chance, depth - 1) if depth and chance.random() < 0.2 else None for _ in names]
    parts = {name: one or leaf(chance) for name, one in zip(names, inner, strict=True)}
    required = chance.sample(names, chance.randint(0, len(names)))
    closed = {"additionalProperties": False} if chance.random() < 0.5 else {}
    return {"type": "object", "properties": parts, "required": required, **closed}


def union(chance: random.Random) -> dict[str, Any]:
    """Make a union of objects that a property tells apart."""
    ways = []
    for kind in chance.sample(WORDS, chance.randint(2, 8)):
        one = tool(chance, 0)
        one["properties"]["kind"] = {"const": kind}
        ways.append({**one, "required": ["kind", *one["required"]]})
    return {"type": "object", "properties": {"of": {chance.choice(["anyOf", "oneOf"]): ways}}}


def conditions(chance: random.Random) -> dict[str, Any]:
    """Make an object in which one property says which others there must be."""
    kinds = chance.sample(WORDS, chance.randint(2, 8))
    rules = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": {f"{kind}_of": leaf(chance)}, "required": [f"{kind}_of"]},
        }
        for kind in kinds
    ]
    base = {"type": "object", "properties": {"kind": {"enum": kinds}}, "required": ["kind"]}
    return {**base, "allOf": rules}


def patterns(chance: random.Random) -> dict[str, Any]:
    """Make an object of strings in patterns."""
    parts = {
        name: {"type": "string", "pattern": chance.choice(PATTERNS), "maxLength": 20}
        for name in chance.sample(WORDS, 4)
    }
    return {"type": "object", "properties": parts}


def definitions(chance: random.Random) -> dict[str, Any]:
    """Make definitions that lead to one another, and back."""
    names = [f"D{number}" for number in range(chance.randint(3, 12))]
    defs = {name: tool(chance, 0) for name in names}
    for name in names:
        part = {"$ref": f"#/$defs/{chance.choice(names)}"}
        defs[name]["properties"]["next"] = {"anyOf": [part, {"type": "null"}]}
    return {"$ref": "#/$defs/D0", "$defs": defs}


KINDS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "tools": tool,
    "unions": union,
    "conditions": conditions,
    "patterns": patterns,
    "definitions": definitions,
}


def compiled(schema: dict[str, Any]) -> float:
    """Return how many milliseconds the grammar of a schema takes."""
    begun = time.perf_counter()
    rules = Rules()
    rule = JsonGrammar(rules, schema).rule()
    rules.text(rule or '""')
    return (time.perf_counter() - begun) * 1000


def times(count: int) -> Times:
    """Return how long each schema of each kind took."""
    found: Times = {}
    for name, make in KINDS.items():
        chance = random.Random(name)  # noqa: S311 - no secret
        found[name] = [compiled(make(chance)) for _ in range(count)]
    return found


def rounds(count: int, sources: Sequence[Path]) -> Iterator[list[Times]]:
    """Measure every tree in turn, each in a process of its own."""
    for _ in range(ROUNDS):
        yield [_times_of(source, count) for source in sources]


def _times_of(source: Path, count: int) -> Times:
    paths = os.pathsep.join([str(source), str(Path(__file__).parents[1])])
    asked = [sys.executable, "-m", "benchmarks.schemas", "--one", str(count)]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(asked, env=environment, check=True, capture_output=True)
    return msgspec.json.decode(done.stdout, type=Times)


def measure(count: int = COUNT, beside: Path | None = None) -> list[Figure]:
    """Measure this tree, and the other one beside it."""
    own = Path(__file__).parents[1] / "src"
    measured = [*rounds(count, [own] if beside is None else [own, beside])]
    figures: list[Figure] = []
    for name in KINDS:
        for what, of in (("median", statistics.median), ("p99", _p99)):
            values = [[of(tree[name]) for tree in one] for one in measured]
            ratio = ""
            if beside is not None:
                here, there = (statistics.median(column) for column in zip(*values, strict=True))
                ratio = f"{here / there:.2f} of the other"
            figures.append(
                Figure(f"{name}: {what}", "ms", tuple(one[0] for one in values), None, ratio)
            )
    return figures


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--beside", type=Path, metavar="SRC", help="the src of another tree")
    parser.add_argument(
        "--one", type=positive, help="print the raw times of so many schemas, as JSON"
    )
    options = parser.parse_args()
    if options.one:
        sys.stdout.buffer.write(msgspec.json.encode(times(options.one)))
        return
    finish(measure(QUICK if options.quick else COUNT, options.beside), options)


if __name__ == "__main__":
    main()
