"""What the examination of an SGLang server has of its own."""

import secrets
from typing import Final

from antiphon.engines.base import EngineError, EngineErrorKind, EngineStartError
from antiphon.engines.sglang.client import SglangClient
from antiphon.engines.token_server.examination import SALT, SAMPLE, Examination, Product
from antiphon.engines.upstream.refusals import RefusedError

SGLANG: Final = Product(
    name="SGLang",
    engine="sglang",
    oldest="SGLang 0.5.23 or newer is needed",
    loose="Start it with `--grammar-backend xgrammar`",
    silent="without --disable-radix-cache",
)


class SglangExamination(Examination):
    """The examination of an SGLang server, which tells whether it schedules by priorities."""

    _client: SglangClient

    async def _first_answer(self) -> str:
        info = await self._client.info()
        self._client.low_values_first = info.schedule_low_priority_values_first
        if self._priority is None:
            self._client.priority = info.enable_priority_scheduling
        return await self._answer()

    async def _more(self) -> None:
        """Raise `EngineStartError` if what one workspace had read is reused for another one.

        Versions that do not know of namespaces say nothing of it.
        """
        tokens = self._client.vocabulary.tokens(SAMPLE, control=False)
        try:
            await self._client.read(tokens, SALT)
            found = await self._client.read(tokens, secrets.token_hex(16))
        except RefusedError as error:
            raise self._refused(error) from error
        except EngineError as error:
            if error.kind is not EngineErrorKind.FAILED:
                raise
            raise EngineStartError(f"Model `{self._name}`: {error} ({self._told}).") from error
        if found.cached:
            raise EngineStartError(
                f"Model `{self._name}`: its server reuses prompts of one workspace for another "
                f"({self._told}): it does not know `extra_key`. {self.product.oldest}."
            )
