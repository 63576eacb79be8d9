"""The scripts by which shells complete the commands, written out of the parser.

A script knows every command, action and flag, and the values of flags that have a choice. Names of
files are left to the shell. It asks no program while somebody types, so it is quick, and it is to
be written again with a new release.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from antiphon.cli.program import PROGRAM


class Word(msgspec.Struct, frozen=True):
    """What can be typed, and what it does."""

    text: str
    does: str


class CompletedCommand(msgspec.Struct, frozen=True):
    """A command by the words that lead to it: `()`, `("keys",)`, `("keys", "create")`.

    `words` follow it: its commands or actions, and its flags. `values` are those that flags allow,
    by the flags.
    """

    path: tuple[str, ...]
    words: tuple[Word, ...]
    values: Mapping[str, tuple[str, ...]]

    @property
    def place(self) -> str:
        return " ".join(self.path)


def commands_of(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[CompletedCommand]:
    """Yield the command of a parser, and those of all parsers below it."""
    words: list[Word] = []
    values: dict[str, tuple[str, ...]] = {}
    below: list[tuple[str, argparse.ArgumentParser]] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            below += action.choices.items()
            words += [Word(one.dest, one.help or "") for one in action._choices_actions]  # noqa: SLF001 - as above
        elif action.option_strings:
            words += [Word(flag, action.help or "") for flag in action.option_strings]
            if action.choices is not None:
                values |= dict.fromkeys(action.option_strings, tuple(map(str, action.choices)))
        elif action.choices is not None:
            words += [Word(str(one), action.help or "") for one in action.choices]
    yield CompletedCommand(path, tuple(words), values)
    for name, command in below:
        yield from commands_of(command, (*path, name))


def bash(commands: Iterator[CompletedCommand]) -> str:
    """Return the script for bash."""
    found = list(commands)
    return f"""\
# {PROGRAM} completion for bash
_{PROGRAM}() {{
    local word at="" words="" current="${{COMP_WORDS[COMP_CWORD]}}" before="" index
    for ((index = 1; index < COMP_CWORD; index++)); do
        word="${{COMP_WORDS[index]}}"
        before="$word"
        case "$at $word" in
            {_steps(found)}) at="${{at:+$at }}$word" ;;
        esac
    done
    case "$at $before" in
{_cases(_values(found), _assigned)}
        *)
            case "$at" in
{_cases(_words(found), _assigned, "    " * 4)}
            esac
            ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _{PROGRAM} {PROGRAM}
"""


def zsh(commands: Iterator[CompletedCommand]) -> str:
    """Return the script for zsh."""
    found = list(commands)
    described = [
        (one.place, [f"{word.text}:{_line(word.does)}" for word in one.words]) for one in found
    ]
    return f"""\
#compdef {PROGRAM}
# {PROGRAM} completion for zsh
_{PROGRAM}() {{
    local word at="" before=""
    local -a candidates
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        before="$word"
        case "$at $word" in
            {_steps(found)}) at="${{at:+$at }}$word" ;;
        esac
    done
    case "$at $before" in
{_cases(_values(found), lambda one: f"candidates=({_list(one)})")}
        *)
            case "$at" in
{_cases(described, lambda one: f"candidates=({_list(one)})", "    " * 4)}
            esac
            ;;
    esac
    _describe -t commands {PROGRAM} candidates || _files
}}
if [ "$funcstack[1]" = "_{PROGRAM}" ]; then
    _{PROGRAM} "$@"
else
    compdef _{PROGRAM} {PROGRAM}
fi
"""


def fish(commands: Iterator[CompletedCommand]) -> str:
    """Return the script for fish."""
    found = list(commands)
    steps = " ".join(_quoted(f" {one.place}") for one in found if one.path)
    lines = [
        f"# {PROGRAM} completion for fish",
        f"function __{PROGRAM}_at",
        '    set -l at ""',
        "    for word in (commandline -opc)[2..-1]",
        f'        if contains -- "$at $word" {steps}',
        '            set at "$at $word"',
        "        end",
        "    end",
        '    test "$at" = "$argv[1]"',
        "end",
    ]
    for one in found:
        at = f"__{PROGRAM}_at {_quoted(f' {one.place}' if one.path else '')}"
        for word in one.words:
            named = f"-l {word.text[2:]}" if word.text.startswith("--") else ""
            named = named or (f"-s {word.text[1:]}" if word.text[0] == "-" else f"-a {word.text}")
            values = one.values.get(word.text)
            takes = f" -x -a {_quoted(' '.join(values))}" if values else ""
            files = " -f" if not word.text.startswith("-") else ""
            lines.append(
                f'complete -c {PROGRAM} -n "{at}"{files} {named}{takes} '
                f"-d {_quoted(_line(word.does))}"
            )
    return "\n".join(lines) + "\n"


SHELLS: Final[Mapping[str, Callable[[Iterator[CompletedCommand]], str]]] = MappingProxyType(
    {"bash": bash, "zsh": zsh, "fish": fish}
)


def _steps(commands: Sequence[CompletedCommand]) -> str:
    """Return the pattern of a command and the next word that make another command."""
    return "|".join(
        _quoted(f"{' '.join(one.path[:-1])} {one.path[-1]}") for one in commands if one.path
    )


def _values(commands: Sequence[CompletedCommand]) -> list[tuple[str, Sequence[str]]]:
    return [
        (f"{one.place} {flag}", values) for one in commands for flag, values in one.values.items()
    ]


def _words(commands: Sequence[CompletedCommand]) -> list[tuple[str, Sequence[str]]]:
    return [(one.place, [word.text for word in one.words]) for one in commands]


def _cases(
    places: Sequence[tuple[str, Sequence[str]]],
    then: Callable[[Sequence[str]], str],
    indent: str = "    " * 2,
) -> str:
    return "\n".join(f"{indent}{_quoted(place)}) {then(words)} ;;" for place, words in places)


def _assigned(words: Sequence[str]) -> str:
    return "words=" + _quoted(" ".join(words))


def _list(words: Sequence[str]) -> str:
    return " ".join(map(_quoted, words))


def _line(text: str) -> str:
    """Return the help of an argument as one line, as argparse prints it."""
    return " ".join(text.replace("%%", "%").split())


def _quoted(text: str) -> str:
    """Return a text that all three shells read as it is: none has a quote or a backslash."""
    return "'" + text.replace("\\", "").replace("'", "\u2019") + "'"
