"""SGLang as a token machine: opens a model that a server runs."""

from typing import Final, TypeAlias

from msgspec.structs import replace

from antiphon.engines.base import EngineConfig, Examined, Packages, checked
from antiphon.engines.sglang.client import SglangClient, told
from antiphon.engines.sglang.examination import SGLANG, SglangExamination
from antiphon.engines.sglang.machine import SglangMachine
from antiphon.engines.sglang.options import SglangOptions
from antiphon.engines.sglang.server_types import ModelInfo, ServerInfo
from antiphon.engines.token.engine import TokenEngine
from antiphon.engines.token_server.examination import Examination
from antiphon.engines.token_server.opening import ModelCard, ServerOpening, check_server_options
from antiphon.engines.token_server.vocabulary import Vocabulary
from antiphon.engines.upstream.http import Upstream
from antiphon.logs import EventLog

RESERVED: Final = 6
"""How many tokens fewer than the model's context SGLang takes."""

SglangEngine: TypeAlias = TokenEngine[SglangMachine]


class SglangOpening(ServerOpening[SglangOptions, SglangClient, SglangMachine]):
    """Opens a model on an SGLang server."""

    product = SGLANG

    def _client(self, upstream: Upstream, model: str, vocabulary: Vocabulary) -> SglangClient:
        return SglangClient(upstream, model, vocabulary, priority=self._options.priority or False)

    def _examination(self, client: SglangClient, tokenizer: str) -> Examination:
        return SglangExamination(
            SGLANG, client, self._config.model, tokenizer, priority=self._options.priority
        )

    def _machine(
        self, client: SglangClient, block_tokens: int, examination: Examination | None
    ) -> SglangMachine:
        return SglangMachine(
            client,
            block_tokens,
            minimum_tokens=self._config.cache_minimum_tokens,
            examination=examination,
        )

    async def _learned(self, card: ModelCard, upstream: Upstream) -> ModelCard:
        # Its list has the name under which a model is served, and the context of the model.
        model = await told(upstream, "/model_info", ModelInfo)
        server = await told(upstream, "/server_info", ServerInfo)
        if not server.incremental_streaming_output:
            EventLog(__name__).info(
                "a server repeats an answer in each of its events",
                model=self._config.model,
                mend="sglang serve --incremental-streaming-output",
            )
        limit = server.max_req_input_len
        if limit is None and card.max_model_len is not None:
            limit = max(1, card.max_model_len - RESERVED)
        root = model.tokenizer_path or model.model_path or card.root
        return replace(card, root=root, max_model_len=limit)


def check_sglang(config: EngineConfig) -> None:
    """Check the options, and the file of a chat template. Raises `EngineStartError`."""
    check_server_options(config, SglangOptions)


async def examine_sglang(config: EngineConfig) -> Examined:
    """Examine the server as the start does, and fetch nothing. Raises `EngineStartError`."""
    return await SglangOpening(config, SglangOptions).examine()


@checked(check_sglang, examine=examine_sglang, packages=Packages("sglang", ("tokenizers",)))
async def open_sglang(config: EngineConfig) -> SglangEngine:
    """Open a model that an SGLang server runs. Raises `EngineStartError`.

    The server may be away if the options leave nothing to ask: then it is examined at the first
    request.
    """
    return await SglangOpening(config, SglangOptions).run_and_tell()
