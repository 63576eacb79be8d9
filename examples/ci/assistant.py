"""A part of somebody's program: it sorts a ticket, and copes with a server that is busy."""

import anthropic


class BusyError(Exception):
    """The model is overloaded; the ticket can be sorted later."""


def urgency(client: anthropic.Anthropic, ticket: str) -> str:
    """Return `high` or `low`. Raises `BusyError`."""
    try:
        message = client.messages.create(
            model="claude-haiku-4-5",
            max_tokens=10,
            system="Is this ticket of high or of low urgency? Answer with one word.",
            messages=[{"role": "user", "content": ticket}],
        )
    except anthropic.APIStatusError as error:
        if error.status_code in {429, 529}:
            raise BusyError from error
        raise
    answer = "".join(block.text for block in message.content if block.type == "text")
    return "high" if "high" in answer.lower() else "low"
