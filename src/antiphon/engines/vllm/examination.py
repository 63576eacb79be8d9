"""What the examination of a vLLM server has of its own."""

from typing import Final

from antiphon.engines.base import EngineErrorKind
from antiphon.engines.token_server.examination import Examination, Product
from antiphon.engines.upstream.refusals import RefusedError

VLLM: Final = Product(
    name="vLLM",
    engine="vllm",
    oldest="vLLM 0.12 or newer is needed",
    loose="Start it without `--reasoning-parser`",
    silent="with --enable-prefix-caching --enable-prompt-tokens-details",
)


class VllmExamination(Examination):
    """The examination of a vLLM server, which refuses priorities that it does not schedule by."""

    async def _first_answer(self) -> str:
        self._client.priority = self._priority is not False
        try:
            return await self._answer()
        except RefusedError as error:
            if error.kind is not EngineErrorKind.UNSUPPORTED or self._priority is not None:
                raise
            self._client.priority = False
            return await self._answer()
