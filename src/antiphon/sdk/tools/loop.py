"""The rules of a conversation in which a model calls tools. No input or output.

A runner asks for the next request, sends it, hands over the answer, runs the calls that the answer
asks for, and hands over their results. The blocking and the async runner do only that.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from antiphon.sdk.tools.definition import Runnable, Tool
from antiphon.sdk.tools.results import ToolCall, ToolResult, failed

Parameters: TypeAlias = dict[str, Any]
_Next: TypeAlias = Literal["run", "resume", "stop"]

# What follows an answer, by its stop reason; any other one ends the conversation.
_NEXT: dict[str | None, _Next] = {"tool_use": "run", "pause_turn": "resume", "compaction": "resume"}
_FORCED = frozenset({"any", "tool"})


class UnknownToolError(LookupError):
    """A model calls a tool that nobody offered."""


class ToolLoop:
    """A conversation with tools, from one request to the next."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        max_iterations: int | None = None,
        *,
        takes_async: bool = True,
    ) -> None:
        if max_iterations is not None and max_iterations < 1:
            raise ValueError("max_iterations is at least 1")
        self._max_iterations = max_iterations
        self._takes_async = takes_async
        self._parameters: Parameters = {}
        self.messages: list[Any] = []
        self._tools: list[Any] = []
        self.set_parameters(parameters)
        self.iterations = 0
        self.usage: dict[str, Any] = {}
        self.last: Any = None
        self._reply: Any = None
        self._results: list[ToolResult] | None = None
        self._appended: list[Any] = []
        self._over = False

    @property
    def parameters(self) -> Parameters:
        """The parameters of the next request, with messages and the definitions of tools."""
        request = {**self._parameters, "messages": list(self.messages)}
        if self._tools:
            request["tools"] = [_definition(one) for one in self._tools]
        return request

    def set_parameters(
        self, parameters: Mapping[str, Any] | Callable[[Parameters], Mapping[str, Any]]
    ) -> None:
        """Replace the parameters; a function is given those that there are."""
        if callable(parameters):
            parameters = parameters(
                {**self._parameters, "messages": list(self.messages), "tools": list(self._tools)}
            )
        own = dict(parameters)
        if "messages" in own:
            self.messages = list(own.pop("messages"))
        if "tools" in own:
            self._tools = [_offered(one) for one in own.pop("tools") or ()]
            self._check_tools()
        self._parameters = own

    def _check_tools(self) -> None:
        for one in self._tools:
            if not self._takes_async and _is_runnable(one) and one.is_async:
                raise TypeError(f"tool {one.name!r} is async: run it with an AsyncClient")
        names = [one.name if _is_runnable(one) else one.get("name") for one in self._tools]
        if twins := sorted({str(one) for one in names if names.count(one) > 1 and one}):
            raise ValueError(f"two tools have the name {', '.join(twins)}")

    def append(self, messages: Iterable[Any]) -> None:
        """Say more. While an answer is looked at, it comes behind the answer and its results."""
        if self._reply is None and self.iterations == 0:
            self.messages.extend(map(_message, messages))
        else:
            self._appended.extend(map(_message, messages))

    def request(self) -> Parameters | None:
        """Return the parameters of the next request; `None` when the conversation is over."""
        self._end_turn()
        if self._over or (
            self._max_iterations is not None and self.iterations >= self._max_iterations
        ):
            return None
        self.iterations += 1
        return self.parameters

    def conversation(self) -> list[Any]:
        """Return the messages up to here, with the answer that is looked at."""
        return [*self.messages, *self._turn(), *self._appended]

    def final(self) -> Any:
        """Return the last answer. Raises `RuntimeError` if there is none."""
        if self.last is None:
            raise RuntimeError("nothing was asked yet")
        return self.last

    def take(self, reply: Any) -> None:
        """Take the answer to a request."""
        self._reply = self.last = reply
        self._results = None
        _add(self.usage, reply.usage.to_dict())

    def calls(self) -> list[ToolCall]:
        """Return the calls to run for the answer that was taken; none if they have been run.

        A tool that was offered without a function is run by the program, so then there are none.
        """
        if self._reply is None or self._results is not None or self._is_answered():
            return []
        if _NEXT.get(self._reply.stop_reason) != "run":
            return []
        by_name = {one.name: one for one in self._tools if _is_runnable(one)}
        declared = {one.get("name") for one in self._tools if not _is_runnable(one)}
        uses = [block for block in self._reply.content if block.type == "tool_use"]
        if any(use.name in declared for use in uses):
            return []
        return [
            ToolCall(id=use.id, name=use.name, input=use.input, tool=by_name.get(use.name))
            for use in uses
        ]

    def unknown(self, call: ToolCall) -> ToolResult:
        """Return the result of a call of a tool that nobody offered."""
        names = ", ".join(one.name for one in self._tools if _is_runnable(one)) or "none"
        error = UnknownToolError(f"there is no tool {call.name!r}; there are: {names}")
        return failed(call, error)

    def take_results(self, results: Iterable[ToolResult]) -> None:
        """Take the results of the calls, in their order."""
        self._results = list(results)

    def results_message(self) -> dict[str, Any] | None:
        """Return the message that holds the results; `None` if there are none."""
        if not self._results:
            return None
        return {"role": "user", "content": [one.to_dict() for one in self._results]}

    def _is_answered(self) -> bool:
        """Whether the program has appended the answer itself, and so whatever belongs to it."""
        return any(one.get("role") == "assistant" for one in self._appended)

    def _turn(self) -> list[Any]:
        """Return what the runner adds for the answer: itself, and the results of its calls."""
        if self._reply is None or self._is_answered():
            return []
        results = self.results_message()
        return [*_kept(self._reply), *([] if results is None else [results])]

    def _end_turn(self) -> None:
        """Put the answer and its results into the conversation, and see whether it goes on."""
        if self._reply is not None:
            self.messages.extend(self._turn())
            following = _NEXT.get(self._reply.stop_reason, "stop")
            self._over = following == "stop" or (following == "run" and not self._results)
            if self._results:
                self._relax_choice()
            self._reply = self._results = None
        self._go_on_with_appended()

    def _go_on_with_appended(self) -> None:
        if self._appended:
            self.messages.extend(self._appended)
            self._appended = []
            self._over = False

    def _relax_choice(self) -> None:
        """Let the model choose again: a choice that forces a call would never let it answer."""
        choice = self._parameters.get("tool_choice")
        if isinstance(choice, Mapping) and choice.get("type") in _FORCED:
            kept = {name: value for name, value in choice.items() if name not in {"type", "name"}}
            self._parameters["tool_choice"] = {"type": "auto", **kept}


def _kept(reply: Any) -> list[dict[str, Any]]:
    """Return what stays of an answer in the conversation.

    A refused answer does not: it would be refused again. Nor does a call of an answer that ended
    for another reason, as one that was cut: without a result, nothing can be sent behind it.
    """
    content = list(reply.content)
    if reply.stop_reason == "refusal":
        return []
    if reply.stop_reason not in _NEXT:
        content = [block for block in content if block.type != "tool_use"]
    return [{"role": "assistant", "content": content}] if content else []


def _is_runnable(one: Any) -> bool:
    return callable(getattr(one, "call", None))


def _offered(one: Any) -> Any:
    """Return a tool as it was given, a plain function as a tool, and any other as a definition."""
    if _is_runnable(one):
        runnable: Runnable = one
        return runnable
    if callable(one):
        return Tool(one)
    return dict(one) if isinstance(one, Mapping) else msgspec.to_builtins(one)


def _definition(one: Any) -> Any:
    return one.to_dict() if _is_runnable(one) else one


def _message(one: Any) -> Any:
    """Return a message to send; an answer of the model becomes one."""
    if isinstance(one, Mapping):
        return one
    return {
        "role": one.role,
        "content": list(one.content) if _is_list(one.content) else one.content,
    }


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the numbers of a usage to those of another; of the rest the last one stays."""
    for name, value in more.items():
        before = total.get(name)
        if isinstance(value, Mapping):
            inner = dict(before) if isinstance(before, Mapping) else {}
            _add(inner, value)
            total[name] = inner
        elif isinstance(value, int | float) and isinstance(before, int | float):
            total[name] = before + value
        elif value is not None or name not in total:
            total[name] = value
