"""Names of models on the Hugging Face hub: of one file, or of a repository and what to take of it.

Everything here is a function of text: nobody is asked whether a name exists.
"""

import re
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qs, unquote

import msgspec

from antiphon.weights.file_names import SUFFIX, check_path, first_part, parts_of

HOSTS: Final = ("huggingface.co", "www.huggingface.co", "hf.co")
PAGE: Final = f"https://{HOSTS[0]}"
PAGE_WITHOUT_SCHEME: Final = re.compile(r"(?:www\.)?(?:huggingface|hf)\.co(?=/)")

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_REPO = rf"(?P<owner>{_NAME})/(?P<repo>{_NAME})"
_TAG = r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*))?"
_REVISION = rf"(?:@(?P<revision>{_NAME}))?"
_WRITTEN = re.compile(rf"{_REPO}{_REVISION}(?:{_TAG}|/(?P<path>.*))")
_TAGGED = re.compile(rf"{_REPO}:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*)")
_REPOSITORY = re.compile(_REPO)
_OF_REPOSITORY = re.compile(rf"{_REPO}{_TAG}")
_TREE = re.compile(rf"{_REPO}/tree/(?P<revision>{_NAME})(?:/(?P<folder>.+))?")
_OF_FILE = re.compile(rf"{_REPO}/(?:blob|resolve|raw)/(?P<revision>{_NAME})/(?P<path>.+)")
# First parts of addresses that are no owners of models.
_NO_OWNERS: Final = frozenset({"api", "collections", "datasets", "docs", "models", "spaces"})
# Ollama's name for what is meant if nothing is said.
_WHATEVER: Final = "latest"


class HubSpec(msgspec.Struct, frozen=True):
    """A file in a repository of the hub; without `revision`, of its main branch.

    Of a model that is split over several files, `path` is that of the first.
    """

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

    def parts(self, revision: str | None = None) -> tuple["HubSpec", ...]:
        """Return all files of a model that is split, else this one; of a revision, if given."""
        of = revision or self.revision
        return tuple(HubSpec(self.owner, self.repo, path, of) for path in parts_of(self.path))


class RepositorySpec(msgspec.Struct, frozen=True):
    """A repository of the hub, of which one model is meant.

    `tag` says which: a quantization, such as `Q4_K_M`. `folder` has the model somewhere below it.
    """

    owner: str
    repo: str
    tag: str | None = None
    revision: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        tag = f":{self.tag}" if self.tag else ""
        folder = f"/{self.folder}/" if self.folder else ""
        return f"hf:{self.repo_id}{revision}{tag}{folder}"

    @property
    def repo_id(self) -> str:
        return f"{self.owner}/{self.repo}"

    @property
    def page(self) -> str:
        """The address where people see its files."""
        return f"{PAGE}/{self.repo_id}/tree/{self.revision or 'main'}"

    def holds(self, spec: HubSpec) -> bool:
        """Return whether a file is of this repository, its revision and its folder."""
        return (
            (spec.owner.lower(), spec.repo.lower()) == (self.owner.lower(), self.repo.lower())
            and spec.revision == self.revision
            and (self.folder is None or spec.path.startswith(f"{self.folder}/"))
        )

    def file(self, path: str) -> HubSpec:
        """Return the spec of a file of this repository."""
        return HubSpec(self.owner, self.repo, path, self.revision)


HubName: TypeAlias = HubSpec | RepositorySpec


def parse_written(rest: str) -> HubName | str:
    """Parse what stands behind `hf:`; return the fault of a text that is no name."""
    found = _WRITTEN.fullmatch(rest)
    if found is None:
        return "is not hf:OWNER/REPO, hf:OWNER/REPO:QUANTIZATION or hf:OWNER/REPO/FILE.gguf"
    return _name(found, found["path"], found["tag"])


def parse_tagged(text: str) -> RepositorySpec | None:
    """Parse `OWNER/REPO:TAG`, as llama.cpp and Ollama take it; `None` for anything else."""
    found = _TAGGED.fullmatch(text)
    if found is None or found["repo"].lower().endswith(SUFFIX):
        return None
    return RepositorySpec(found["owner"], found["repo"], _tag(found["tag"]))


def parse_page(url: SplitResult) -> HubName | str:
    """Parse an address of the hub, as a browser shows it or as it is copied there."""
    path = unquote(url.path).strip("/")
    if path.partition("/")[0] in _NO_OWNERS:
        return "names no model of the hub"
    if found := _OF_FILE.fullmatch(path):
        return _name(found, found["path"], None)
    shown = parse_qs(url.query).get("show_file_info", [None])[0]
    if found := _TREE.fullmatch(path):
        return _name(found, shown or (found["folder"] and f"{found['folder']}/"), None)
    if found := _OF_REPOSITORY.fullmatch(path):
        return _name(found, shown, found["tag"])
    if found := _REPOSITORY.match(path):
        return f"is no page of a file; the models of this repository are hf:{found[0]}"
    return "names no model of the hub"


def repository_named(path: str) -> str | None:
    """Return the name of the repository that somebody may mean by a path that is no file."""
    found = _REPOSITORY.fullmatch(path)
    return found and f"hf:{found[0]}"


def _name(found: re.Match[str], path: str | None, tag: str | None) -> HubName | str:
    owner, repo, revision = found["owner"], found["repo"], found.groupdict().get("revision")
    revision = None if revision == "main" else revision
    if not path:
        if repo.lower().endswith(SUFFIX):
            return "names a file without its repository: hf:OWNER/REPO/FILE.gguf"
        return RepositorySpec(owner, repo, _tag(tag), revision)
    if path.endswith("/"):
        folder = path.removesuffix("/")
        fault = check_path(f"{folder}/model.gguf")
        return fault or RepositorySpec(owner, repo, _tag(tag), revision, folder)
    return check_path(path) or HubSpec(owner, repo, first_part(path), revision)


def _tag(text: str | None) -> str | None:
    return None if text is None or text.lower() == _WHATEVER else text
