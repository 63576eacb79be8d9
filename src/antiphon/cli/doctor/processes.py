"""What `antiphon doctor` says of several processes: what they share, and what they need."""

from collections.abc import Iterator

from antiphon.cli.command import CommandError
from antiphon.cli.doctor.finding import Finding, note, ok, problem
from antiphon.cli.processes.hosted import needs_host
from antiphon.cli.processes.valkey import EXTRA, valkey_program
from antiphon.engines.llama.options import available_cores
from antiphon.settings import Settings


def check_processes(settings: Settings, cores: int | None = None) -> Iterator[Finding]:
    """Look at what several processes need; of one there is nothing to say."""
    number = settings.processes
    if number == 1:
        return
    cores = available_cores() if cores is None else cores
    if settings.counters_url is None and settings.database_url is not None:
        yield problem(
            "processes",
            f"{number} processes share their limits in a Valkey server, and with PostgreSQL it has "
            "to be one that every machine reaches",
            "set counters_url to it: valkey://HOST",
        )
        return
    shared = "the Valkey server of the settings"
    if settings.counters_url is None:
        try:
            valkey_program()
        except CommandError:
            yield problem(
                "processes",
                f"{number} processes share their limits in a Valkey server, and none is set or "
                "installed",
                f"{EXTRA}, or set counters_url to one: valkey://HOST",
            )
            return
        shared = "a Valkey server that starts with them"
    models = "; one more runs the models" if needs_host(settings.served()) else ""
    said = f"{number}, with their limits in {shared}{models}"
    if number > cores:
        yield note(
            "processes",
            f"{said}; more than there are cores ({cores}), so they take time from each other",
            f"--processes {cores}",
        )
    else:
        yield ok("processes", said)
