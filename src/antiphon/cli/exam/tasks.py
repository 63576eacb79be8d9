"""The tasks of the exam. They follow from a seed alone, so every model gets the same ones."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, Literal, TypeAlias

import msgspec

SEED: Final = 15
CALLS: Final = 50
OBJECTS: Final = 10

Json: TypeAlias = dict[str, Any]
Choice: TypeAlias = Literal["any", "auto"]


class CallTask(msgspec.Struct, frozen=True):
    """A request that a call of one tool answers: which one, and with which input."""

    question: str
    tools: tuple[Json, ...]
    choice: Choice
    name: str
    input: Json


class ObjectTask(msgspec.Struct, frozen=True):
    """A text, and the object that a schema asks to take out of it."""

    text: str
    schema: Json
    value: Json


class EditTask(msgspec.Struct, frozen=True):
    """An instruction for a file, and the file as it is to be then."""

    path: str
    before: str
    instruction: str
    after: str


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT: Final[Json] = {"type": "string"}
_WHOLE: Final[Json] = {"type": "integer"}

_CITIES: Final = ("Oslo", "Lima", "Nairobi", "Kyoto", "Quito", "Tallinn", "Perth", "Fez")
_PEOPLE: Final = ("Ada", "Boris", "Chandra", "Dana", "Emeka", "Freya", "Goran", "Hana")
_ROOMS: Final = ("kitchen", "hall", "office", "cellar")
_MONEY: Final = ("EUR", "USD", "JPY", "CHF")
_TOPICS: Final = ("budget", "roadmap", "garden", "launch", "archive", "harvest")
_ENDINGS: Final = ("py", "md", "txt", "toml")

_TOOLS: Final[Mapping[str, tuple[str, Json]]] = {
    "get_weather": (
        "Get the weather of a city now.",
        _object(city=_TEXT, unit={"type": "string", "enum": ["celsius", "fahrenheit"]}),
    ),
    "create_event": (
        "Put an event into the calendar.",
        _object(title=_TEXT, day={"type": "string", "format": "date"}, minutes=_WHOLE),
    ),
    "send_message": ("Send a message to a person.", _object(to=_TEXT, text=_TEXT)),
    "find_files": (
        "Find files by the ending of their names.",
        _object(ending=_TEXT, folders={"type": "array", "items": _TEXT}, most=_WHOLE),
    ),
    "convert_money": (
        "Convert an amount of money.",
        _object(
            amount={"type": "number"},
            source={"type": "string", "enum": list(_MONEY)},
            target={"type": "string", "enum": list(_MONEY)},
        ),
    ),
    "set_light": (
        "Switch the light of a room.",
        _object(
            room={"type": "string", "enum": list(_ROOMS)},
            light=_object(on={"type": "boolean"}, brightness=_WHOLE),
        ),
    ),
}


def _weather(draw: Random) -> tuple[str, Json]:
    city, unit = draw.choice(_CITIES), draw.choice(("celsius", "fahrenheit"))
    return f"What is the weather in {city} now, in {unit}?", {"city": city, "unit": unit}


def _event(draw: Random) -> tuple[str, Json]:
    title, minutes = draw.choice(_TOPICS), draw.choice((15, 30, 45, 60, 90))
    day = f"2027-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
    question = f'Put "{title}" into my calendar on {day}, for {minutes} minutes.'
    return question, {"title": title, "day": day, "minutes": minutes}


def _message(draw: Random) -> tuple[str, Json]:
    to, topic = draw.choice(_PEOPLE), draw.choice(_TOPICS)
    text = f"The {topic} is ready"
    return f'Send {to} this message: "{text}"', {"to": to, "text": text}


def _files(draw: Random) -> tuple[str, Json]:
    ending, most = draw.choice(_ENDINGS), draw.randint(2, 20)
    folders = draw.sample(["src", "docs", "tests", "tools"], 2)
    question = (
        f"Find at most {most} files with the ending {ending} "
        f"in the folders {folders[0]} and {folders[1]}."
    )
    return question, {"ending": ending, "folders": folders, "most": most}


def _money(draw: Random) -> tuple[str, Json]:
    source, target = draw.sample(_MONEY, 2)
    amount = draw.randint(2, 900)
    question = f"How much are {amount} {source} in {target}?"
    return question, {"amount": amount, "source": source, "target": target}


def _light(draw: Random) -> tuple[str, Json]:
    room, brightness = draw.choice(_ROOMS), draw.choice((20, 40, 60, 80, 100))
    question = f"Switch on the light in the {room}, with a brightness of {brightness}."
    return question, {"room": room, "light": {"on": True, "brightness": brightness}}


_DRAWN: Final[Mapping[str, Callable[[Random], tuple[str, Json]]]] = {
    "get_weather": _weather,
    "create_event": _event,
    "send_message": _message,
    "find_files": _files,
    "convert_money": _money,
    "set_light": _light,
}


def call_tasks(seed: int = SEED) -> tuple[CallTask, ...]:
    """Return the tasks for calls. Every second one has to call a tool, the others may."""
    draw = Random(seed)  # noqa: S311 - no secret
    return tuple(_call_task(draw, number) for number in range(CALLS))


def _call_task(draw: Random, number: int) -> CallTask:
    name = draw.choice(list(_TOOLS))
    others = draw.sample([one for one in _TOOLS if one != name], 2)
    offered = [name, *others]
    draw.shuffle(offered)
    question, wanted = _DRAWN[name](draw)
    return CallTask(
        question=question,
        tools=tuple(
            {"name": one, "description": _TOOLS[one][0], "input_schema": _TOOLS[one][1]}
            for one in offered
        ),
        choice="auto" if number % 2 else "any",
        name=name,
        input=wanted,
    )


def schema_of(task: CallTask, name: str) -> Json | None:
    """Return the schema of a tool that a task offers; `None` for another name."""
    found: list[Json] = [one["input_schema"] for one in task.tools if one["name"] == name]
    return found[0] if found else None


def object_tasks(seed: int = SEED) -> tuple[ObjectTask, ...]:
    """Return the tasks for structured outputs."""
    draw = Random(seed + 1)  # noqa: S311 - no secret
    return tuple(_order(draw) if number % 2 else _person(draw) for number in range(OBJECTS))


def _person(draw: Random) -> ObjectTask:
    name, city, born = draw.choice(_PEOPLE), draw.choice(_CITIES), draw.randint(1930, 2005)
    likes = draw.sample(["chess", "rowing", "opera", "baking", "maps"], 2)
    return ObjectTask(
        text=f"{name} was born in {city} in {born}, and likes {likes[0]} and {likes[1]}.",
        schema=_object(
            name=_TEXT, born=_WHOLE, city=_TEXT, likes={"type": "array", "items": _TEXT}
        ),
        value={"name": name, "born": born, "city": city, "likes": likes},
    )


def _order(draw: Random) -> ObjectTask:
    number, pieces = draw.randint(1000, 9999), draw.randint(2, 40)
    color, paid = draw.choice(("red", "green", "blue")), draw.choice((True, False))
    state = "It is paid." if paid else "It is not paid yet."
    return ObjectTask(
        text=f"Order {number}: {pieces} pieces of the {color} lamp. {state}",
        schema=_object(
            order=_WHOLE,
            item=_object(color={"type": "string", "enum": ["red", "green", "blue"]}, pieces=_WHOLE),
            paid={"type": "boolean"},
        ),
        value={"order": number, "item": {"color": color, "pieces": pieces}, "paid": paid},
    )


EDITS: Final = (
    EditTask(
        "settings.py",
        "HOST = 'localhost'\nTIMEOUT_S = 30\nRETRIES = 3\n",
        "Set TIMEOUT_S to 60 in settings.py.",
        "HOST = 'localhost'\nTIMEOUT_S = 60\nRETRIES = 3\n",
    ),
    EditTask(
        "area.py",
        "def area(width, height):\n    return width + height\n",
        "area.py adds the sides of a rectangle, but has to multiply them. Correct it.",
        "def area(width, height):\n    return width * height\n",
    ),
    EditTask(
        "notes.md",
        "# Notes\n\n- milk\n- bread\n- lamps\n",
        "Replace the word lamps by the word candles in notes.md.",
        "# Notes\n\n- milk\n- bread\n- candles\n",
    ),
    EditTask(
        "greeting.py",
        "def greet(name):\n    print('Hello ' + nme)\n",
        "greeting.py misspells the name of its argument where it is used. Correct it.",
        "def greet(name):\n    print('Hello ' + name)\n",
    ),
    EditTask(
        "limits.toml",
        "[limits]\nusers = 10\n\n[quota]\nusers = 10\n",
        "Set users to 25 in the table [quota] of limits.toml, and leave [limits] as it is.",
        "[limits]\nusers = 10\n\n[quota]\nusers = 25\n",
    ),
)

EDIT_TOOLS: Final[tuple[Json, ...]] = (
    {
        "name": "read_file",
        "description": "Read a text file.",
        "input_schema": _object(path=_TEXT),
    },
    {
        "name": "edit_file",
        "description": "Replace a text in a file. The old text must stand in it exactly once.",
        "input_schema": _object(path=_TEXT, old=_TEXT, new=_TEXT),
    },
)


def run_edit_tool(files: dict[str, str], name: str, given: Mapping[str, Any]) -> tuple[str, bool]:
    """Run a tool on files in memory; return what it says, and whether it failed."""
    path, old, new = (str(given.get(key, "")) for key in ("path", "old", "new"))
    if path not in files:
        return f"There is no file {path!r}. Files: {', '.join(files)}", True
    if name == "read_file":
        return files[path], False
    if name != "edit_file":
        return f"There is no tool {name!r}.", True
    if not old or files[path].count(old) != 1:
        return f"The old text stands {files[path].count(old) if old else 0} times in {path}.", True
    files[path] = files[path].replace(old, new)
    return "Done.", False


DEPTHS: Final = (0.0, 0.5, 1.0, 0.25, 0.75)
"""Where in a long text the sentence stands that is asked for, as parts of it, in this order."""
_SUBJECTS: Final = ("The river", "A merchant", "The old mill", "Our neighbour", "The night train")
_VERBS: Final = ("passes", "remembers", "follows", "leaves behind", "looks for")
_THINGS: Final = ("the stone bridge", "a letter", "the empty square", "some apples", "the coast")


class Haystack(msgspec.Struct, frozen=True):
    """A long text with one sentence that is asked for, and the number that it has."""

    text: str
    question: str
    number: str


def haystack(sentences: int, depth: float, seed: int = SEED) -> Haystack:
    """Return a text of so many sentences, with the one that is asked for at a depth of 0 to 1.

    Each depth has a number of its own.
    """
    number = str(Random(f"{seed} {depth}").randint(10_000, 99_999))  # noqa: S311 - no secret
    draw = Random(f"{seed} {sentences} {depth}")  # noqa: S311 - no secret
    lines = [_sentence(draw) for _ in range(sentences)]
    lines.insert(round(sentences * depth), f"The code of the lighthouse is {number}.")
    question = "What is the code of the lighthouse? Answer with the number alone."
    return Haystack(" ".join(lines), question, number)


def _sentence(draw: Random) -> str:
    parts: Sequence[Sequence[str]] = (_SUBJECTS, _VERBS, _THINGS)
    return f"{' '.join(draw.choice(part) for part in parts)} on day {draw.randint(2, 400)}."


def filler(sentences: int, seed: int = SEED) -> str:
    """Return a text without a meaning, whose beginning depends on its length."""
    draw = Random(f"{seed} {sentences}")  # noqa: S311 - no secret
    return " ".join(_sentence(draw) for _ in range(sentences))
