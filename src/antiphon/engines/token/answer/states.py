"""The states of an answer while it is read, and the table of transitions between them.

Theory of operation
===================

A model generates one string. The parser receives it in pieces, each with the number of tokens that
it cost, and returns engine events: text, reasoning, and calls of tools. A piece may end anywhere:
inside of a tag, of a JSON string, of the space between two calls. The events must not depend on
that. However it is cut, the same string yields the same reasoning, text and calls; only the sizes
of the chunks differ.

How transitions happen
----------------------

In each state the parser searches the text that it holds for a *sign*: a tag, the first character
that can only be text, the end of a JSON value. A reader for each state (`parser.AnswerParser`)
returns how much of the held text it has read, the events of that text, and the sign it found. The
table below maps the sign to the next state; nothing else changes the state. Without a sign the
parser waits for the next piece. A sign without an entry in its state is a bug of the reader, and
raises `KeyError`.

    START ───────────┬─ reasoning opening ─► REASONING ── reasoning closing ──► AFTER_REASONING
    AFTER_REASONING ─┼─ anything else ─────► TEXT
                     └─ brace of a call ───► CALL               (where calls have no opening)

    START, AFTER_REASONING, TEXT, AFTER_CALL ── head of a call without its mark ──► UNMARKED
    UNMARKED ── rejected call ──► REJECTED

    TEXT ───────┬─ call opening ──► CALL
    AFTER_CALL ─┘

    CALL ─┬─ head of a streamed call ──► ARGUMENTS ── end of the input ──► CLOSING ──► AFTER_CALL
          ├─ accepted call ────────────► AFTER_CALL            (or CALL, within a section)
          ├─ not a call ───────────────► TEXT
          ├─ rejected call ────────────► REJECTED ── retry ──► TEXT, or START without an opening,
          │                                                    or CALL within a section
          ├─ repeated call ────────────► ENDED                 (in a forced answer)
          └─ anything else ────────────► ENDED                 (where an opening ends a text)

    AFTER_CALL ── text ──► ENDED                               (in a forced answer)

    START, REASONING, AFTER_REASONING, TEXT, AFTER_CALL ── end of the turn ──► ENDED
                                                       (where no token of the model ends a turn)

What each state reads
---------------------

`START`            Only space so far. A reasoning tag or a call without an opening is recognised
                   here only: later, both are text.
`REASONING`        Everything up to the closing tag is reasoning.
`AFTER_REASONING`  Like `START`, but space and the gap (what a template writes between reasoning
                   and the answer) are dropped. The model may reason again.
`TEXT`             Text, up to the opening of a call.
`CALL`             After an opening, or behind another call of the same section. A tool whose
                   input is streamed is recognised by its head (`{"name": ..., "arguments":`),
                   within a bounded number of characters. Any other call is held until it is
                   whole.
`ARGUMENTS`        The input of a streamed call, passed on as it arrives, up to the end of its JSON.
`CLOSING`          After such an input: the brace and the closing of the call, which are dropped.
`UNMARKED`         Where the head of a call stands without its mark (`unmarked`). No more of it is
                   read: it is rejected, and generated again as a call.
`AFTER_CALL`       Like `TEXT`, but space at the end of the answer is dropped.
`REJECTED`         After a rejected call. Nothing is read until the retry.
`ENDED`            A forced answer consists of calls only. It ends where the model begins to write
                   anything else behind a call, or makes a call for the second time. Where the
                   opening of a call is also what ends a text, so does any answer, if what follows
                   is no call. A model whose vocabulary has no token for the end of a turn writes
                   its mark as text (`AnswerFormat.turn_ends`), and the answer ends there, too;
                   within a call the mark is a part of it. Nothing is read any more.

What is held back at the end of a piece
---------------------------------------

A character is passed on as soon as no following text can change its meaning, and no sooner. The
parser holds: the longest end of the text that is a prefix of a tag (`<tool_` may become
`<tool_call>`, or stay text); the space before it, because the space around a call belongs to the
call; at the start, space and prefixes of a tag or of the gap; at the start of a line, what may
become the head of a call without its mark; a whole call, because its input has to be checked; the
brace and the closing after a streamed input; prefixes of a mark that ends a
turn.

When the answer ends by itself, held text is taken literally: a partial tag is text, and so is an
incomplete call. When a limit cuts the answer, a partial opening of a call, or end of a turn, is
dropped (a single character of it may be text, unless the answer consists of calls only), and an
incomplete call is reported as far as it was generated, if it has named its tool. The first call of
a forced answer may be rejected instead (`generation.MOST_CUT`): a small model sometimes does not
end a text.

How tokens are assigned to events
---------------------------------

The events of an answer carry exactly the tokens of its pieces. The first event of a piece carries
the tokens of this piece and of all pieces before it that yielded no event; further events of the
same piece carry none; `Finished` carries the rest. So a caller who hangs up is charged for what was
sent, within one piece.

How calls are checked and rejected calls are generated again
------------------------------------------------------------

A whole call is reported if it is JSON of the right form, names a tool of the request, and its input
fits the tool's schema. If no grammar constrains the answer, anything else is text. If one does, an
input that does not fit violates an unenforced keyword (decision 12), and the call is rejected: the
parser stops and reports the position at which the call began and the number of tokens that no event
carries yet. The generation drops the tokens from there on and generates the call again
(`generation.generate`); the parser drops the call and reads the next text in its place. The last
attempt is not `demanding`: it reports such a call unchanged, unless its input must fit. Streamed
inputs are not checked, so a tool whose input must fit, but whose schema is not fully enforced, is
not streamed (`AnswerFormat.buffered`).
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """What the parser is currently reading."""

    START = auto()
    REASONING = auto()
    AFTER_REASONING = auto()
    TEXT = auto()
    CALL = auto()
    ARGUMENTS = auto()
    CLOSING = auto()
    AFTER_CALL = auto()
    UNMARKED = auto()
    REJECTED = auto()
    ENDED = auto()


class Sign(Enum):
    """What a reader has found in the text."""

    REASONING_OPENING = auto()
    REASONING_CLOSING = auto()
    OTHER_TEXT = auto()  # text that can be no other sign of the state
    CALL_OPENING = auto()  # the opening, or the brace of a call without one
    UNMARKED_HEAD = auto()  # the head of a call without its mark
    STREAMED_HEAD = auto()  # a call of a tool whose input is streamed, up to its input
    WHOLE_CALL = auto()  # an accepted call
    REJECTED_CALL = auto()  # a call whose input does not fit
    REPEATED_CALL = auto()  # a call that a forced answer has made before
    ANSWER_END = auto()  # text behind the calls of a forced answer, or the end of a text
    TURN_END = auto()  # the written mark of the end of a turn
    INPUT_END = auto()
    CALL_CLOSING = auto()
    NEXT_CALL = auto()  # an accepted call, or the closing of a streamed one, with another behind it
    RETRY = auto()  # not in the text: the generation goes back to the start of the call
    RETRY_FROM_START = auto()  # the same, for calls without an opening
    RETRY_WITHIN = auto()  # the same, for calls behind another one in its section


_BEGINNING: Final = {
    Sign.REASONING_OPENING: State.REASONING,
    Sign.CALL_OPENING: State.CALL,
    Sign.UNMARKED_HEAD: State.UNMARKED,
    Sign.OTHER_TEXT: State.TEXT,
    Sign.TURN_END: State.ENDED,
}

TRANSITIONS: Final[Mapping[State, Mapping[Sign, State]]] = {
    State.START: _BEGINNING,
    State.REASONING: {
        Sign.REASONING_CLOSING: State.AFTER_REASONING,
        Sign.TURN_END: State.ENDED,
    },
    State.AFTER_REASONING: _BEGINNING,
    State.TEXT: {
        Sign.CALL_OPENING: State.CALL,
        Sign.UNMARKED_HEAD: State.UNMARKED,
        Sign.TURN_END: State.ENDED,
    },
    State.CALL: {
        Sign.STREAMED_HEAD: State.ARGUMENTS,
        Sign.WHOLE_CALL: State.AFTER_CALL,
        Sign.NEXT_CALL: State.CALL,
        Sign.REJECTED_CALL: State.REJECTED,
        Sign.REPEATED_CALL: State.ENDED,
        Sign.ANSWER_END: State.ENDED,
        Sign.OTHER_TEXT: State.TEXT,
    },
    State.ARGUMENTS: {Sign.INPUT_END: State.CLOSING},
    State.CLOSING: {
        Sign.CALL_CLOSING: State.AFTER_CALL,
        Sign.NEXT_CALL: State.CALL,
        Sign.OTHER_TEXT: State.AFTER_CALL,
    },
    State.AFTER_CALL: {
        Sign.CALL_OPENING: State.CALL,
        Sign.UNMARKED_HEAD: State.UNMARKED,
        Sign.ANSWER_END: State.ENDED,
        Sign.TURN_END: State.ENDED,
    },
    State.UNMARKED: {Sign.REJECTED_CALL: State.REJECTED},
    State.REJECTED: {
        Sign.RETRY: State.TEXT,
        Sign.RETRY_FROM_START: State.START,
        Sign.RETRY_WITHIN: State.CALL,
    },
    State.ENDED: {},
}
