"""`antiphon service`: the unit that it writes, and the files that it leaves alone."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.cli import main
from antiphon.cli.command import CommandError
from antiphon.cli.service import install, plan_of, program, show, uninstall
from antiphon.cli.systemd import Systemd, run_command
from antiphon.cli.unit import NAME, Plan, command_line, state_of, unit_of
from antiphon.settings import Settings


class Systemctl:
    """Keeps what systemd was asked for; `fails` are the words that it refuses."""

    def __init__(self, *fails: str) -> None:
        self.calls: list[str] = []
        self._fails = fails

    def __call__(self, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.calls.append(" ".join(words))
        failed = any(word in words for word in self._fails)
        said = "active\n" if "is-active" in words else "enabled\n"
        return subprocess.CompletedProcess(words, int(failed), said, "No\nbus.\n" * failed)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine that systemd runs."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    return tmp_path


def systemd(machine: Path, systemctl: Systemctl, *, system: bool = False) -> Systemd:
    return Systemd(system=system, home=machine / "home", root=machine, run=systemctl)


def plan(user: str | None = None, data: str = "/srv/antiphon", port: int = 8000) -> Plan:
    return Plan(
        command=(sys.executable, "-m", "antiphon.cli", "serve", "--data-dir", data),
        data_dir=Path(data),
        user=user,
        port=port,
        grace_s=29.5,
    )


def directives(unit: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


def test_install_writes_the_unit_of_the_user_and_starts_it(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    systemctl = Systemctl()
    install(systemd(machine, systemctl), plan())
    path = machine / "home/.config/systemd/user" / NAME
    assert path.read_text() == unit_of(plan())
    assert path.stat().st_mode & 0o777 == 0o644
    assert [*path.parent.iterdir()] == [path]
    assert systemctl.calls == [
        "systemctl --user daemon-reload",
        "systemctl --user enable antiphon.service",
        "systemctl --user restart antiphon.service",
    ]
    said = capsys.readouterr().out
    assert said.startswith(f"Wrote {path}.\n")
    assert all(f"Ran `{call}`.\n" in said for call in systemctl.calls)
    assert "loginctl enable-linger" in said


def test_several_processes_are_restarted_by_a_reload() -> None:
    several = directives(unit_of(replace(plan(), processes=2)))
    assert several["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert "ExecReload" not in directives(unit_of(plan()))


def test_install_of_the_system_asks_the_manager_of_the_system(machine: Path) -> None:
    systemctl = Systemctl()
    install(systemd(machine, systemctl, system=True), plan("antiphon"))
    assert (machine / "etc/systemd/system" / NAME).read_text() == unit_of(plan("antiphon"))
    assert systemctl.calls[0] == "systemctl daemon-reload"


def test_install_where_systemd_does_not_run_says_what_is_left_to_do(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    systemctl = Systemctl()
    (machine / "run/systemd/system").rmdir()
    install(systemd(machine, systemctl), plan())
    assert systemctl.calls == []
    assert "`systemctl --user enable --now antiphon.service`" in capsys.readouterr().out


def test_second_install_replaces_a_unit_that_nobody_changed(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = systemd(machine, Systemctl())
    install(here, plan())
    install(here, plan(data="/srv/other"))
    assert here.path.read_text() == unit_of(plan(data="/srv/other"))
    assert here.path.stat().st_mode & 0o777 == 0o644
    assert [*here.path.parent.iterdir()] == [here.path]
    capsys.readouterr()
    install(here, plan(data="/srv/other"))
    assert "is there already, and is not changed." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("[Service]\nExecStart=/bin/true\n", "written by another"),
        (unit_of(plan()).replace("RestartSec=2", "RestartSec=9"), "changed by hand"),
        (unit_of(plan()) + "Nice=5\n", "changed by hand"),
        ("", "written by another"),
    ],
)
def test_file_of_another_stays(machine: Path, text: str, state: str) -> None:
    systemctl = Systemctl()
    here = systemd(machine, systemctl)
    here.path.parent.mkdir(parents=True)
    here.path.write_text(text)
    with pytest.raises(CommandError, match=f"was {state}, and stays"):
        install(here, plan())
    with pytest.raises(CommandError, match=f"was {state}, and stays"):
        uninstall(here)
    assert here.path.read_text() == text
    assert systemctl.calls == []


def test_uninstall_stops_the_server_and_removes_the_unit(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    systemctl = Systemctl()
    here = systemd(machine, systemctl)
    install(here, plan())
    systemctl.calls.clear()
    uninstall(here)
    assert not here.path.exists()
    assert systemctl.calls == [
        "systemctl --user disable --now antiphon.service",
        "systemctl --user daemon-reload",
    ]
    assert f"Removed {here.path}." in capsys.readouterr().out
    with pytest.raises(CommandError, match="no service is installed"):
        uninstall(here)


def test_refusal_of_systemd_is_told(machine: Path) -> None:
    here = systemd(machine, Systemctl("enable"))
    with pytest.raises(CommandError, match=r"^`systemctl --user enable .*` fails: No bus.$"):
        install(here, plan())


def test_command_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandError, match="`no-such-systemctl x` cannot be run: "):
        run_command(["no-such-systemctl", "x"])


def test_show_prints_the_unit_and_whether_it_runs(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = systemd(machine, Systemctl())
    with pytest.raises(CommandError, match="no service is installed"):
        show(here)
    install(here, plan())
    capsys.readouterr()
    show(here)
    said = capsys.readouterr()
    assert said.out == unit_of(plan())
    assert said.err == f"{here.path}: as written; active, enabled.\n"


@pytest.mark.parametrize("user", [None, "antiphon"])
def test_unit_is_hardened_and_ends_as_the_server_does(user: str | None) -> None:
    found = directives(unit_of(plan(user)))
    assert found["KillMode"] == "mixed"
    assert found["TimeoutStopSec"] == "45"
    assert found["NoNewPrivileges"] == "yes"
    assert found["UMask"] == "0077"
    # They hide GPUs, or stop their drivers.
    hiding = {"PrivateDevices", "ProtectClock", "DevicePolicy", "MemoryDenyWriteExecute"}
    assert not found.keys() & hiding
    # The services of a user may have no namespaces.
    assert ("ProtectSystem" in found) == (user is not None)
    assert found.get("User") == user


def test_service_of_the_system_writes_into_its_data_folder_alone() -> None:
    own = directives(unit_of(plan("antiphon", "/var/lib/antiphon/a b")))
    assert own["StateDirectory"] == '"antiphon/a b"'
    assert "ReadWritePaths" not in own
    elsewhere = directives(unit_of(plan("antiphon", "/srv/antiphon")))
    assert elsewhere["ReadWritePaths"] == "/srv/antiphon"
    assert elsewhere["ProtectSystem"] == "strict"


@pytest.mark.parametrize(("port", "held"), [(443, "CAP_NET_BIND_SERVICE"), (8000, ""), (0, "")])
def test_service_of_the_system_has_no_capability_but_for_a_low_port(port: int, held: str) -> None:
    found = directives(unit_of(plan("antiphon", port=port)))
    assert found["CapabilityBoundingSet"] == held
    assert found.get("AmbientCapabilities", "") == held


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_change_of_a_unit_is_seen(text: str) -> None:
    unit = unit_of(plan())
    assert state_of(unit) == "as written"
    assert state_of(unit + text) == ("as written" if text == "" else "changed by hand")
    assert state_of(text) == "written by another"


def test_words_are_quoted_as_systemd_reads_them() -> None:
    words = ["/opt/a b/antiphon", "50%", "$HOME", 'say "hi"', "back\\slash", "plain-1.0"]
    assert command_line(words) == (
        ':"/opt/a b/antiphon" 50%% "$HOME" "say \\"hi\\"" "back\\\\slash" plain-1.0'
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("user", [None, "root"])
def test_systemd_takes_the_unit(user: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "100% of $HOME"
    folder.mkdir()
    server = folder / "antiphon"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)

    def verified(text: str) -> str:
        path = folder.parent / NAME
        path.write_text(text)
        scope = "--user" if user is None else "--system"
        done = subprocess.run(
            ["systemd-analyze", "verify", scope, "--man=no", str(path)],  # noqa: S607 - the system's
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        return "".join(line for line in done.stderr.splitlines(keepends=True) if NAME in line)

    text = unit_of(
        Plan(
            command=(str(server), "serve", "--data-dir", str(folder)),
            data_dir=folder,
            user=user,
            port=443,
            grace_s=30,
        )
    )
    assert verified(text) == ""
    # What it is to find: an unknown directive, and a program that is not there.
    assert "'Hardened'" in verified(text.replace("UMask", "Hardened"))
    server.unlink()
    assert "is not executable" in verified(text)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program outside of all homes, called by its path."""
    folder = tmp_path / "opt"
    folder.mkdir()
    (folder / "antiphon").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["opt/antiphon"])
    monkeypatch.setattr(sys, "prefix", "/opt/antiphon")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    return folder / "antiphon"


def settings(environ: dict[str, str] | None = None, **flags: str) -> Settings:
    return Settings.load(flags, {"HOME": "/home/ada", **(environ or {})})


def test_unit_runs_this_program_with_these_settings(installed: Path, tmp_path: Path) -> None:
    found = plan_of(settings(data_dir="data"), Path("own.toml"), user=None)
    assert found.command == (
        *(str(installed), "serve", "--data-dir", str(tmp_path / "data")),
        *("--config", str(tmp_path / "own.toml")),
    )


@pytest.mark.usefixtures("installed")
def test_service_of_the_system_has_a_folder_of_its_own() -> None:
    found = plan_of(settings(), None, user="antiphon")
    assert found.data_dir == Path("/var/lib/antiphon")
    assert found.command[-1] == "/var/lib/antiphon"
    # What the settings name stays.
    found = plan_of(settings({"ANTIPHON_DATA_DIR": "/srv/data"}), None, user="antiphon")
    assert found.data_dir == Path("/srv/data")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("data_dir", "config", "prefix"),
    [
        ("/home/ada/data", None, "/opt/antiphon"),
        ("/srv/data", Path("/root/antiphon.toml"), "/opt/antiphon"),
        ("/srv/data", None, "/home/ada/venv"),
    ],
)
def test_service_of_the_system_is_refused_what_lies_in_a_home(
    monkeypatch: pytest.MonkeyPatch,
    data_dir: str,
    config: Path | None,
    prefix: str,
) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    with pytest.raises(CommandError, match="nothing in homes"):
        plan_of(settings(data_dir=data_dir), config, user="antiphon")
    # One's own service reads one's home.
    plan_of(settings(data_dir=data_dir), config, user=None)


def test_program_in_the_cache_of_uv_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/ada/.cache/uv/archive-v0/f_isnGBM8z")
    with pytest.raises(CommandError, match=r"install it first: `uv tool install .*\[server\]"):
        program("antiphon")


def test_program_without_a_file_is_called_by_its_interpreter() -> None:
    assert program("/usr/lib/antiphon/cli/__main__.py") == (sys.executable, "-m", "antiphon.cli")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_printed_unit_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "antiphon.toml").write_text("port = 9000\n")
    assert main(["service", "install", "--print"]) == 0
    found = plan_of(settings({"HOME": str(home)}), home / "antiphon.toml", user=None)
    assert capsys.readouterr().out == unit_of(found)
    assert [path.name for path in home.iterdir()] == ["antiphon.toml"]


def test_variables_that_the_service_does_not_have_are_named_without_their_values(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", "sk-antiphon-secret-of-the-test")
    monkeypatch.setattr(Systemd, "is_running", lambda _: False)
    assert main(["service", "install"]) == 0
    said = capsys.readouterr()
    assert said.err == (
        "Set here, and not for the service: ANTIPHON_API_KEY. "
        f"Its variables stand in {home}/.config/antiphon/antiphon.env.\n"
    )
    path = home / ".config/systemd/user" / NAME
    assert "secret-of-the-test" not in said.out + path.read_text()
    assert main(["service", "show"]) == 0
    assert main(["service", "uninstall"]) == 0
    assert not path.exists()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--run-as nobody", "--run-as: a service of your own runs as you; give --system too"),
        ("--system --run-as no-such-user-1", "there is no user 'no-such-user-1': `useradd "),
        ("--system --run-as root --data-dir /srv/no-such-folder-1", "there is no folder /srv/no-"),
    ],
)
def test_install_that_cannot_work_says_why(
    capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert main(["service", "install", *words.split()]) == 1
    assert capsys.readouterr().err.startswith(f"antiphon: {said}")
