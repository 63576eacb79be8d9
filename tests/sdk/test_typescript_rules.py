"""The TypeScript SDK says of prices and breakpoints what the Python SDK and the ledger say."""

import json
import random
from pathlib import Path
from typing import Any

from antiphon.core.billing import pricing
from antiphon.core.billing.price_list import LIST_PRICES, list_price
from antiphon.core.billing.usage import TokenCounts
from antiphon.sdk.breakpoints import with_breakpoints
from antiphon.wire.messages import ServiceTier
from support.node import SDK, node
from support.typescript_prices import FILE, list_prices

CASES = 300
chance = random.Random(7)  # noqa: S311 - a failure has to come back


def usage() -> dict[str, Any]:
    largest = chance.choice([10, 10_000, 10**9])
    plain, five, hour, read, output = (chance.randint(0, largest) for _ in range(5))
    return {
        "input_tokens": plain,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "cache_read_input_tokens": read,
        "output_tokens": output,
        "service_tier": chance.choice(["standard", "batch"]),
    }


def charged(message: dict[str, Any]) -> int:
    told = message["usage"]
    price = list_price(message["model"])
    assert price is not None
    tokens = TokenCounts(
        input=told["input_tokens"],
        cache_write_5m=told["cache_creation"]["ephemeral_5m_input_tokens"],
        cache_write_1h=told["cache_creation"]["ephemeral_1h_input_tokens"],
        cache_read=told["cache_read_input_tokens"],
        output=told["output_tokens"],
    )
    tier: ServiceTier = told["service_tier"]
    return pricing.cost(price, tokens, tier).total


def prompt() -> dict[str, Any]:
    mark = {"cache_control": {"type": "ephemeral"}} if chance.random() < 0.1 else {}
    blocks = [
        {"type": "text", "text": "hi"},
        {"type": "text", "text": " "},
        {"type": "thinking", "thinking": "…"},
        {"type": "tool_result", "content": [{"type": "text", "text": "deep", **mark}]},
    ]

    def content() -> Any:
        return chance.choice(["", "hi", chance.sample(blocks, chance.randint(0, 3))])

    tools = [{"name": str(n), "defer_loading": chance.random() < 0.5} for n in range(3)]
    return {
        "system": content(),
        "tools": tools[: chance.randint(0, 3)],
        "messages": [
            {"role": chance.choice(["user", "assistant"]), "content": content()}
            for _ in range(chance.randint(0, 5))
        ],
    }


def test_rules_say_the_same_in_both_languages(tmp_path: Path) -> None:
    models = sorted(LIST_PRICES)
    messages = [{"model": f"{chance.choice(models)}", "usage": usage()} for _ in range(CASES)]
    prompts = [prompt() for _ in range(CASES)]
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps({"costs": messages, "prompts": prompts}), encoding="utf-8")
    told = json.loads(node("tests/runtimes/rules.ts", str(cases), folder=SDK))
    assert [cost["total"] for cost in told["costs"]] == [charged(one) for one in messages]
    assert told["prompts"] == [with_breakpoints(one, "1h") for one in prompts]


def test_prices_are_those_of_the_server() -> None:
    assert FILE.read_text(encoding="utf-8") == list_prices(), "run `make typescript-types`"
