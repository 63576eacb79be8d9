from typing import Any

import pytest

from support.requests import (
    CITATION,
    NEW,
    OLD,
    PLAIN,
    assistant,
    call,
    refusal,
    result,
    text,
    turn_texts,
    user,
)

DOCUMENT = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
CITED = text("a") | {"citations": [CITATION]}
NO_TAG = "found using 'type' does not match any of the expected tags:"
ASSISTANT_TAGS = "'text', 'thinking', 'redacted_thinking', 'tool_use'"
EXTRA = "Extra inputs are not permitted"


def search(block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "search_result", "source": "s", "title": "t", "content": [text("a"), block]}


GONE = [
    (
        [user(), assistant([text("a"), DOCUMENT])],
        f"messages.1.content.1: Input tag 'document' {NO_TAG} {ASSISTANT_TAGS}",
    ),
    ([user([text("a"), CITED])], f"messages.0.content.1.text.citations: {EXTRA}"),
    (
        [user([search(CITED)])],
        f"messages.0.content.0.search_result.content.1.text.citations: {EXTRA}",
    ),
]


@pytest.mark.parametrize(("messages", "sentence"), GONE)
def test_newer_version_refuses_what_the_older_one_reads(
    messages: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(*messages, version=NEW) == sentence


def test_older_version_takes_citations_of_the_user() -> None:
    assert turn_texts(user([CITED]), version=OLD) == [("user", ["a"])]


@pytest.mark.parametrize(
    "message",
    [user([text("a") | {"citations": []}]), user([text("a") | {"citations": None}]), user("a")],
)
def test_absent_citations_are_accepted(message: dict[str, Any]) -> None:
    assert turn_texts(message, version=NEW) == [("user", ["a"])]


def test_citations_of_the_assistant_are_taken() -> None:
    assert len(turn_texts(user(), assistant([CITED]), user(), version=NEW)) == 3


def test_newer_version_accepts_documents_of_the_user() -> None:
    messages = [user(), assistant([call("x")]), user([result("x"), DOCUMENT, search(text("b"))])]
    assert refusal(*messages, version=NEW, capabilities=PLAIN) == (
        "messages.1.content.0.tool_use: this model does not support tools"
    )
