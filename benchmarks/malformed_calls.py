"""Malformed calls of tools per 1,000 requests: Antiphon and llama-server's own Messages API.

Both serve the same real model with the same template: the model's own, which may have no tools
(Antiphon asks in its general format then), and templates that write calls, in their own notation.
Every second request leaves the model to call or not; the others demand a call. A request is
malformed if

- its call is of no tool that was offered,
- its input does not hold to the schema of the tool, or is no JSON object,
- no call is in an answer to which one was demanded,
- a text of the answer has marks of calls in it, or
- it was answered with an error.

That is what breaks an agent. Marks of turns in a text are listed, and are not malformed calls; nor
is the last call of an answer that `max_tokens` has ended and that says so (`stop_reason`): a client
knows that it is not whole.

The requests are the same in every run; the answers are sampled. A column that may take no longer
(`--seconds`) has fewer of them. `--answers` keeps each malformed answer with its request, to see
why it is one.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from benchmarks import llama_messages
from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import HEADERS, HOST, MESSAGES, Server, antiphon, default_weights, started

COUNT, QUICK = 60, 2
SECONDS = 3600
AT_ONCE = 4
MAX_TOKENS = {"auto": 200, "any": 400}
"""By what is demanded: a call should have room, and a text may be cut off."""
ANSWER_S = 300.0
SERVERS = ("antiphon", "llama-server")
OWN = "its own"
TEMPLATES = ("Qwen-Qwen2.5-7B-Instruct", "Qwen3-Coder")
CORPUS = Path(__file__).parents[1] / ".models/templates"
CALL_MARKS = (
    "<tool_call", "</tool_call", "<function=", "</function", "<parameter=", "</parameter",
    "<tool_response", "<tools>", '{"name":', '{"tool_call',
)  # fmt: skip
"""What no text of an answer has, unless a call was not recognised."""
TURN_MARKS = ("<|im_start", "<|im_end", "<|endoftext")
"""What no text of an answer has, unless the end of a turn was not recognised."""
TURNS = "marks of turns in a text"
CUT = "cut off by max_tokens, and said so"
MISFIT = "not of the schema"
HARMLESS = frozenset({TURNS, CUT})
"""What is listed apart: an agent calls as it should, or is told that it cannot."""

Answer: TypeAlias = tuple[set[str], bool]
"""What is wrong with an answer, and whether it has a call."""

Keep: TypeAlias = Callable[[Mapping[str, Any], set[str], bytes], None]
"""Keeps an answer: its request, what is wrong with it, and its text."""

TEXT = {"type": "string"}
PLACE = {
    "type": "object",
    "properties": {"city": TEXT, "country": TEXT},
    "required": ["city"],
    "additionalProperties": False,
}


def tool(name: str, description: str, needed: Sequence[str], **properties: Any) -> dict[str, Any]:
    """Return a tool, of whose properties some are needed."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(needed),
        "additionalProperties": False,
    }
    return {"name": name, "description": description, "input_schema": schema}


TOOLS = (
    tool(
        "get_weather", "Get the weather of a city.", ["city", "unit"],
        city=TEXT, unit={"type": "string", "enum": ["C", "F"]},
    ),
    tool(
        "find_route", "Find a way from one place to another.", ["start", "destination", "by"],
        start=PLACE, destination=PLACE, by={"type": "string", "enum": ["car", "train", "plane"]},
        stops={"type": "array", "items": TEXT},
    ),
    tool(
        "set_reminder", "Set a reminder.", ["text", "minutes"],
        text=TEXT, minutes={"type": "integer", "minimum": 1, "maximum": 1440},
        urgent={"type": "boolean"},
    ),
    tool(
        "convert", "Convert an amount of money.", ["amount", "source", "target"],
        amount={"type": "number", "minimum": 0}, source=TEXT, target=TEXT,
    ),
    tool("run_code", "Run a program in Python.", ["code"], code=TEXT, timeout={"type": "integer"}),
)  # fmt: skip
QUESTIONS = (
    "What is the weather in {}?",
    "How do I get from Berlin to {} by train?",
    "Remind me in 20 minutes to call the office in {}.",
    "How many euros are 250 dollars in {}?",
    'Print "Hello, {}!" on two lines with a program.',
)
CITIES = (
    "Paris", "London", "Tokyo", "Cairo", "Lima", "Oslo", "Delhi", "Rome", "Quito", "Seoul",
)  # fmt: skip


def requests(count: int) -> Iterator[dict[str, Any]]:
    """Yield the bodies of requests; a call is demanded in every second one."""
    for number in range(count):
        choice = "any" if number % 2 else "auto"
        kind = number // 2 % len(QUESTIONS)
        offered = [TOOLS[(kind + more) % len(TOOLS)] for more in range(2 + number // 10 % 3)]
        question = QUESTIONS[kind].format(CITIES[number // 2 % len(CITIES)])
        yield {
            "model": "claude-local",
            "max_tokens": MAX_TOKENS[choice],
            "temperature": 1.0,
            "top_p": 0.95,
            "top_k": 40,
            "tools": offered,
            "tool_choice": {"type": choice},
            "messages": [{"role": "user", "content": question}],
        }


def faults(body: Mapping[str, Any], status: int, text: bytes) -> set[str]:
    """Return what is wrong with an answer."""
    try:
        message = msgspec.json.decode(text)
        blocks = message["content"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return {"an error"}
    if status != http.HTTPStatus.OK:
        return {"an error"}
    schemas = {one["name"]: one["input_schema"] for one in body["tools"]}
    calls = [block for block in blocks if block["type"] == "tool_use"]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    is_cut = message["stop_reason"] == "max_tokens" and blocks[-1]["type"] == "tool_use"
    found = {fault for call in calls if (fault := _fault(call, schemas)) is not None}
    if is_cut:
        # What is missing of the last input is no fault of the others.
        others = {fault for call in calls[:-1] if (fault := _fault(call, schemas)) is not None}
        found = found - {MISFIT} | (others & {MISFIT}) | {CUT}
    if any(mark in one for one in texts for mark in CALL_MARKS):
        found.add("marks of calls in a text")
    if any(mark in one for one in texts for mark in TURN_MARKS):
        found.add(TURNS)
    is_missed = not calls and body["tool_choice"]["type"] == "any"
    return found | ({"no call"} if is_missed else set())


def _fault(call: Mapping[str, Any], schemas: Mapping[str, Any]) -> str | None:
    given = call.get("input")
    if not isinstance(given, dict):
        return "no object"
    if call.get("name") not in schemas:
        return "unknown tool"
    return None if holds(given, schemas[call["name"]]) else MISFIT


def holds(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value holds to a schema of the keywords above: not by the code that is measured."""
    match schema["type"]:
        case "object":
            known = schema["properties"]
            return (
                isinstance(value, dict)
                and set(schema["required"]) <= set(value) <= set(known)
                and all(holds(one, known[name]) for name, one in value.items())
            )
        case "array":
            return isinstance(value, list) and all(holds(one, schema["items"]) for one in value)
        case "string":
            return isinstance(value, str) and value in schema.get("enum", [value])
        case "boolean":
            return isinstance(value, bool)
        case kind:
            numbers = (int,) if kind == "integer" else (int, float)
            is_number = isinstance(value, numbers) and not isinstance(value, bool)
            return is_number and schema.get("minimum", value) <= value <= schema.get(
                "maximum", value
            )


@contextmanager
def served(name: str, weights: Path, template: Path | None) -> Iterator[Server]:
    """Run one of the servers."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        if name == "antiphon":
            settings = {
                "ANTIPHON_ENGINE": "llama",
                "ANTIPHON_MODEL": str(weights),
                "ANTIPHON_LLAMA_CONTEXT": str(llama_messages.CONTEXT),
                "ANTIPHON_LLAMA_SLOTS": str(llama_messages.SLOTS),
            }
            if template is not None:
                settings["ANTIPHON_LLAMA_CHAT_TEMPLATE"] = str(template)
            with antiphon(Path(folder), settings) as server:
                yield server
        else:
            words = [str(weights), *([] if template is None else [str(template)])]
            program = (sys.executable, "-m", "benchmarks.llama_messages", *words)
            with started(program, Path(folder, "server.log")) as server:
                yield server


def column(
    name: str, weights: Path, template: Path | None, options: argparse.Namespace
) -> list[Figure]:
    """Ask one server for some seconds, and count what is malformed."""
    count = options.requests or (QUICK if options.quick else COUNT)
    what = f"{name}, template: {OWN if template is None else template.stem}"
    found: Counter[str] = Counter()
    asked = calls = 0
    with served(name, weights, template) as server:
        ask = partial(_ask, server, partial(_kept, options.answers, what))
        for wrong, called in answers(ask, count, options.seconds):
            asked += 1
            found.update(wrong)
            found["malformed"] += bool(wrong - HARMLESS)
            calls += called
            print(f"{what}: {asked} of {count}: {dict(found)}", file=sys.stderr, flush=True)

    def per_1000(number: int) -> tuple[float]:
        return (1000 * number / max(asked, 1),)

    goal = Goal(most=0) if name == "antiphon" else None
    kinds = sorted(set(found) - {"malformed"})
    ratio = f"{asked} requests, {calls} with calls"
    return [
        Figure(f"{what}: malformed", "of 1,000", per_1000(found["malformed"]), goal, ratio),
        *(Figure(f"  {kind}", "of 1,000", per_1000(found[kind])) for kind in kinds),
    ]


def answers(
    ask: Callable[[dict[str, Any]], Answer], count: int, seconds: float
) -> Iterator[Answer]:
    """Ask some at once, in order; begin no more requests once the seconds are over."""
    waiting = requests(count)
    begun: deque[Future[Answer]] = deque()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while True:
            while len(begun) < AT_ONCE and time.monotonic() < end:
                body = next(waiting, None)
                if body is None:
                    break
                begun.append(pool.submit(ask, body))
            if not begun:
                return
            yield begun.popleft().result()


def _kept(
    file: Path | None, what: str, body: Mapping[str, Any], wrong: set[str], text: bytes
) -> None:
    """Add an answer to the file, if there is one."""
    if file is None:
        return
    line = {
        "column": what,
        "wrong": sorted(wrong),
        "request": body,
        "answer": text.decode(errors="replace"),
    }
    with file.open("ab") as kept:
        kept.write(msgspec.json.encode(line) + b"\n")


def _ask(server: Server, keep: Keep, body: dict[str, Any]) -> Answer:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=ANSWER_S)
    try:
        connection.request("POST", MESSAGES, msgspec.json.encode(body), HEADERS)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    wrong = faults(body, response.status, text)
    if wrong - HARMLESS:
        keep(body, wrong, text)
    return wrong, b'"tool_use"' in text


def known_templates() -> list[Path]:
    """Return the templates that are measured by default, if tests have fetched them."""
    found = [path for name in TEMPLATES for path in sorted(CORPUS.glob(f"*/{name}.jinja"))]
    if len(found) < len(TEMPLATES):
        print(
            f"not all of {json.dumps(TEMPLATES)} are in {CORPUS}: tests fetch them", file=sys.stderr
        )
    return found


def arguments() -> argparse.ArgumentParser:
    """Make the parser of the command."""
    parser = command(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    parser.add_argument("-n", "--requests", type=positive, help=f"of each column; {COUNT}")
    parser.add_argument(
        "--seconds", type=positive, default=SECONDS, help=f"at most, for each column; {SECONDS}"
    )
    parser.add_argument(
        "--template", type=Path, action="append", metavar="FILE",
        help="a template that writes calls; may be given several times; default: two of Qwen",
    )  # fmt: skip
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="add each malformed answer, a line of JSON"
    )
    parser.add_argument("--server", choices=SERVERS, help="measure one of the two only")
    parser.add_argument("--no-own", action="store_true", help="leave out the model's own template")
    return parser


def main() -> None:
    """Measure, print, keep."""
    options = arguments().parse_args()
    weights = options.weights or default_weights()
    templates: list[Path | None] = [] if options.no_own else [None]
    if not options.quick or options.template:
        templates += options.template or known_templates()
    figures = [
        figure
        for template in templates
        for name in ([options.server] if options.server else SERVERS)
        for figure in column(name, weights, template, options)
    ]
    finish(figures, options)


if __name__ == "__main__":
    main()
