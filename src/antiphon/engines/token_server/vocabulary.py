"""The vocabulary of a model: texts to tokens and back, as its `tokenizer.json` says."""

import asyncio
import secrets
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from antiphon.engines.base import EngineStartError
from antiphon.engines.token_server.hidden_tokens import HiddenTokens, hide_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BRIEF: Final = 4_000
"""The most characters that are tokenized on the event loop: a few milliseconds."""

STRETCH: Final = 50_000
"""The most characters that are tokenized at once. The tokenizer keeps 100 bytes for each token of
a text while it works, which of a text of 32 MB would be a gigabyte."""

NONCE_BYTES: Final = 8


class Vocabulary:
    """Tokenizes, and decodes.

    `spellings` are the control tokens, `silent` those of them that are no text of an answer.
    """

    def __init__(self, tokenizer: "Tokenizer", hidden: HiddenTokens) -> None:
        self.spellings: Mapping[int, str] = hidden.spellings
        self.silent = hidden.silent
        self._tokenizer = tokenizer
        self._secret = hidden.secret
        self._meant = hidden.meant()

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> "array[int]":
        """Tokenize a text, as a token machine does; a long one in a thread."""
        if len(text) <= BRIEF:
            return self.tokens(text, control=control, ends=ends)
        return await asyncio.to_thread(self.tokens, text, control=control, ends=ends)

    def tokens(self, text: str, *, control: bool, ends: bool = False) -> "array[int]":
        """Tokenize a text. With `control`, spellings of control tokens in it are meant as such."""
        tokens = array("i")
        if ends:
            return array("i", self._tokenizer.encode(self._of(text, control=control)).ids)
        for stretch in stretches(text):
            given = self._of(stretch, control=control)
            tokens.extend(self._tokenizer.encode(given, add_special_tokens=False).ids)
        return tokens

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. Bytes that are no character are U+FFFD."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)

    def spelled(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, with control tokens as they are spelt."""
        text = self.text(tokens)
        for content, secret in self._secret.items():
            text = text.replace(secret, content)
        return text

    def _of(self, text: str, *, control: bool) -> str:
        if not control or self._meant is None:
            return text
        return self._meant.sub(lambda found: self._secret[found[0]], text)


def stretches(text: str, most: int = STRETCH) -> Iterator[str]:
    """Cut a long text behind line breaks, else behind spaces: the same text always alike."""
    at = 0
    while len(text) - at > most:
        end = max(text.rfind("\n", at, at + most), 0) or max(text.rfind(" ", at, at + most), 0)
        end = end + 1 if end > at else at + most
        yield text[at:end]
        at = end
    if at < len(text):
        yield text[at:]


def open_vocabulary(model: str, document: bytes, nonce: str | None = None) -> Vocabulary:
    """Read a `tokenizer.json`. Raises `EngineStartError`."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra, and 3 MB
    except ImportError as error:
        raise EngineStartError(
            f"Model `{model}`: its engine needs a package that is not installed. "
            "`pip install 'antiphon[vllm]'` installs it, and `'antiphon[sglang]'` as well."
        ) from error
    try:
        hidden = hide_tokens(document, nonce or secrets.token_hex(NONCE_BYTES))
        # It raises nothing more special for a file that it cannot read.
        tokenizer = Tokenizer.from_buffer(hidden.document)
    except Exception as error:
        raise EngineStartError(
            f"Model `{model}`: its tokenizer.json cannot be read: {error}."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Vocabulary(tokenizer, hidden)
