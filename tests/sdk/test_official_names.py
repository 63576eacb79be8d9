import importlib
from pathlib import Path

import pytest

import antiphon
from antiphon.types.message_create_params import MessageCreateParamsNonStreaming
from antiphon.types.messages.batch_create_params import Request

NAMES = {
    "Anthropic": "Client",
    "AsyncAnthropic": "AsyncClient",
    "AnthropicError": "AntiphonError",
    "ContentTooLargeError": "RequestTooLargeError",
    "DeadlineExceededError": "GatewayTimeoutError",
    "NOT_GIVEN": "omit",
    "not_given": "omit",
    "NotGiven": "Omit",
}


def test_official_names_are_other_names_of_ours() -> None:
    assert all(getattr(antiphon, one) is getattr(antiphon, ours) for one, ours in NAMES.items())


def test_every_public_name_is_there() -> None:
    assert all(getattr(antiphon, name) is not None for name in antiphon.__all__)
    assert sorted(antiphon.__all__) == sorted(set(antiphon.__all__))


def test_beta_types_are_those_without_beta() -> None:
    beta = importlib.import_module("antiphon.types.beta")
    assert beta.BetaMessage is antiphon.types.Message
    assert "BetaMessageParam" in dir(beta)
    for name in ("Message", "BetaNothing", "Betaimport_module"):
        with pytest.raises(AttributeError, match=name):
            getattr(beta, name)


def test_requests_of_batches_are_dictionaries() -> None:
    params = MessageCreateParamsNonStreaming(model="m", max_tokens=1, messages=[])
    assert Request(custom_id="a", params=params) == {
        "custom_id": "a",
        "params": {"model": "m", "max_tokens": 1, "messages": []},
    }


def test_memory_has_the_notes_of_the_official_one(tmp_path: Path) -> None:
    memory = antiphon.tools.BetaLocalFilesystemMemoryTool(base_path=str(tmp_path))
    memory.call({"command": "create", "path": "/memories/a.md", "file_text": "Hi"})
    assert (tmp_path / "memories/a.md").read_text() == "Hi"
