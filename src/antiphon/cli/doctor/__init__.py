"""`antiphon doctor`: looks for what keeps a server from working, and says what mends it.

It changes nothing: it makes no folder, no database and no key, and listens on no port. So it also
works while a server runs, and where nothing exists yet.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from textwrap import fill

from antiphon.cli.command import as_command
from antiphon.cli.doctor.finding import Finding, ok, problem
from antiphon.cli.output import say_json, say_unchanged
from antiphon.cli.program import WIDTH, as_called
from antiphon.settings import Settings

# A module of each extra; without one of the server's nothing else can be looked at.
_SERVER = ("aiohttp", "anyio", "rich", "sqlalchemy", "starlette", "uvicorn", "uvloop", "xllamacpp")
_STATE_WIDTH = 9
_NAME_WIDTH = 13


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    as_command(family, _examine, settings=("host", "port", "processes", "model", "engine"))
    family.set_defaults(without_settings=_tell_fault)
    family.add_argument("--host", help="as for `serve`; give the same flags as there")
    family.add_argument("--port", type=int, help="as for `serve`")
    family.add_argument("--processes", type=int, metavar="N", help="as for `serve`")
    family.add_argument("--model", metavar="SPEC", help="as for `serve`")
    family.add_argument("--engine", help="as for `serve`")


def _examine(arguments: argparse.Namespace, settings: Settings) -> int:
    return _tell(arguments, list(_findings(settings)))


def _tell_fault(arguments: argparse.Namespace, fault: str) -> int:
    """Tell of settings that cannot be read; without them, only the machine can be looked at."""
    wrong = problem("settings", fault, "correct it, or remove it: docs/reference/settings.md")
    missing = _missing({"server": _SERVER})
    return _tell(arguments, [wrong, *(missing or _machine())])


def _findings(settings: Settings) -> Iterator[Finding]:
    if missing := _missing(_wanted(settings)):
        yield from missing
        return
    # They need the packages that were just found.
    from antiphon.cli.doctor.database import check_database  # noqa: PLC0415
    from antiphon.cli.doctor.folder import check_disk, check_folder  # noqa: PLC0415
    from antiphon.cli.doctor.models import check_models  # noqa: PLC0415
    from antiphon.cli.doctor.network import check_port, check_valkey  # noqa: PLC0415
    from antiphon.cli.doctor.processes import check_processes  # noqa: PLC0415
    from antiphon.cli.doctor.unused import check_settings  # noqa: PLC0415

    yield from _machine()
    yield from check_settings(settings)
    yield check_port(settings)
    yield from check_folder(settings)
    yield from check_disk(settings)
    yield from check_database(settings)
    yield from check_processes(settings)
    yield from check_valkey(settings)
    yield from check_models(settings)


def _machine() -> Iterator[Finding]:
    from antiphon.cli.doctor.machine import check_machine  # noqa: PLC0415 - as above

    yield from check_machine()


def _wanted(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the modules that are needed of each extra."""
    wanted: dict[str, tuple[str, ...]] = {"server": _SERVER}
    if settings.database_url is not None:
        wanted["postgres"] = ("asyncpg",)
    if settings.counters_url is not None:
        wanted["valkey"] = ("valkey",)
    if settings.oidc is not None:
        wanted["oidc"] = ("jwt", "cryptography")
    if settings.web.search is not None:
        wanted["web"] = ("cryptography",)
    if not all(find_spec(one) for one in _SERVER):
        return wanted
    # It imports packages of every server.
    from antiphon.engines.registry import packages_of  # noqa: PLC0415

    for engine in {one.engine for model in settings.served() for one in model.runs_on()}:
        if (needs := packages_of(engine)) is not None:
            wanted[needs.extra] = needs.modules
    return wanted


def _missing(wanted: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return the problems of packages that are not installed, by the modules of each extra."""
    found: list[Finding] = []
    for extra, modules in wanted.items():
        lacking = [one for one in modules if find_spec(one) is None]
        if lacking:
            text = f"not installed: {', '.join(lacking)}"
            found.append(problem("packages", text, f"pip install 'antiphon[{extra}]'"))
    return found


def _tell(arguments: argparse.Namespace, findings: Sequence[Finding]) -> int:
    problems = sum(one.state == "problem" for one in findings)
    if arguments.json:
        say_json({"ok": not problems, "findings": findings})
    else:
        say_unchanged(report(findings))
    return 1 if problems else 0


def report(findings: Sequence[Finding]) -> str:
    """Return the report. Its lines have at most 80 columns, but for long words."""
    lines = [_lines(one) for one in findings]
    problems = sum(one.state == "problem" for one in findings)
    notes = sum(one.state == "note" for one in findings)
    told = [_count(problems, "problem")] * bool(problems) + [_count(notes, "note")] * bool(notes)
    return "\n".join([*lines, "", " and ".join(told) + "." if told else "No problems."])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lines(one: Finding) -> str:
    indent = " " * (_STATE_WIDTH + _NAME_WIDTH)
    head = f"{one.state:{_STATE_WIDTH}}{one.name:{_NAME_WIDTH}}"
    folded = [_folded(one.text, indent)]
    if one.mend is not None:
        folded.append(_folded(f"-> {one.mend}", indent))
    return head + "\n".join(folded)[len(indent) :]


def _folded(text: str, indent: str) -> str:
    return fill(
        as_called(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


__all__ = ["Finding", "add_to", "ok", "report"]
