"""The states of an answer while it is read, and the table of transitions between them.

Theory of operation
===================

A model writes one string. The parser receives it in pieces, each with the number of tokens that it
cost, and returns engine events: text, reasoning, and calls of tools. A piece may end anywhere: in
the middle of a tag, of a JSON string, of the space between two calls. The events must not depend
on it. Whatever the cuts, the same string gives the same reasoning, the same text and the same
calls; only the sizes of the chunks differ.

How one state is left for another
---------------------------------

In each state the parser looks at the text that it holds for a *sign*: a tag, the first
character that can only be text, the end of a JSON value. A reader for each state
(`parser.AnswerParser`) says how much of the held text has been read, which events that makes, and
which sign it found. The table below says which state follows from that sign, and nothing else
changes the state. Without a sign the parser waits for the next piece. A sign that has no row in
its state is a fault of the reader, and a `KeyError`.

    START ───────────┬─ reasoning opening ─► REASONING ── reasoning closing ──► AFTER_REASONING
    AFTER_REASONING ─┼─ anything else ─────► TEXT
                     └─ brace of a call ───► CALL               (where calls have no opening)

    TEXT ───────┬─ call opening ──► CALL
    AFTER_CALL ─┘

    CALL ─┬─ head of a streamed call ──► ARGUMENTS ── end of the input ──► CLOSING ──► AFTER_CALL
          ├─ whole call that leaves ───► AFTER_CALL
          ├─ no call after all ────────► TEXT
          └─ call that must not leave ─► REJECTED ── retry ──► TEXT, or START without an opening

What each state sees
--------------------

`START`            Nothing but space so far. A reasoning tag or a call without an opening is
                   recognised here and nowhere else: in later text both are text.
`REASONING`        The model reasons; everything up to the closing tag is reasoning.
`AFTER_REASONING`  As `START`, but space and the gap (what a template writes between reasoning and
                   the answer) are dropped. The model may reason again.
`TEXT`             Text, up to the opening of a call.
`CALL`             Behind an opening. A tool whose input is streamed is recognised by its head
                   (`{"name": ..., "arguments":`), within a bounded number of characters. Any
                   other call is held until it is whole.
`ARGUMENTS`        The input of a streamed call, passed on as it comes, up to the end of its JSON.
`CLOSING`          Behind such an input: the brace and the closing of the call, which are dropped.
`AFTER_CALL`       As `TEXT`, but space at the end of the answer is dropped.
`REJECTED`         Behind a call that must not leave. Nothing is read until there is a retry.

What is undecided at the edge of a piece, and is held back
----------------------------------------------------------

A character is passed on as soon as nothing that may follow can change what it means, and no
sooner. Held are: the longest end of the text that a tag begins with (`<tool_` may become
`<tool_call>`, or stay text); space in front of that, because the space around a call belongs to
the call and not to the text; at the beginning, space and what a tag or the gap begins with; a
whole call, because its input has to be checked; the brace and the closing behind a streamed input.

When the answer ends by itself, what is held means what it says: half a tag is text, and so is a
call that is not whole. When a limit cut the answer, half an opening of a call is dropped (a single
character of it may be text, unless there can be nothing but calls), and half a call leaves as far
as it came, if it had named its tool.

How tokens are priced to events
-------------------------------

Tokens are neither lost nor made: the events of an answer carry as many as its pieces had. The
first event that a piece makes gets the tokens of this piece and of every piece before it that made
none; further events of the same piece cost nothing; `Finished` gets the rest. So a caller who hangs
up has been charged for what was sent, within one piece.

What is checked before a call leaves, and how a rejected call is written again
------------------------------------------------------------------------------

A whole call leaves if it is JSON of the right form, names a tool of the request, and its input
fits the tool's schema. Where no grammar constrains the answer, anything else is text. Where one
does, an input that does not fit breaks a rule that no grammar expresses (decision 12), and the call
is rejected: the parser stops and says at which character the call began and how many tokens it had
not yet priced. The generation drops the tokens from there on and has the call written again
(`generation.generate`); the parser forgets the call and reads the next text in its place. A last
attempt is not `demanding`: such a call then leaves as it is, unless its tool must fit. Streamed
inputs are not checked, so a tool whose input must fit and whose schema no grammar expresses in
full is not streamed (`AnswerFormat.buffered`).
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """What the parser is in the middle of."""

    START = auto()
    REASONING = auto()
    AFTER_REASONING = auto()
    TEXT = auto()
    CALL = auto()
    ARGUMENTS = auto()
    CLOSING = auto()
    AFTER_CALL = auto()
    REJECTED = auto()


class Sign(Enum):
    """What a reader has found in the text."""

    REASONING_OPENING = auto()
    REASONING_CLOSING = auto()
    OTHER_TEXT = auto()  # what can be none of the things that the state looks for
    CALL_OPENING = auto()  # the opening, or the brace of a call that has none
    STREAMED_HEAD = auto()  # a call of a tool whose input is streamed, up to its input
    WHOLE_CALL = auto()  # one that leaves
    REJECTED_CALL = auto()  # one that must not leave
    INPUT_END = auto()
    CALL_CLOSING = auto()
    RETRY = auto()  # not in the text: the generation goes back to where the call began
    RETRY_FROM_START = auto()  # the same, for calls without an opening


_BEGINNING: Final = {
    Sign.REASONING_OPENING: State.REASONING,
    Sign.CALL_OPENING: State.CALL,
    Sign.OTHER_TEXT: State.TEXT,
}

TRANSITIONS: Final[Mapping[State, Mapping[Sign, State]]] = {
    State.START: _BEGINNING,
    State.REASONING: {Sign.REASONING_CLOSING: State.AFTER_REASONING},
    State.AFTER_REASONING: _BEGINNING,
    State.TEXT: {Sign.CALL_OPENING: State.CALL},
    State.CALL: {
        Sign.STREAMED_HEAD: State.ARGUMENTS,
        Sign.WHOLE_CALL: State.AFTER_CALL,
        Sign.REJECTED_CALL: State.REJECTED,
        Sign.OTHER_TEXT: State.TEXT,
    },
    State.ARGUMENTS: {Sign.INPUT_END: State.CLOSING},
    State.CLOSING: {Sign.CALL_CLOSING: State.AFTER_CALL, Sign.OTHER_TEXT: State.AFTER_CALL},
    State.AFTER_CALL: {Sign.CALL_OPENING: State.CALL},
    State.REJECTED: {Sign.RETRY: State.TEXT, Sign.RETRY_FROM_START: State.START},
}
