"""The unit that runs a server under systemd, as text, and whether a file is still such a unit."""

import re
from collections.abc import Sequence
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["as written", "changed by hand", "written by another"]

NAME = "antiphon.service"
# Where systemd makes folders for the services of the system.
STATE = Path("/var/lib")
# Ports below it are for root, or for who has this capability.
FIRST_FREE_PORT = 1024
# What is left of a stop when running requests have had their time: the ledger and the engines.
STOP_REST_S = 15
_HEADER = "# Written by `antiphon service install`, which replaces it unless it was changed.\n"
_DIGEST = re.compile(rf"{re.escape(_HEADER)}# sha256 ([0-9a-f]{{64}})\n(.*)", re.DOTALL)

# None of them needs a namespace, which systems may refuse to the services of a user.
_FOR_ALL = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
UMask=0077
"""
# ProtectClock, PrivateDevices and DevicePolicy would hide GPUs, and MemoryDenyWriteExecute would
# stop their drivers, which make code while they run.
_FOR_SYSTEM = """\
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictNamespaces=yes
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
"""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit runs: a command with absolute paths, and the user of a service of the system.

    Without `user` it is a service of the user who installs it. `port` is that of the settings, and
    `grace_s` how many seconds running requests have when the server stops. Several `processes` are
    restarted one after the other by `systemctl reload`.
    """

    command: tuple[str, ...]
    data_dir: Path
    user: str | None
    port: int
    grace_s: float
    processes: int = 1


def unit_of(plan: Plan) -> str:
    """Return the text of the unit, which begins with a digest of itself."""
    body = _body(plan)
    return f"{_HEADER}# sha256 {sha256(body.encode()).hexdigest()}\n{body}"


def state_of(text: str) -> State:
    """Return whether a file is a unit as `unit_of` returned it, also that of another release."""
    found = _DIGEST.fullmatch(text)
    if found is None:
        return "changed by hand" if text.startswith(_HEADER) else "written by another"
    same = sha256(found[2].encode()).hexdigest() == found[1]
    return "as written" if same else "changed by hand"


def command_line(words: Sequence[str]) -> str:
    """Return a command as systemd reads it, in which it looks for no variables (`:`)."""
    return ":" + " ".join(_word(word) for word in words)


def _body(plan: Plan) -> str:
    for_system = plan.user is not None
    network = "Wants=network-online.target\nAfter=network-online.target\n" if for_system else ""
    user = f"User={plan.user}\n" if for_system else ""
    reload = "ExecReload=/bin/kill -HUP $MAINPID\n" if plan.processes > 1 else ""
    return f"""\
[Unit]
Description=Antiphon, the Claude API on your own machines
{network}StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart={command_line(plan.command)}
{reload}\
WorkingDirectory=-%E/antiphon
EnvironmentFile=-%E/antiphon/antiphon.env
{user}Restart=on-failure
RestartSec=2
# The server stops its engines itself, when running requests have ended.
KillMode=mixed
TimeoutStopSec={ceil(plan.grace_s) + STOP_REST_S}
LimitNOFILE=65536
{_FOR_ALL}{_of_the_system(plan) if for_system else ""}
[Install]
WantedBy={"multi-user.target" if for_system else "default.target"}
"""


def _of_the_system(plan: Plan) -> str:
    if STATE in plan.data_dir.parents:
        folder = plan.data_dir.relative_to(STATE)
        writable = f"StateDirectory={_word(str(folder))}\nStateDirectoryMode=0700\n"
    else:
        writable = f"ReadWritePaths={_word(str(plan.data_dir))}\n"
    is_low = 0 < plan.port < FIRST_FREE_PORT
    capability = "CAP_NET_BIND_SERVICE" if is_low else ""
    ambient = f"AmbientCapabilities={capability}\n" if is_low else ""
    return f"{writable}{_FOR_SYSTEM}CapabilityBoundingSet={capability}\n{ambient}"


def _word(word: str) -> str:
    text = word.replace("%", "%%")  # it begins a name that systemd replaces
    if re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
