"""What a request has waited for, so that the request log can tell it, however the request ends."""


class Waits:
    """The seconds of a request at the gate of its model, and for money that others held.

    `None` is a wait that the request did not come to.
    """

    gate_s: float | None = None
    money_s: float | None = None

    def note_money(self, seconds: float) -> None:
        """Note a wait for money."""
        self.money_s = seconds
