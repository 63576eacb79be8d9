"""How a template reads the content of messages: as a text, or only as a list of typed parts."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

Role: TypeAlias = str
Message: TypeAlias = dict[str, Any]

ROLES: Final[tuple[Role, ...]] = ("user", "system", "assistant", "tool")
"""Roles in the order in which a template is tried on them: no conversation is without a user."""


class ContentForm(msgspec.Struct, frozen=True):
    """The form of contents for one template: the `typed` roles have parts, the others texts.

    A content is one part, even if it is empty, so that a template writes what it writes of a text.
    """

    typed: frozenset[Role] = frozenset()

    def of(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return messages in this form. What is no text stays as it is: some thoughts are parts."""
        if not self.typed:
            return messages
        return [
            {**message, "content": [{"type": "text", "text": message["content"]}]}
            if message["role"] in self.typed and isinstance(message.get("content"), str)
            else message
            for message in messages
        ]


def content_form_for(expresses: Callable[[Role, ContentForm], bool]) -> ContentForm:
    """Return the form in which a template expresses a message of each role.

    A text is taken where both are. What a template expresses in neither form has that of the user.
    """
    form = ContentForm()
    for role in ROLES:
        typed = ContentForm(form.typed | {role})
        if not expresses(role, form) and ("user" in form.typed or expresses(role, typed)):
            form = typed
    return form
