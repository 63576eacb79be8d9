"""`antiphon service`: a server that systemd starts, and starts again."""

import argparse
import os
import pwd
import sys
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile

from antiphon.cli.command import CommandError, actions_of, add_command, home_folder
from antiphon.cli.new_file import new_file
from antiphon.cli.output import hint, say, say_unchanged
from antiphon.cli.program import PROGRAM
from antiphon.cli.systemd import Systemd
from antiphon.cli.unit import NAME, STATE, Plan, state_of, unit_of
from antiphon.cli.uvx import command_to_install
from antiphon.settings import Settings, settings_file

# What a service of the system cannot read: ProtectHome.
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
READABLE = 0o644


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    install = add_command(
        actions, "install", _install, "have systemd run the server, from now on", json=False
    )
    install.add_argument(
        "--run-as", metavar="USER", help="the user of a service of the system; default: antiphon"
    )
    install.add_argument(
        "--print", action="store_true", help="print the unit, and change nothing on this machine"
    )
    uninstall = add_command(
        actions, "uninstall", _uninstall, "stop the service, and remove its unit", json=False
    )
    show = add_command(
        actions, "show", _show, "say whether it runs, and print its unit", json=False
    )
    for action in (install, uninstall, show):
        action.add_argument(
            "--system",
            action="store_true",
            help="the service of the whole machine, instead of your own; needs root",
        )


def _install(arguments: argparse.Namespace, settings: Settings) -> int:
    # The unit of a server that cannot start is not installed: this names the missing extra.
    import_module("antiphon.cli.serve")
    user = arguments.run_as or PROGRAM
    if arguments.run_as and not arguments.system:
        raise CommandError("--run-as: a service of your own runs as you; give --system too")
    plan = plan_of(
        settings, settings_file(arguments.config), user=user if arguments.system else None
    )
    if arguments.print:
        say_unchanged(unit_of(plan).rstrip("\n"))
        return 0
    if plan.user is not None:
        _refuse_missing(plan.user, plan.data_dir)
    install(_systemd(arguments), plan)
    if missing := [
        one.place for one in settings.sources.values() if one.kind == "environment" and one.place
    ]:
        hint(
            f"Set here, and not for the service: {', '.join(sorted(set(missing)))}. "
            f"Its variables stand in {_systemd(arguments).settings / 'antiphon.env'}."
        )
    return 0


def install(systemd: Systemd, plan: Plan) -> None:
    """Write the unit, start the server, and say so. Raises `CommandError`."""
    path, text = systemd.path, unit_of(plan)
    there = _read(path)
    if there == text:
        say(f"{path} is there already, and is not changed.")
    else:
        _write(path, text, there)
        say(f"Wrote {path}.")
    if not systemd.is_running():
        enable = " ".join(systemd.command("enable", "--now", NAME))
        say(f"systemd does not run here. Where it does: `{enable}` starts the server.")
        return
    say(f"Ran `{systemd.do('daemon-reload')}`.")
    say(f"Ran `{systemd.do('enable', NAME)}`.")
    say(f"Ran `{systemd.do('restart', NAME)}`.")
    if plan.user is None:
        say("The server stops when you log out, unless you run `loginctl enable-linger` once.")
        say(f"Its log: `journalctl --user --unit {NAME}`.")
    else:
        say(f"Its log: `journalctl --unit {NAME}`.")


def _uninstall(arguments: argparse.Namespace, _: Settings) -> int:
    uninstall(_systemd(arguments))
    say("Keys, the ledger and models stay in the data folder.")
    return 0


def uninstall(systemd: Systemd) -> None:
    """Stop the server and remove the unit. Raises `CommandError` for the file of another."""
    path = systemd.path
    there = _read(path)
    if there is None:
        raise CommandError(f"no service is installed: there is no {path}")
    _refuse_changed(path, there)
    if systemd.is_running():
        say(f"Ran `{systemd.do('disable', '--now', NAME)}`.")
    path.unlink()
    say(f"Removed {path}.")
    if systemd.is_running():
        say(f"Ran `{systemd.do('daemon-reload')}`.")


def _show(arguments: argparse.Namespace, _: Settings) -> int:
    show(_systemd(arguments))
    return 0


def show(systemd: Systemd) -> None:
    """Say where the unit is, and whether it is unchanged and runs; print it."""
    text = _read(systemd.path)
    if text is None:
        raise CommandError(f"no service is installed: there is no {systemd.path}")
    state = "systemd does not run here"
    if systemd.is_running():
        state = f"{systemd.ask('is-active', NAME)}, {systemd.ask('is-enabled', NAME)}"
    hint(f"{systemd.path}: {state_of(text)}; {state}.")
    say_unchanged(text.rstrip("\n"))


def plan_of(settings: Settings, config: Path | None, *, user: str | None) -> Plan:
    """Return what the unit runs: this program, with these settings. Raises `CommandError`."""
    data_dir = settings.data_dir.absolute()
    if user is not None and settings.sources["data_dir"].kind == "default":
        data_dir = STATE / PROGRAM
    words = [*program(sys.argv[0]), "serve", "--data-dir", str(data_dir)]
    if config is not None:
        words += ["--config", str(config.absolute())]
    if user is not None:
        here = (Path(words[0]), Path(sys.prefix), Path(sys.base_prefix), data_dir, config)
        for path in here:
            if path is not None and any(home in path.absolute().parents for home in HOMES):
                raise CommandError(
                    f"a service of the system cannot read {path}: nothing in homes; put it "
                    "elsewhere (docs/how-to/run-as-a-service.md)"
                )
    return Plan(
        command=tuple(words),
        data_dir=data_dir,
        user=user,
        port=settings.port,
        grace_s=settings.shutdown_grace_s,
        processes=settings.processes,
    )


def program(invoked: str) -> tuple[str, ...]:
    """Return the program as systemd can call it. Raises `CommandError` for one that `uvx` made."""
    install = command_to_install()
    if install is not None:
        raise CommandError(
            f"`uvx` keeps this program in a cache, which uv empties: install it first: `{install}`"
        )
    here = Path(invoked)
    if here.name == PROGRAM and here.is_file():
        return (str(here.absolute()),)
    return (sys.executable, "-m", "antiphon.cli")


def _systemd(arguments: argparse.Namespace) -> Systemd:
    if sys.platform != "linux":
        raise CommandError("systemd is on Linux only; `service install --print` prints its unit")
    return Systemd(system=arguments.system, home=home_folder())


def _refuse_missing(user: str, data_dir: Path) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise CommandError(
            f"there is no user {user!r}: `useradd --system --home-dir {data_dir} "
            f"--shell /usr/sbin/nologin {user}` makes one"
        ) from None
    if STATE not in data_dir.parents and not data_dir.is_dir():
        raise CommandError(
            f"there is no folder {data_dir}: `install -d -m 700 -o {user} {data_dir}` makes it"
        )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _refuse_changed(path: Path, text: str) -> None:
    state = state_of(text)
    if state != "as written":
        raise CommandError(
            f"{path} was {state}, and stays. Move it away first; changes of your own belong into "
            f"`systemctl edit {NAME}`"
        )


def _write(path: Path, text: str, there: str | None) -> None:
    """Write a unit, whole or not at all; in the place of one only if nobody has changed it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if there is None:
        with new_file(path) as file:
            file.write(text.encode())
            os.fchmod(file.fileno(), READABLE)
        return
    _refuse_changed(path, there)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text.encode())
        os.fchmod(file.fileno(), READABLE)
    Path(file.name).replace(path)
