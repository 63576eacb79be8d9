"""What an answer costs: by the settings of a server here, or by a published price."""

from decimal import Decimal
from typing import Any

import pytest

from antiphon.cli.talking.connection import Connection
from antiphon.sdk.types.message import Message, Usage
from antiphon.settings import Settings

NOBODY: Any = None


def answer(model: str) -> Message:
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    return Message(id="msg_1", model=model, content=[], stop_reason="end_turn", usage=usage)


def settings(**more: Any) -> Settings:
    return Settings.load({"engine": "scripted", "model_id": "mine", **more}, environ={})


def test_server_here_charges_what_its_settings_say() -> None:
    own = settings(price={"input": "2", "output": "5"})
    assert Connection(NOBODY, (), own).dollars("mine", answer("mine")) == Decimal(7)


def test_server_here_charges_the_price_of_the_name_that_was_asked() -> None:
    here = Connection(NOBODY, (), settings())
    assert here.dollars("mine", answer("mine")) == 0
    asked = here.dollars("claude-haiku-4-5", answer("mine"))
    assert asked is not None
    assert asked > 0


@pytest.mark.parametrize(("model", "known"), [("claude-haiku-4-5", True), ("mine", False)])
def test_price_of_a_server_elsewhere_is_the_published_one(model: str, known: bool) -> None:
    assert (Connection(NOBODY, ()).dollars(model, answer(model)) is not None) is known
