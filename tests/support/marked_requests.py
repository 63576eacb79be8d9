"""Random requests with breakpoints, and the content that lies before each breakpoint."""

import random
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

from support import images

Json: TypeAlias = dict[str, Any]
Prefix: TypeAlias = tuple[frozenset[str], str]
"""The words up to and including a breakpoint's block, and the breakpoint's ttl."""

WORD = re.compile(r"\bw\d+\b")
MOST_MARKS = 4


def prefixes(prompt: list[Any], meanings: Mapping[str, str]) -> list[Prefix]:
    """Return the prefix of each breakpoint in JSON whose parts are in the order of a prompt.

    `meanings` gives the word of strings that contain none, such as the data of an image.
    """
    words: list[str] = []
    found: list[Prefix] = []

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != "cache_control":
                    visit(inner)
            if mark := value.get("cache_control"):
                found.append((frozenset(words), mark.get("ttl", "5m")))
        elif isinstance(value, list | tuple):
            for inner in value:
                visit(inner)
        elif isinstance(value, str):
            words.extend([meanings[value]] if value in meanings else WORD.findall(value))

    visit(prompt)
    return found


class MarkedRequest:
    """A random request with breakpoints, in which each piece of content has a unique word.

    `hidden` turns a word into the signature of omitted thinking, `paged` into the data of a PDF.
    `meanings` gives the word of each such string and of each image's data.
    """

    def __init__(
        self,
        seed: int,
        hidden: Callable[[str], str] | None = None,
        paged: Callable[[str], str] | None = None,
    ) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a failure has to come back
        self._names = (f"w{number}" for number in count())
        self._hidden = hidden
        self._paged = paged
        self._cited = {"enabled": self._chance.random() < 0.5}
        self._calls = count()
        self.meanings: dict[str, str] = {}
        self.body: Json = {"model": "claude-x", "max_tokens": 10}
        if self._likely(0.7):
            self.body["tools"] = [self._tool() for _ in range(self._chance.randrange(1, 3))]
        if self._likely(0.7):
            self.body["system"] = [self._text() for _ in range(self._chance.randrange(1, 3))]
        self.body["messages"] = [*self._conversation()]
        self._mark()

    @property
    def prefixes(self) -> list[Prefix]:
        """The prefix of each breakpoint; that of the automatic one is the whole prompt."""
        body = self.body
        said = [body.get("tools", []), body.get("system", []), body["messages"]]
        found = prefixes(said, self.meanings)
        if "cache_control" not in body:
            return found
        whole = prefixes([{"all": said, "cache_control": body["cache_control"]}], self.meanings)
        return [*found, whole[-1]] if whole[-1] not in found else found

    def _likely(self, share: float) -> bool:
        return self._chance.random() < share

    def _word(self) -> str:
        return next(self._names)

    def _tool(self) -> Json:
        # Without `strict` any schema is accepted.
        return {"name": self._word(), "input_schema": {"type": "object"}}

    def _conversation(self) -> Iterator[Json]:
        open_calls: list[str] = []
        for _ in range(self._chance.randrange(1, 4)):
            blocks = [self._result(call) for call in open_calls]
            blocks += [self._shown() for _ in range(self._chance.randrange(1, 4))]
            # Neighbouring messages of one role are one turn.
            cut = self._chance.randrange(len(blocks)) if self._likely(0.4) else 0
            for part in (blocks[:cut], blocks[cut:]):
                if part:
                    yield {"role": "user", "content": part}
            open_calls = []
            answer = [self._text()]
            if self._hidden is not None and self._likely(0.5):
                answer.insert(0, self._thinking(self._hidden))
            if "tools" in self.body and self._likely(0.6):
                calls = [self._call() for _ in range(self._chance.randrange(1, 3))]
                answer += calls
                open_calls = [call["id"] for call in calls]
            yield {"role": "assistant", "content": answer}
        last = [self._result(call) for call in open_calls]
        yield {"role": "user", "content": [*last, self._text()]}

    def _text(self) -> Json:
        return {"type": "text", "text": f"Say {self._word()} aloud."}

    def _image(self) -> Json:
        word = self._word()
        data = b64encode(images.png(1 + int(word[1:]), 1)).decode()
        self.meanings[data] = word
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return {"type": "image", "source": source}

    def _thinking(self, hidden: Callable[[str], str]) -> Json:
        word = self._word()
        signature = hidden(word)
        self.meanings[signature] = word
        return {"type": "thinking", "thinking": "", "signature": signature}

    def _call(self) -> Json:
        call_id = f"toolu_{next(self._calls)}"
        name = self.body["tools"][0]["name"]
        # The name's word belongs to the tool; the input has one of its own.
        return {"type": "tool_use", "id": call_id, "name": name, "input": {"a": self._word()}}

    def _result(self, call: str) -> Json:
        content: Any = [self._shown() for _ in range(self._chance.randrange(1, 4))]
        if self._likely(0.3):
            content = f"It said {self._word()}."
        return {"type": "tool_result", "tool_use_id": call, "content": content}

    def _shown(self) -> Json:
        make = self._chance.choice(
            [self._text, self._text, self._image, self._document, self._document, self._found]
        )
        return make()

    def _parts(self) -> list[Json]:
        number = self._chance.randrange(1, 4)
        return [self._image() if self._likely(0.2) else self._text() for _ in range(number)]

    def _document(self) -> Json:
        head: Json = {"title": self._word()} if self._likely(0.5) else {}
        if self._likely(0.3):
            head["context"] = self._word()
        return {"type": "document", **head, "source": self._source(), "citations": self._cited}

    def _source(self) -> Json:
        word = self._word()
        if self._paged is not None and self._likely(0.1):
            data = self._paged(word)
            self.meanings[data] = word
            return {"type": "base64", "media_type": "application/pdf", "data": data}
        if self._likely(0.3):
            return {"type": "text", "media_type": "text/plain", "data": f"It is {word}. Or not."}
        return {"type": "content", "content": self._parts()}

    def _found(self) -> Json:
        head = {"type": "search_result", "source": self._word(), "title": self._word()}
        return {**head, "content": self._parts(), "citations": self._cited}

    def _mark(self) -> None:
        """Mark some blocks, those with the long ttl first; perhaps add an automatic breakpoint."""
        body = self.body
        markable = [*_markable([body.get("tools", []), body.get("system", []), body["messages"]])]
        automatic = self._likely(0.4)
        most = min(MOST_MARKS - automatic, len(markable))
        chosen = sorted(self._chance.sample(range(len(markable)), self._chance.randrange(most + 1)))
        long = self._chance.randrange(len(chosen) + 1)
        ttl = "1h"
        for rank, index in enumerate(chosen):
            ttl = "1h" if rank < long else "5m"
            markable[index]["cache_control"] = {"type": "ephemeral", "ttl": ttl}
        if automatic:
            body["cache_control"] = {"type": "ephemeral", "ttl": ttl}


def _markable(value: Any) -> Iterator[Json]:
    """Yield the blocks and tools that may have a breakpoint, inner blocks first."""
    if isinstance(value, list):
        for inner in value:
            yield from _markable(inner)
    elif isinstance(value, dict):
        for name in ("source", "content"):
            yield from _markable(value.get(name))
        is_tool = "input_schema" in value
        is_block = value.get("type") in {
            *("text", "image", "document", "search_result", "tool_use", "tool_result"),
        }
        # A document's source may have the type `text`, too.
        if is_tool or (is_block and "media_type" not in value):
            yield value
