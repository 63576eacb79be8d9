"""Writes the published prices for the TypeScript SDK: `make typescript-types`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from antiphon.core.billing.price_list import LIST_PRICES
from antiphon.core.billing.pricing import Price

FILE: Final = Path(__file__).parents[2] / "sdk/typescript/src/prices.ts"
_HEAD: Final = """\
// Written by `make typescript-types` from the server's list of prices. Not to be changed by hand.

import type { Price } from "./price.ts";

/** Return the published prices, by the ids of models without their dates. */
export function listPrices(): Record<string, Price> {
"""


def list_prices() -> str:
    """Return the text of the file: each price once, and the models that have it."""
    names: dict[Price, str] = {}
    for model, price in LIST_PRICES.items():
        names.setdefault(price, "_".join(model.removeprefix("claude-").split("-")))
    lines = [_HEAD.rstrip("\n")]
    for price, name in names.items():
        lines.append(f"  const {_camel(name)}: Price = {{")
        lines += [f"    {line}" for line in _fields(price)]
        lines.append("  };")
    lines.append("  return {")
    lines += [f'    "{model}": {_camel(names[price])},' for model, price in LIST_PRICES.items()]
    lines += ["  };", "}", ""]
    return "\n".join(lines)


def _fields(price: Price) -> Iterator[str]:
    yield f"input: {_grouped(price.input)},"
    yield f"cacheWrite5m: {_grouped(price.cache_write_5m)},"
    yield f"cacheWrite1h: {_grouped(price.cache_write_1h)},"
    yield f"cacheRead: {_grouped(price.cache_read)},"
    yield f"output: {_grouped(price.output)},"
    if price.long is not None:
        yield f"longAbove: {_grouped(price.long_above)},"
        yield "long: {"
        yield from (f"  {line}" for line in _fields(price.long))
        yield "},"


def _grouped(number: int) -> str:
    return f"{number:_}" if number >= 10_000 else str(number)


def _camel(name: str) -> str:
    """Return a name as that of a constant: a word that begins with a digit follows a word."""
    first, *rest = name.split("_")
    made = first + "".join(part.capitalize() for part in rest)
    return made if made[0].isalpha() else f"of{made}"


if __name__ == "__main__":
    FILE.write_text(list_prices(), encoding="utf-8")
