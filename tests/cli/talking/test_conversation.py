"""A conversation: what is remembered of it, and what a typed command changes."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.talking.connection import Connection, Model
from antiphon.cli.talking.conversation import Conversation, transcript
from antiphon.cli.talking.lines import Lines
from antiphon.sdk.errors import APIConnectionError
from antiphon.wire.content import TextBlock
from antiphon.wire.messages import Message, Usage

MODEL = Model("m", 1000, 500)


class Stream:
    """An answer in pieces. One that is an exception is raised in its place."""

    def __init__(self, pieces: Sequence[str | BaseException]) -> None:
        self._pieces = pieces

    @property
    def text_stream(self) -> Iterator[str]:
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def get_final_message(self) -> Message:
        text = "".join(piece for piece in self._pieces if isinstance(piece, str))
        return Message(
            id="msg_1",
            model="m",
            content=(TextBlock(text=text),) if text else (),
            stop_reason="end_turn",
            stop_sequence=None,
            usage=Usage(input_tokens=10, output_tokens=5),
        )


class Asked:
    """Takes the place of a client: keeps what was asked, and answers from a list."""

    def __init__(self, answers: Sequence[Sequence[str | BaseException]]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.messages = self

    @contextmanager
    def stream(self, **parameters: Any) -> Iterator[Stream]:
        self.requests.append({**parameters, "messages": list(parameters["messages"])})
        yield Stream(self.answers.pop(0))


def talk(
    asked: Asked, *typed: str | BaseException, write: Callable[[str], None] | None = None
) -> str:
    """Type turns; return what was written."""
    left = list(typed)
    out: list[str] = []

    def read(_: str) -> str:
        if not left:
            raise EOFError
        turn = left.pop(0)
        if isinstance(turn, BaseException):
            raise turn
        return turn

    arguments = argparse.Namespace(model=None, system=None, max_tokens=None, temperature=None)
    conversation = Conversation(
        Connection(asked, (MODEL, Model("other", None, None))),  # type: ignore[arg-type]
        MODEL,
        arguments,
        lines=Lines(read),
        styled=False,
        write=write or out.append,
        now=lambda: 0.0,
    )
    assert conversation.run() == 0
    return "".join(out)


def roles(request: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(one["role"], one["content"]) for one in request["messages"]]


def test_answers_are_part_of_the_next_question_and_marked_for_the_cache() -> None:
    asked = Asked([["one"], ["two"]])
    talk(asked, "first", "second")
    kinds = [one["role"] for one in asked.requests[1]["messages"]]
    assert kinds == ["user", "assistant", "user"]
    assert asked.requests[1]["messages"][1]["content"] == (TextBlock(text="one"),)
    assert all(one["cache_control"] == {"type": "ephemeral"} for one in asked.requests)
    assert asked.requests[0]["max_tokens"] == 500


def test_answer_that_is_stopped_stays_as_far_as_it_came() -> None:
    asked = Asked([["half ", KeyboardInterrupt()], ["two"]])
    said = talk(asked, "first", "second")
    assert "half \nStopped.\n" in said
    assert roles(asked.requests[1]) == [
        ("user", "first"),
        ("assistant", "half"),
        ("user", "second"),
    ]


def test_question_without_an_answer_is_asked_again_or_replaced() -> None:
    lost = APIConnectionError("no server")
    asked = Asked([[lost], [lost], ["one"]])
    said = talk(asked, "first", "/retry", "second")
    assert said.count("no server. /retry asks again.") == 2
    assert [roles(one) for one in asked.requests] == [
        [("user", "first")],
        [("user", "first")],
        [("user", "second")],
    ]


def test_notes_control_no_terminal() -> None:
    said = talk(Asked([[APIConnectionError("gone \x1b[2J")]]), "first", "/\x1b[2J")
    assert "\x1b" not in said
    assert r"gone \x1b[2J. /retry asks again." in said


def test_conversation_survives_what_cannot_be_done() -> None:
    asked = Asked([["one"]])
    said = talk(asked, "/file ~nobody-has-this-name/a", "/save ~nobody-has-this-name/a", "a\udcffb")
    assert said.count("no such home") == 2
    assert roles(asked.requests[0]) == [("user", "a\ufffdb")]


def test_question_goes_on_when_the_server_is_gone() -> None:
    class Gone(Asked):
        @property
        def models(self) -> Any:
            raise APIConnectionError("no server")

    asked = Gone([["one"]])
    said = talk(asked, "/model alias", "first")
    assert "no server" in said
    assert roles(asked.requests[0]) == [("user", "first")]


def test_answer_of_nothing_is_no_turn() -> None:
    asked = Asked([[], ["two"]])
    talk(asked, "first", "second")
    assert roles(asked.requests[1]) == [("user", "second")]


def test_retry_takes_the_answer_away() -> None:
    asked = Asked([["one"], ["another"]])
    talk(asked, "first", "/retry")
    assert roles(asked.requests[1]) == [("user", "first")]


def test_undo_and_clear_forget() -> None:
    asked = Asked([["one"], ["two"], ["three"], ["four"]])
    talk(asked, "a", "b", "/undo", "c", "/clear", "d")
    assert [content for _, content in roles(asked.requests[2])][::2] == ["a", "c"]
    assert roles(asked.requests[3]) == [("user", "d")]
    assert "There is no question yet." in talk(Asked([]), "/undo")
    assert "there is no question yet" in talk(Asked([]), "/retry")


def test_model_and_system_change_from_there_on() -> None:
    asked = Asked([["one"], ["two"]])
    said = talk(asked, "a", "/model other", "/system be short", "/system", "b")
    assert [one["model"] for one in asked.requests] == ["m", "other"]
    assert [one.get("system") for one in asked.requests] == [None, "be short"]
    assert said.count("be short\n") == 2


def test_file_goes_with_the_next_question_only(tmp_path: Path) -> None:
    tmp_path.joinpath("notes.md").write_text("notes", encoding="utf-8")
    asked = Asked([["one"], ["two"]])
    said = talk(asked, f"/file {tmp_path}/notes.md", "/file", "/file /nowhere/at/all", "a", "b")
    assert "notes.md goes with the next question." in said
    assert "/file needs the path of a file" in said
    assert "/nowhere/at/all: No such file or directory" in said
    first = asked.requests[0]["messages"][0]["content"]
    assert [block["type"] for block in first] == ["document", "text"]
    assert asked.requests[1]["messages"][2]["content"] == "b"


def test_interrupt_at_the_prompt_ends_at_its_second_time() -> None:
    stop = KeyboardInterrupt()
    asked = Asked([["one"]])
    said = talk(asked, stop, "a", stop, stop, "never")
    assert said.count("Ctrl-C again ends") == 2
    assert len(asked.requests) == 1


def test_saved_conversation_replaces_no_file(tmp_path: Path) -> None:
    tmp_path.joinpath("taken.md").write_text("mine", encoding="utf-8")
    asked = Asked([["one"]])
    said = talk(asked, "a", f"/save {tmp_path}/taken.md", "/save", f"/save {tmp_path}/new.md")
    assert "taken.md exists; name another file" in said
    assert "/save needs the name of a new file" in said
    assert tmp_path.joinpath("taken.md").read_text(encoding="utf-8") == "mine"
    assert tmp_path.joinpath("new.md").read_text(encoding="utf-8").endswith("## Model\n\none\n")


def test_transcript_names_files() -> None:
    document = {"type": "document", "title": "a.pdf", "source": {}}
    content = [document, {"type": "image"}, {"type": "text", "text": "why?"}]
    assert transcript([{"role": "user", "content": content}]) == (
        "## You\n\n[a.pdf]\n\n[image]\n\nwhy?\n"
    )


@pytest.mark.parametrize("typed", ["", "   ", "\n"])
def test_empty_turn_asks_nothing(typed: str) -> None:
    asked = Asked([])
    talk(asked, typed)
    assert asked.requests == []
