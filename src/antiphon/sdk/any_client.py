"""What both clients do in the same way, as it sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from antiphon.sdk.call import Call
from antiphon.sdk.options import ClientOptions, timeout_for
from antiphon.transport.base import Headers

if TYPE_CHECKING:
    from antiphon.core.billing.pricing import Price
    from antiphon.sdk.cost import Cost
    from antiphon.sdk.streamed import StreamState
    from antiphon.sdk.types.message import Message


class AnyClient:
    """A client of either kind."""

    options: ClientOptions
    now: Callable[[], float]

    def stream_state(self, call: Call[Any], headers: Headers, begun: float) -> StreamState:
        """Return the state of a stream that a call has opened, which was asked for at `begun`."""
        from antiphon.sdk.streamed import StreamState  # noqa: PLC0415

        return StreamState(
            call,
            headers,
            begun=begun,
            idle=timeout_for(call, self.options).idle,
            now=self.now,
            observers=self.options.observers,
        )

    def cost(self, message: Message, prices: Mapping[str, Price] | None = None) -> Cost:
        """Return what a message costs, exactly (`antiphon.sdk.cost`). Nothing is asked for."""
        from antiphon.sdk.cost import cost_of  # noqa: PLC0415

        return cost_of(message, prices)
