"""Elements as templates of three families write them."""

from antiphon.schemas.elements import PROPERTY, Elements, Place, Wrap
from antiphon.schemas.spelling import Quotes, Spelling
from antiphon.schemas.values import DISJOINT_TYPES

_NOT_TEXTS = [kind for kind in DISJOINT_TYPES if kind != "string"]
_PYTHON = Spelling(true="True", false="False", null="None", quotes=Quotes("'", "'", "python"))
_RAW = Spelling(
    null="None",
    quotes=Quotes('<|"|>', '<|"|>', "none"),
    comma=",",
    colon=":",
    bare_keys=True,
    sorts=True,
)

TAGGED = Elements(
    "<parameter=",
    dict.fromkeys(DISJOINT_TYPES, Place(">\n", "\n</parameter>\n")),
    spellings={"boolean": _PYTHON, "null": _PYTHON},
)
"""A parameter between tags; words as in Python, and all else as JSON."""

QUOTED_JSON = Elements(
    "",
    dict.fromkeys(DISJOINT_TYPES, Place("=", "")),
    separator=", ",
    spellings={"string": Spelling()},
)
"""Arguments of a call whose texts are those of JSON."""

REPEATED = Elements(
    "",
    dict.fromkeys(DISJOINT_TYPES, Place("=", "")),
    separator=", ",
    spellings=dict.fromkeys(DISJOINT_TYPES, _PYTHON),
)
"""Arguments of a call as Python writes all of them."""

TAGS = Elements(
    "<", dict.fromkeys(DISJOINT_TYPES, Place(">", f"</{PROPERTY}>\n")), spellings={"null": _PYTHON}
)
"""Each property is a tag, and its name stands again in the closing one."""

WRAPPED = Elements(
    "<p ",
    dict.fromkeys(DISJOINT_TYPES, Place(">", "</p>")),
    wrap=Wrap("<![", "]]>", "\n<"),
)
"""Parameters whose texts stand in a wrap if they have a line break or a bracket."""

QUOTED = Elements(
    "",
    {"string": Place(':<|"|>', '<|"|>'), **dict.fromkeys(_NOT_TEXTS, Place(":", ""))},
    separator=",",
    spellings=dict.fromkeys(_NOT_TEXTS, _RAW),
    sorts=True,
)
"""Names and values with quotes of their own, in the order of the names."""

CALLED = Elements(
    "",
    {"string": Place("='", "'"), **dict.fromkeys(_NOT_TEXTS, Place("=", ""))},
    separator=", ",
    spellings={"boolean": _PYTHON, "null": _PYTHON, "array": _PYTHON},
    followers=(r", [A-Za-z0-9_]+=", r"\)"),
)
"""Arguments of a call in Python; objects are JSON."""

NESTED = Elements(
    "[ns]<",
    dict.fromkeys(DISJOINT_TYPES, Place(">", f"[ns]</{PROPERTY}>")),
    item="item",
)
"""Elements at every depth; the items of arrays have a name, and `null` is left out."""
