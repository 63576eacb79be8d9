"""Prompts with images: text with markers, which llama.cpp tokenizes itself.

llama.cpp takes images only beside a text, and reads control tokens and its markers in that text.
So the caller's texts are checked first: an invisible sign is put into each spelling of a control
token or a marker, and the tokens of the result are compared with those of plain text. Prompts
without images are sent as tokens and need none of this.
"""

import struct
from array import array
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from hashlib import shake_256
from typing import Final

import msgspec

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.images import read_base64, read_head
from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.llama.machine import LlamaCompletions, LlamaMachine
from antiphon.engines.llama.server_types import MediaPrompt, Props
from antiphon.engines.token.machine import CompletionRequest, Piece, PreparedPrompt
from antiphon.engines.token.prompt.edges import Edge
from antiphon.engines.token.prompt.images import RenderedPart
from antiphon.engines.token.prompt.placeholders import Segment
from antiphon.engines.token.prompt.tokens import RenderedPrompt, Tokenizer
from antiphon.wire.content import Base64ImageSource, ImageParam

OLD_MARKERS: Final = ("<__media__>", "<__image__>")
"""The markers of a llama.cpp that states none: its own, and an older one that it still reads."""
WORD_JOINER: Final = "\u2060"
HOLE: Final = -1
"""Stands for a token of an image, which is not in the vocabulary."""
NO_TOKEN: Final = 1 << 31
"""The least number of 32 bits that is the number of no token."""
KNOWN_SIZES: Final = 1024
NESTED: Final = 3
BEHIND: Final = "a"


class ImagePrompt(msgspec.Struct, frozen=True):
    """A prompt with images: the text and images to send, and its tokens, with holes for images.

    `key` has numbers that say which image it is instead of the holes. `prefixes` are the prompts
    to send for a number of tokens behind an image.
    """

    text: str
    markers: tuple[str, ...]
    images: tuple[str, ...]
    tokens: list[int]
    key: list[int]
    prefixes: Mapping[int, MediaPrompt]


def marker_of(props: Props) -> str:
    """Return the marker that stands for an image in a text."""
    return props.media_marker or OLD_MARKERS[0]


class ImagePrompts:
    """Prepares prompts with images for one llama.cpp."""

    def __init__(self, machine: LlamaMachine, tokens: Tokenizer, context_tokens: int) -> None:
        self._machine = machine
        self._context_tokens = context_tokens
        self._client = machine.client
        self._tokens = tokens
        self._sizes: OrderedDict[tuple[int, int], int] = OrderedDict()

    async def prepare(
        self, parts: Sequence[RenderedPart], edges: Sequence[Edge] = ()
    ) -> PreparedPrompt:
        """Prepare a rendered prompt as text and images. Raises `EngineError`.

        Texts between images are tokenized as a whole, so an edge may lie inside of a token. A
        prompt whose texts alone do not fit into the context is counted without those checks.
        """
        props = await self._client.props()
        markers = (props.media_marker,) if props.media_marker else OLD_MARKERS
        images = [part for part in parts if isinstance(part, ImageParam)]
        between = _runs(parts)
        if (long := await self._too_long(between)) is not None:
            return PreparedPrompt(long)
        runs = [await self._harmless_run(run, markers) for run in between]
        if not runs[-1]:
            raise _unsupported("This model's prompt cannot end in an image.")
        begin = self._tokens.begin
        if begin and props.bos_token and runs[0]:
            # llama.cpp adds the token in any case, even if the text begins with it.
            runs[0][0] = runs[0][0].removeprefix(props.bos_token)
        stretches = ["".join(run) for run in runs]
        first, *others = await self._encoded(stretches)
        tokens, key = [*begin, *first], [*begin, *first]
        starts = [len(begin)]
        for image, stretch in zip(images, others, strict=True):
            size = await self._size(image, markers[0])
            tokens += [HOLE] * size
            key += _numbers_of(image, size)
            starts.append(len(tokens))
            tokens += stretch
            key += stretch
        sent = tuple(map(_base64, images))
        found: list[Edge] = []
        prefixes: dict[int, MediaPrompt] = {}
        for edge in edges:
            before = _runs(parts[: edge.at])
            run = len(before) - 1
            text = "".join(runs[run][: len(before[-1])])
            # An edge between tokens has before it what is also the text's tokens alone.
            (alone,) = await self._encoded([text])
            at = starts[run] + len(alone)
            if list(alone) == tokens[starts[run] : at]:
                found.append(edge.moved(at))
                if run and text:
                    joined = markers[0].join([*stretches[:run], text])
                    prefixes[at] = MediaPrompt(joined, sent[:run])
        prompt = ImagePrompt(markers[0].join(stretches), markers, sent, tokens, key, prefixes)
        # Right behind an image nothing can be kept: llama.cpp takes no prompt that ends in one.
        text_ends = len(begin) + len(first)
        behind = prefixes if self._machine.parts.keeps_images else {}
        kept = [edge for edge in found if edge.at in behind or edge.at <= text_ends]
        reader = MultimodalReader(self._machine, self, prompt, kept)
        return PreparedPrompt(RenderedPrompt(tokens, tuple(found)), reader)

    async def _too_long(self, runs: Sequence[Sequence[Segment]]) -> RenderedPrompt | None:
        """Return the tokens of texts that do not fit into the context; `None` if they fit.

        Looking for the spellings of control tokens among millions of tokens would hold the event
        loop for seconds.
        """
        tokens = array("i", self._tokens.begin)
        for encoded in await self._encoded(["".join(part.text for part in run) for run in runs]):
            tokens.extend(encoded)
        return RenderedPrompt(tokens) if len(tokens) > self._context_tokens else None

    async def harmless(self, text: str, markers: Sequence[str]) -> str:
        """Return a text with all spellings of control tokens and markers broken."""
        for literal in markers:
            text = text.replace(literal, _broken(literal))
        for _ in range(NESTED):
            suspects = await self._beyond_plain(text)
            if not suspects:
                return text
            for literal in suspects:
                text = text.replace(literal, _broken(literal))
        raise _unsupported(
            "A text has the spelling of a control token of this model, which cannot be sent "
            "together with images."
        )

    async def text_of(self, written: Sequence[int], markers: Sequence[str]) -> str:
        """Return the text of tokens that a model has written behind a prompt."""
        if not written:
            return ""
        text = await self._client.detokenize(written)
        if list(await self._client.tokenize(text, control=True)) == list(written):
            return text
        # A caller can make a model write the spelling of a control token.
        return await self.harmless(text, markers)

    async def _harmless_run(self, run: Sequence[Segment], markers: Sequence[str]) -> list[str]:
        """Return the texts between two images, checked as a whole: a spelling can span parts."""
        parts = [
            part
            if part.control
            else Segment(await self.harmless(part.text, markers), control=False)
            for part in run
        ]
        text = "".join(part.text for part in parts)
        meant = Counter[int]()
        plain = set[int]()
        for part in parts:
            as_plain, as_control = await self._tokens.each(_both(part.text))
            plain.update(as_plain)
            if part.control:
                meant.update(as_control)
        (whole,) = await self._encoded([text])
        more = {one for one, times in Counter(whole).items() if times > meant[one]} - plain
        if any(marker in text for marker in markers) or [
            one for one in more if await self._spelling(one) is not None
        ]:
            raise _unsupported("A text and this model's chat template spell a control token.")
        return [part.text for part in parts]

    async def _beyond_plain(self, text: str) -> list[str]:
        """Return the spellings of control tokens in a text."""
        as_plain, as_control = await self._tokens.each(_both(text))
        if list(as_plain) == list(as_control):
            return []
        spelt = [await self._spelling(one) for one in {*as_control} - {*as_plain}]
        return sorted(filter(None, spelt), key=len, reverse=True)

    async def _spelling(self, token: int) -> str | None:
        """Return the spelling of a control token; `None` for a token that plain text may become."""
        text = await self._client.detokenize([token])
        if "\ufffd" in text:  # a part of a character
            return None
        (as_plain,) = await self._tokens.each([Segment(text, control=False)])
        return None if list(as_plain) == [token] else text

    async def _encoded(self, texts: Sequence[str]) -> list[Sequence[int]]:
        return await self._tokens.each([Segment(text, control=True) for text in texts])

    async def _size(self, image: ImageParam, marker: str) -> int:
        """Return an image's tokens, which depend on its size alone; ask once for each size."""
        data = _base64(image)
        head = read_head(read_base64(data))
        size = self._sizes.get((head.width, head.height))
        if size is None:
            (behind,) = await self._encoded([BEHIND])
            read = await self._machine.evaluated(MediaPrompt(marker + BEHIND, (data,)))
            size = read - len(behind) - len(self._tokens.begin)
            self._sizes[head.width, head.height] = size
            if len(self._sizes) > KNOWN_SIZES:
                self._sizes.popitem(last=False)
        return size


class MultimodalReader:
    """The reader of one prompt with images."""

    def __init__(
        self,
        machine: LlamaMachine,
        prompts: "ImagePrompts",
        prompt: ImagePrompt,
        edges: Sequence[Edge] = (),
    ) -> None:
        self.prompt = prompt
        self._machine = machine
        self._prompts = prompts
        self._edges = edges

    @asynccontextmanager
    async def completions(
        self,
        prompt: RenderedPrompt,
        salt: str,
        hints: Hints = NO_HINTS,
        parking: Parking | None = None,
    ) -> AsyncGenerator["MultimodalCompletions", None]:
        del prompt  # it has holes, where the key has numbers
        key, prefixes = self.prompt.key, self.prompt.prefixes
        # What was written behind an image would have to be sent as text to go on in another slot:
        # such work is parked only in the child for batches.
        async with self._machine.place(parking, hints) as (machine, told):
            slot_prompt = machine.slot_prompt(salt, key, self._edges, prefixes, told)
            async with machine.completions_of(slot_prompt) as completions:
                yield MultimodalCompletions(completions, self._prompts, self.prompt)


class MultimodalCompletions:
    """The completions of a prompt with images: it is sent as text and images.

    Tokens that the model has written since are sent as text behind them.
    """

    def __init__(
        self, completions: LlamaCompletions, prompts: "ImagePrompts", prompt: ImagePrompt
    ) -> None:
        self._completions = completions
        self._prompts = prompts
        self._prompt = prompt

    @property
    def confirmed(self) -> Confirmation:
        return self._completions.confirmed

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self._completions.tokenize(text, control=control, ends=ends)

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        written = request.tokens[len(self._prompt.tokens) :]
        text = self._prompt.text + await self._prompts.text_of(written, self._prompt.markers)
        media = MediaPrompt(text, self._prompt.images)
        async with aclosing(self._completions.complete(request, media)) as pieces:
            async for piece in pieces:
                yield piece


def _runs(parts: Sequence[RenderedPart]) -> list[list[Segment]]:
    """Cut at the images, into one run more than there are images; runs may be empty."""
    runs: list[list[Segment]] = [[]]
    for part in parts:
        if isinstance(part, ImageParam):
            runs.append([])
        else:
            runs[-1].append(part)
    return runs


def _both(text: str) -> list[Segment]:
    return [Segment(text, control=False), Segment(text, control=True)]


def _broken(literal: str) -> str:
    return literal[:1] + WORD_JOINER + literal[1:]


def _numbers_of(image: ImageParam, size: int) -> list[int]:
    """Return as many numbers as an image has tokens, from its content; no token has such a one."""
    drawn = shake_256(_base64(image).encode()).digest(4 * size)
    return [NO_TOKEN | number for number in struct.unpack(f"<{size}I", drawn)]


def _base64(image: ImageParam) -> str:
    if not isinstance(image.source, Base64ImageSource):
        raise _unsupported("This model takes images as base64 only.")
    return image.source.data


def _unsupported(message: str) -> EngineError:
    return EngineError(EngineErrorKind.UNSUPPORTED, message)
