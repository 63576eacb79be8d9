from typing import Any

import pytest

from antiphon.core.prompt import Prompt
from support.requests import ABLE, assistant, call, prompt, refusal, result, text, tool, user

SENTENCE = "citations must be enabled on all {} blocks of a request or on none"


def document(*, enabled: bool | None) -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": "The grass is green."}
    citations = None if enabled is None else {"enabled": enabled}
    return {"type": "document", "source": source, "citations": citations}


def found(*, enabled: bool) -> dict[str, Any]:
    content = [text("The sky is blue.")]
    citations = {"enabled": enabled}
    return {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": content,
        "citations": citations,
    }


def able(*messages: dict[str, Any]) -> Prompt:
    return prompt(*messages, capabilities=ABLE, tools=[tool()])


ON, OFF, UNSAID = document(enabled=True), document(enabled=False), document(enabled=None)


@pytest.mark.parametrize(
    ("messages", "path", "kind"),
    [
        ([user([ON, text("a"), OFF])], "messages.0.content.2.document", "document"),
        ([user([OFF, ON])], "messages.0.content.1.document", "document"),
        ([user([ON]), assistant(), user([UNSAID])], "messages.2.content.0.document", "document"),
        (
            [user([ON]), assistant([call("x")]), user([result("x", [text("a"), OFF])])],
            "messages.2.content.0.tool_result.content.1.document",
            "document",
        ),
        (
            [user([found(enabled=False), found(enabled=True)])],
            "messages.0.content.1.search_result",
            "search result",
        ),
    ],
)
def test_citations_on_some_documents_are_refused(
    messages: list[dict[str, Any]], path: str, kind: str
) -> None:
    said = refusal(*messages, tools=[tool()])
    assert said == f"{path}.citations.enabled: {SENTENCE.format(kind)}"


@pytest.mark.parametrize(
    "messages",
    [
        [user([ON, ON])],
        [user([OFF, UNSAID])],
        [user([ON, found(enabled=False), text("a")])],
        [user("Hi"), assistant([call("x")]), user([result("x", [ON, found(enabled=True)])])],
        [user([ON]), assistant([call("x")]), user([result("x", "ON"), ON])],
    ],
)
def test_citations_on_all_documents_or_on_none_are_taken(messages: list[dict[str, Any]]) -> None:
    assert able(*messages)
