"""Opens what was found in the web in earlier rounds and turns, for the model to read and cite."""

import msgspec
from msgspec.structs import replace

from antiphon.core.blocks import rewrite
from antiphon.core.citations.sentences import sentences
from antiphon.core.prompt import Prompt
from antiphon.core.server_tools.searched import SearchedParam
from antiphon.service.server_tools.web.seals import Seals
from antiphon.wire.content import BlockParam, CitationsParam, TextParam


class WebResults:
    """The sealed results of one server; without `seals`, none can be opened."""

    def __init__(self, seals: Seals | None) -> None:
        self._seals = seals

    def sealed(self, text: str, salt: str) -> str:
        """Seal the text of a result. Without a library for seals nothing is searched."""
        return "" if self._seals is None else self._seals.seal(text.encode(), salt)

    def opened(self, prompt: Prompt) -> Prompt:
        """Return a prompt with the texts of its results.

        One that was sealed elsewhere, or for another workspace, has its title and its URL alone:
        conversations that began at another server go on here.
        """
        if not prompt.sealed or self._seals is None:
            return prompt
        opened = rewrite(prompt, lambda block: (self._opened(block, prompt.cache_salt),))
        return replace(opened, sealed=False)

    def _opened(self, block: BlockParam, salt: str) -> BlockParam:
        if not isinstance(block, SearchedParam) or self._seals is None:
            return block
        opened = self._seals.open(block.sealed, salt)
        if opened is None:
            return block
        index = msgspec.json.encode([block.source, block.title])
        text = opened.decode()
        # Each sentence is cited by itself.
        texts = [text[start:end].strip() for start, end in sentences(text)]
        return replace(
            block,
            content=[TextParam(text=one) for one in texts],
            citations=CitationsParam(enabled=True),
            index=self._seals.seal_index(index, salt),
        )
