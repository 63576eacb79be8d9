"""Opens a model that a server of token arrays runs."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    Examined,
    decode_options,
)
from antiphon.engines.token.engine import (
    TokenEngine,
    capabilities_of,
    open_template,
    with_tool_template,
)
from antiphon.engines.token.prompt.family_templates import family_of
from antiphon.engines.token.prompt.named_templates import Templates
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.engines.token_server.client import TokenServerClient
from antiphon.engines.token_server.examination import Examination, Product
from antiphon.engines.token_server.machine import ServerMachine
from antiphon.engines.token_server.model_files import (
    ModelFiles,
    NotHereError,
    folder_of,
    read_files,
)
from antiphon.engines.token_server.options import TokenServerOptions
from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from antiphon.engines.upstream.http import Upstream
from antiphon.logs import EventLog

NO_TEMPLATE: Final = (
    "Model `{model}`: its files have no chat template, and its tokens are not those of a family"
    " that Antiphon knows. Name a file with the template that the model was trained on:"
    ' `chat_template = "./my-template.jinja"` in the options of the model.'
)

Options = TypeVar("Options", bound=TokenServerOptions)
Client = TypeVar("Client", bound=TokenServerClient)
Machine = TypeVar("Machine", bound=ServerMachine[Any])


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a server lists it. `root` is what it was started with: a folder or a name."""

    id: str
    root: str | None = None
    max_model_len: int | None = None
    owned_by: Any = None


class ModelList(msgspec.Struct, frozen=True):
    data: tuple[ModelCard, ...]


class ServerOpening(ABC, Generic[Options, Client, Machine]):
    """Opens one model, or examines its server."""

    product: ClassVar[Product]

    def __init__(self, config: EngineConfig, kind: type[Options]) -> None:
        self._config = config
        self._options = decode_options(config.model, config.options, kind)
        self._fetches = True

    async def run(self) -> TokenEngine[Machine]:
        """Return the engine, whose server was examined. Raises `EngineStartError`."""
        config, options = self._config, self._options
        async with AsyncExitStack() as stack:
            upstream = Upstream(options.url, options.authorized, options.patience)
            stack.push_async_callback(upstream.aclose)
            card = await self._card(upstream)
            place = options.tokenizer or card.root or card.id
            files, vocabulary = await asyncio.to_thread(self._read, place)
            client = self._client(upstream, card.id, vocabulary)
            machine = await self._examined(client, self._examination(client, place))
            template, templates, tokenizer = await templates_of(
                config.model, options, files, vocabulary
            )
            context = options.context_tokens or card.max_model_len
            if context is None:
                raise EngineStartError(
                    f"Model `{config.model}`: its server does not tell the size of the context. "
                    "Set `context_tokens`."
                )
            capabilities = capabilities_of(template, context, keeps_prefixes=machine.keeps_prefixes)
            return TokenEngine(
                machine, templates, tokenizer, capabilities, resources=stack.pop_all()
            )
        raise AssertionError  # pragma: no cover - the stack does not swallow exceptions

    async def run_and_tell(self) -> TokenEngine[Machine]:
        """Return the engine, and log what the operator may want to mend."""
        engine = await self.run()
        log, name = EventLog(__name__), self._config.model
        if not engine.machine.examined:
            log.warning("a server is away, and is examined at its first request", model=name)
        elif not engine.machine.keeps_prefixes and self._options.cache_block_tokens != 0:
            log.warning(
                "nothing is claimed of a server's prefix cache: it reports nothing of it",
                model=name,
                mend=f"start it {self.product.silent}",
            )
        return engine

    async def examine(self) -> Examined:
        """Examine the server as the start does, and fetch nothing. Raises `EngineStartError`."""
        self._fetches = False
        model, product = self._config.model, self.product
        try:
            engine = await self.run()
        except NotHereError as error:
            return Examined(str(error).removeprefix("Model ").rstrip("."))
        await engine.aclose()
        limits = engine.capabilities
        if not engine.machine.examined:
            return Examined(f"{model}: its {product.name} server is away", product.start)
        text = f"{model}: {product.engine}, {limits.context_tokens:,} tokens of context"
        if not limits.keeps_prefixes:
            silent = f"{text}; its server reports nothing of its prefix cache"
            return Examined(silent, f"start it {product.silent}")
        return Examined(text)

    @abstractmethod
    def _client(self, upstream: Upstream, model: str, vocabulary: Vocabulary) -> Client: ...

    @abstractmethod
    def _examination(self, client: Client, tokenizer: str) -> Examination: ...

    @abstractmethod
    def _machine(
        self, client: Client, block_tokens: int, examination: Examination | None
    ) -> Machine: ...

    async def _learned(self, card: ModelCard, upstream: Upstream) -> ModelCard:
        """Return a model with what the server says of it at other places."""
        del upstream
        return card

    async def _card(self, upstream: Upstream) -> ModelCard:
        """Return the model of the server that the options mean."""
        options, name = self._options, self._config.model
        try:
            cards = (await upstream.ask("GET", "/v1/models", None, ModelList)).data
            found = [card for card in cards if options.model in {None, card.id}]
            if len(found) == 1:
                return await self._learned(found[0], upstream)
        except EngineError as error:
            if options.waits and options.model is not None and _is_away(error):
                return ModelCard(id=options.model)
            raise EngineStartError(f"Model `{name}`: {error}.") from error
        known = ", ".join(card.id for card in cards) or "none"
        if options.model is None:
            raise EngineStartError(f"Model `{name}`: set `model` to one of its server's: {known}.")
        raise EngineStartError(
            f"Model `{name}`: its server has no model `{options.model}`. Set `model` to one of "
            f"these: {known}."
        )

    def _read(self, place: str) -> tuple[ModelFiles, Vocabulary]:
        name, state = self._config.model, self._config.state_dir
        cache: Path | None = None if state is None else state / "tokenizers"
        files = read_files(name, folder_of(name, place, cache, fetches=self._fetches))
        return files, open_vocabulary(name, files.tokenizer)

    async def _examined(self, client: Client, examination: Examination) -> Machine:
        """Examine the server, and return it as a machine."""
        options = self._options
        block = options.cache_block_tokens
        later: Examination | None = None
        try:
            await examination.run()
            if block is None:
                block = await examination.block_tokens()
        except EngineError as error:
            if not (options.waits and _is_away(error)):
                raise EngineStartError(f"Model `{self._config.model}`: {error}.") from error
            later = examination
        return self._machine(client, block or 0, later)


def check_server_options(config: EngineConfig, kind: type[TokenServerOptions]) -> None:
    """Check the options, and the file of a chat template. Raises `EngineStartError`."""
    options = decode_options(config.model, config.options, kind)
    if options.chat_template is not None:
        open_template(config.model, options, "", bos="", eos="")


async def templates_of(
    name: str, options: TokenServerOptions, files: ModelFiles, vocabulary: Vocabulary
) -> tuple[ChatTemplate, Templates, Tokenizer]:
    """Return the default template of a model, all of them, and what tokenizes their prompts.

    A template of the model's own writes the first token itself, if it wants one.
    """
    tokenizer = Tokenizer(vocabulary.tokenize, [])
    source = files.template
    if not source and options.chat_template is None:
        family = await family_of(vocabulary.tokenize)
        if family is None:
            raise EngineStartError(NO_TEMPLATE.format(model=name))
        EventLog(__name__).warning(
            "a model has no chat template; that of its tokens is used",
            model=name,
            family=family.name,
        )
        source, tokenizer = family.template, await Tokenizer.open(vocabulary.tokenize)
    template = open_template(name, options, source, bos=files.bos, eos=files.eos)
    templates = with_tool_template(
        name, options, template, files.tool_template, bos=files.bos, eos=files.eos
    )
    return template, templates, tokenizer


def _is_away(error: EngineError) -> bool:
    return error.kind in (EngineErrorKind.OVERLOADED, EngineErrorKind.TIMEOUT)
