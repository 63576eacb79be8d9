"""The search of tools: what a model asks for, found among the deferred tools of its request."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from antiphon.core.prompt import Prompt, ServerResult, Tool
from antiphon.core.server_tools.catalogue import (
    LONGEST_PATTERN,
    LONGEST_QUERY,
    Catalogue,
    SearchTooLongError,
)
from antiphon.core.server_tools.rounds import ServerCall
from antiphon.engines.step_runner import StepRunner
from antiphon.schemas.steps import Steps, Work
from antiphon.wire.server_blocks import (
    ToolReferenceBlock,
    ToolSearchErrorBlock,
    ToolSearchResultBlock,
    ToolSearchToolResultBlock,
)

LONGEST_S: Final = 2.0
"""The seconds behind which no other text is searched. Most take less than a thousandth of that."""

# What one pattern may take for its automaton, in bytes. A pattern that needs more is refused: a
# search takes time in proportion to its size, and ends at the end of a text at the earliest. Of so
# many bytes, the worst ones take a third of a second for the longest text; of a mebibyte, minutes.
_PATTERN_MEMORY: Final = 1 << 16


class _InputError(Exception):
    """The model has asked in a way that cannot be searched. The message is for the model."""


class ToolSearch:
    """The searches of one answer. `clock` tells seconds that never go back.

    `runner` bounds how many searches of all answers run at once: they share their threads with the
    large requests of everybody.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        clock: Callable[[], float] = monotonic,
        *,
        runner: StepRunner | None = None,
    ) -> None:
        self._clock = clock
        self._runner = runner or StepRunner()
        self._steps = Steps()
        self._ends_at = 0.0
        self._catalogue = Catalogue(tools, self._is_late)

    async def run(self, call: ServerCall, prompt: Prompt) -> ServerResult:
        """Search in a thread, and return what was found, or why nothing was."""
        del prompt
        try:
            found = await self._runner.run(partial(self._search, call), brief=False)
        except _InputError as error:
            content: ToolSearchResultBlock | ToolSearchErrorBlock = ToolSearchErrorBlock(
                error_code="invalid_tool_input", error_message=str(error)
            )
        except SearchTooLongError:
            content = ToolSearchErrorBlock(error_code="execution_time_exceeded")
        except ImportError:
            # Of the library for patterns, which has no wheel for every machine.
            content = ToolSearchErrorBlock(error_code="unavailable")
        else:
            references = tuple(ToolReferenceBlock(tool_name=name) for name in found)
            content = ToolSearchResultBlock(tool_references=references)
        return ServerResult(ToolSearchToolResultBlock(tool_use_id=call.id, content=content))

    def _is_late(self) -> bool:
        """Return whether a search takes too long. Raises `WorkStoppedError` if nobody waits."""
        self._steps.take()
        return self._clock() > self._ends_at

    def _search(self, call: ServerCall, work: Work) -> tuple[str, ...]:
        self._steps = work.budget(sys.maxsize)
        self._ends_at = self._clock() + LONGEST_S
        if call.name == "tool_search_tool_regex":
            return self._by_pattern(_asked(call.input, "pattern"))
        return self._by_words(_asked(call.input, "query"))

    def _by_pattern(self, pattern: str) -> tuple[str, ...]:
        # An engine that takes time in proportion to the text, whatever the pattern is. Imported
        # here, as most servers never search.
        import re2  # noqa: PLC0415

        if len(pattern) > LONGEST_PATTERN:
            raise _InputError(f"The pattern has more than {LONGEST_PATTERN} characters.")
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        options.max_mem = _PATTERN_MEMORY
        try:
            compiled = re2.compile(pattern, options)
        except UnicodeEncodeError as error:
            raise _InputError("The pattern has characters that are none.") from error
        except re2.error as error:
            raise _InputError(f"Invalid regular expression pattern: {_reason(error)}") from error
        return self._catalogue.matching(lambda text: compiled.search(text) is not None)

    def _by_words(self, query: str) -> tuple[str, ...]:
        if len(query) > LONGEST_QUERY:
            raise _InputError(f"The query has more than {LONGEST_QUERY} characters.")
        return self._catalogue.ranked(query)


def _asked(given: dict[str, Any] | None, key: str) -> str:
    value = (given or {}).get(key)
    if not isinstance(value, str) or not value.strip():
        raise _InputError(f"`{key}` must be a text that is not empty.")
    return value


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
