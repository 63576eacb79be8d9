"""Examines a server of token arrays before it is used: whether it does what engines rely on."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from antiphon.engines.base import EngineError, EngineErrorKind, EngineStartError
from antiphon.engines.token.machine import CompletionRequest
from antiphon.engines.token_server.client import TokenServerClient
from antiphon.engines.upstream.refusals import RefusedError

SAMPLE: Final = 'Zürich, 東京 🦜 \t x = {"a": [1, 2.5]}\n\n    if a != b: print("no")'
"""Its tokens mean another text in nearly every other vocabulary."""

WORD: Final = "quail 71"
"""What no model would say of itself."""
SALT: Final = "antiphon examines this server"
PROMPTS: Final = (256, 2048)
"""The sizes of prompts that show the block of the prefix cache: the second is for models whose
blocks are longer than the first."""
TRIES: Final = 3


class Product(msgspec.Struct, frozen=True):
    """What a server runs: its `name`, the `engine` for it, and the `oldest` version that will do.

    `loose` says what mends one that does not keep to grammars. `silent` is how to start one that
    tells nothing of its prefix cache.
    """

    name: str
    engine: str
    oldest: str
    loose: str
    silent: str

    @property
    def start(self) -> str:
        """What mends a server that is away."""
        return f"start it, or correct `url`: docs/how-to/{self.engine}.md"


class Examination:
    """The examination of one server, for the model `name`. `priority` `None` finds out."""

    is_over = False
    """Whether the server has passed it."""

    def __init__(
        self,
        product: Product,
        client: TokenServerClient,
        name: str,
        tokenizer: str,
        *,
        priority: bool | None,
    ) -> None:
        self.product = product
        self._client = client
        self._name = name
        self._tokenizer = tokenizer
        self._priority = priority
        self._once = asyncio.Lock()
        self._told = ""

    async def passed(self) -> None:
        """Examine the server if that was not done yet. Raises `EngineError`."""
        async with self._once:
            if self.is_over:
                return
            try:
                await self.run()
            except EngineStartError as error:
                raise EngineError(EngineErrorKind.FAILED, str(error)) from error

    async def run(self) -> None:
        """Examine the server. Raises `EngineError` if it is away, else `EngineStartError`."""
        version = await self._client.version()
        product = self.product
        self._told = f"{product.name} {version}" if version else "a server that tells no version"
        await self._vocabulary()
        await self._grammar()
        await self._more()
        self.is_over = True

    async def block_tokens(self) -> int:
        """Return the tokens of a block of the prefix cache; 0 if the server reports nothing of it.

        Of a prompt that it has read before, it reuses whole blocks; of those blocks alone, all but
        the last one, because it computes the last token of every prompt.
        """
        base = self._client.vocabulary.tokens(SAMPLE * 8, control=False)
        for size in PROMPTS:
            tokens = (base * (1 + size // len(base)))[:size]
            try:
                found = await self._cached(tokens)
            except RefusedError:
                return 0  # longer than the context
            if found is None:
                return 0
            if found:
                return found - (await self._cached(tokens[:found]) or 0)
        return 0

    async def _cached(self, tokens: Sequence[int]) -> int | None:
        """Return what is cached of a prompt, `None` if that is never told.

        Behind a router, several servers have to read it first.
        """
        told: int | None = None
        for _ in range(TRIES):
            told = (await self._client.read(tokens, SALT)).cached
            if told:
                break
        return told

    async def _vocabulary(self) -> None:
        vocabulary = self._client.vocabulary
        tokens = vocabulary.tokens(SAMPLE, control=False)
        try:
            echoed = await self._client.echoed(tokens)
        except RefusedError as error:
            if error.kind is EngineErrorKind.UNSUPPORTED:
                raise self._other_tokenizer() from error
            raise self._refused(error) from error
        if not echoed.lstrip().startswith(vocabulary.text(tokens).lstrip()):
            raise self._other_tokenizer()

    async def _grammar(self) -> None:
        try:
            said = await self._first_answer()
        except RefusedError as error:
            raise self._refused(error) from error
        if said != WORD:
            # With a parser of reasoning some keep to none before the reasoning has ended.
            raise EngineStartError(
                f"Model `{self._name}`: its server does not keep to a grammar, so no call and no "
                f"output could be guaranteed ({self._told}). {self.product.loose}; "
                f"{self.product.oldest}."
            )

    async def _more(self) -> None:
        """Examine what servers of one product do, or not."""

    async def _first_answer(self) -> str:
        """Return what the server answers first, and learn whether it takes priorities."""
        return await self._answer()

    async def _answer(self) -> str:
        """Return what the server answers where it may say one word only."""
        tokens = self._client.vocabulary.tokens("Yes or no?", control=False)
        request = CompletionRequest(
            tokens=list(tokens), max_tokens=16, temperature=0.0, grammar=f'root ::= "{WORD}"'
        )
        try:
            async with aclosing(self._client.complete(request, SALT, in_batch=True)) as pieces:
                return "".join([piece.text async for piece in pieces])
        except RefusedError:
            raise
        except EngineError as error:
            if error.kind is not EngineErrorKind.FAILED:
                raise
            raise EngineStartError(
                f"Model `{self._name}`: {error} ({self._told}). {self.product.oldest}."
            ) from error

    def _other_tokenizer(self) -> EngineStartError:
        return EngineStartError(
            f"Model `{self._name}`: the tokenizer of {self._tokenizer} is not that of the model "
            f"`{self._client.model}` on its server: the same tokens mean another text there. Set "
            "`tokenizer` to the folder or the name that the server was started with."
        )

    def _refused(self, error: EngineError) -> Exception:
        """Return the error of a refusal; of one that may pass later, that one."""
        if error.kind in (EngineErrorKind.OVERLOADED, EngineErrorKind.TIMEOUT):
            return error
        return EngineStartError(f"Model `{self._name}`: {error} ({self._told}).")
