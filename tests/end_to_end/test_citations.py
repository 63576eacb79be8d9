"""Citations by the official SDKs: of what the scripted engine says, and of a real model."""

from typing import Any

import anthropic
import pytest

from support.node import node
from support.pdf import pdf
from support.processes import KEY, Program

ON = {"enabled": True}
COLOURS = "The grass is green. The sky is blue on every fine day."
TOWER = (
    "The Eiffel Tower is a wrought-iron lattice tower in Paris. It was finished in 1889 for the "
    "World's Fair. The tower is 330 metres tall and was the tallest structure in the world for 41 "
    "years. Its three levels are open to visitors all year round."
)


def plain(text: str) -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": source, "title": "A title", "citations": ON}


def asked(*content: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": list(content)}]
    return {"model": "claude-opus-5-5", "max_tokens": 120, "messages": messages}


def client(program: Program) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0)


def blocks(message: Any) -> list[tuple[str, list[Any]]]:
    return [(block.text, block.citations or []) for block in message.content]


PLEASE = {"type": "text", "text": "Please cite the colours."}


@pytest.mark.covers("blocks of an answer: citations", "effect")
@pytest.mark.covers("events: citations_delta", "effect")
def test_a_stream_and_json_have_the_same_citations(scripted: Program) -> None:
    body = asked(plain(COLOURS), PLEASE)
    with client(scripted) as sdk:
        message = sdk.messages.create(**body)
        with sdk.messages.stream(**body) as stream:
            heard = [event.citation for event in stream if event.type == "citation"]
            final = stream.get_final_message()
    said = blocks(message)
    assert [text for text, _ in said] == [
        "Grass has one, ",
        "and the sky is blue on every fine day. ",
        "No.",
    ]
    cited = [citation for _, citations in said for citation in citations]
    assert [one.cited_text for one in cited] == [COLOURS[:19], COLOURS[20:]]
    for one in cited:
        assert COLOURS[one.start_char_index : one.end_char_index] == one.cited_text
        assert (one.document_index, one.document_title) == (0, "A title")
    assert blocks(final) == said
    assert heard == cited


def test_pages_blocks_and_search_results_are_cited(scripted: Program) -> None:
    texts = ["The grass is green.", "The sky is blue on every fine day."]
    in_blocks = [{"type": "text", "text": text} for text in texts]
    sources = {
        "page_location": {"type": "base64", "media_type": "application/pdf", "data": pdf(texts)},
        "content_block_location": {"type": "content", "content": in_blocks},
    }
    documents: dict[str, Any] = {
        kind: {"type": "document", "source": source, "citations": ON}
        for kind, source in sources.items()
    }
    documents["search_result_location"] = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": in_blocks,
        "citations": ON,
    }
    for kind, document in documents.items():
        with client(scripted) as sdk:
            message = sdk.messages.create(**asked(document, PLEASE))
        cited = [citation for _, citations in blocks(message) for citation in citations]
        assert [(one.type, one.cited_text) for one in cited] == [(kind, text) for text in texts]


def test_an_answer_with_citations_can_be_sent_back(scripted: Program) -> None:
    body = asked(plain(COLOURS), PLEASE)
    with client(scripted) as sdk:
        message = sdk.messages.create(**body)
        told = {"role": "assistant", "content": message.content}
        silent = {"role": "assistant", "content": [text for text, _ in blocks(message)]}
        silent["content"] = [{"type": "text", "text": text} for text in silent["content"]]
        again = {"role": "user", "content": "Thank you."}
        counts = [
            sdk.messages.count_tokens(
                model=body["model"], messages=[*body["messages"], answer, again]
            )
            for answer in (told, silent)
        ]
    assert counts[0] == counts[1]


@pytest.mark.usefixtures("typescript")
def test_both_lines_of_the_typescript_sdk_read_citations(scripted: Program) -> None:
    environ = {"ANTIPHON_URL": scripted.url, "ANTIPHON_KEY": KEY}
    node("--test", "citations.test.mjs", **environ)


def told(program: Program, question: str, *prefill: str) -> list[tuple[str, list[Any]]]:
    """What the real model says about the tower, without chance."""
    body = asked(plain(TOWER), {"type": "text", "text": question})
    body["messages"] += [{"role": "assistant", "content": text} for text in prefill]
    with client(program) as sdk:
        old = {"anthropic-version": "2023-06-01"}
        message = sdk.messages.create(**body, extra_headers=old, extra_body={"temperature": 0})
    for _, citations in blocks(message):
        for one in citations:
            assert TOWER[one.start_char_index : one.end_char_index] == one.cited_text
    return blocks(message)


def test_a_real_model_that_repeats_a_document_cites_it(real: Program) -> None:
    said = told(real, "Repeat the document word by word.")
    assert len(said) >= 3
    for text, (citation, *others) in said:
        assert citation.cited_text == text.strip()
        assert not others


def test_a_real_model_that_continues_a_quote_cites_it(real: Program) -> None:
    (text, (citation, *_)), *_ = told(real, "Quote the document.", "The tower is 330 metres")
    assert "tall" in text
    assert citation.cited_text.startswith("The tower is 330 metres tall")
