"""vLLM as a token machine: opens a model that a server runs."""

from typing import TypeAlias

from antiphon.engines.base import EngineConfig, Examined, Packages, checked
from antiphon.engines.token.engine import TokenEngine
from antiphon.engines.token_server.examination import Examination
from antiphon.engines.token_server.opening import ServerOpening, check_server_options
from antiphon.engines.token_server.vocabulary import Vocabulary
from antiphon.engines.upstream.http import Upstream
from antiphon.engines.vllm.client import VllmClient
from antiphon.engines.vllm.examination import VLLM, VllmExamination
from antiphon.engines.vllm.machine import VllmMachine
from antiphon.engines.vllm.options import VllmOptions

VllmEngine: TypeAlias = TokenEngine[VllmMachine]


class VllmOpening(ServerOpening[VllmOptions, VllmClient, VllmMachine]):
    """Opens a model on a vLLM server."""

    product = VLLM

    def _client(self, upstream: Upstream, model: str, vocabulary: Vocabulary) -> VllmClient:
        return VllmClient(upstream, model, vocabulary, priority=self._options.priority or False)

    def _examination(self, client: VllmClient, tokenizer: str) -> Examination:
        return VllmExamination(
            VLLM, client, self._config.model, tokenizer, priority=self._options.priority
        )

    def _machine(
        self, client: VllmClient, block_tokens: int, examination: Examination | None
    ) -> VllmMachine:
        return VllmMachine(
            client,
            block_tokens,
            minimum_tokens=self._config.cache_minimum_tokens,
            examination=examination,
        )


def check_vllm(config: EngineConfig) -> None:
    """Check the options, and the file of a chat template. Raises `EngineStartError`."""
    check_server_options(config, VllmOptions)


async def examine_vllm(config: EngineConfig) -> Examined:
    """Examine the server as the start does, and fetch nothing. Raises `EngineStartError`."""
    return await VllmOpening(config, VllmOptions).examine()


@checked(check_vllm, examine=examine_vllm, packages=Packages("vllm", ("tokenizers",)))
async def open_vllm(config: EngineConfig) -> VllmEngine:
    """Open a model that a vLLM server runs. Raises `EngineStartError`.

    The server may be away if the options leave nothing to ask: then it is examined at the first
    request.
    """
    return await VllmOpening(config, VllmOptions).run_and_tell()
