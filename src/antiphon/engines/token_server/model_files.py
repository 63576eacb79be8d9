"""The files of a model's tokenizer and chat template, in a folder or on the Hugging Face hub."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from antiphon.engines.base import EngineStartError

TOKENIZER: Final = "tokenizer.json"
CONFIG: Final = "tokenizer_config.json"
TEMPLATE: Final = "chat_template.jinja"
TOOL_TEMPLATE: Final = "additional_chat_templates/tool_use.jinja"
LARGEST: Final = 256 * 1024 * 1024
"""The most bytes of a file that is read."""

_ON_HUB: Final = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w.-]+))?")


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of a model say.

    `tokenizer` is its `tokenizer.json`. `bos` and `eos` are the texts of its first and last token.
    A `template` is empty if the model has none.
    """

    tokenizer: bytes
    bos: str = ""
    eos: str = ""
    template: str = ""
    tool_template: str = ""


class NotHereError(EngineStartError):
    """The files of a tokenizer would have to be fetched first."""


def folder_of(model: str, place: str, cache: Path | None = None, *, fetches: bool = True) -> Path:
    """Return the folder of a tokenizer; one on the hub is fetched first, into `cache`.

    Raises `EngineStartError`; if it must not fetch, `NotHereError`.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder
    found = _ON_HUB.fullmatch(place)
    if found is None:
        raise EngineStartError(
            f"Model `{model}`: {place} is no folder here. Set `tokenizer` to a folder with "
            f"{TOKENIZER} and {CONFIG}, or to the model's name on the hub: `owner/name`."
        )
    return _fetched(model, found[1], found[2], cache, fetches=fetches)


def read_files(model: str, folder: Path) -> ModelFiles:
    """Read the files of a model. Raises `EngineStartError`."""
    tokenizer = _read(model, folder / TOKENIZER)
    if tokenizer is None:
        raise EngineStartError(
            f"Model `{model}`: {folder} has no {TOKENIZER}. Its engine needs it: for models "
            "with another kind of tokenizer there is the engine `chat_completions`."
        )
    try:
        config = msgspec.json.decode(_read(model, folder / CONFIG) or b"{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise EngineStartError(
            f"Model `{model}`: {folder / CONFIG} cannot be read: {error}."
        ) from error
    named = _templates(config.get("chat_template"))
    return ModelFiles(
        tokenizer=tokenizer,
        bos=_token(config.get("bos_token")),
        eos=_token(config.get("eos_token")),
        template=_text(model, folder / TEMPLATE) or named.get("default", ""),
        tool_template=_text(model, folder / TOOL_TEMPLATE) or named.get("tool_use", ""),
    )


def _fetched(
    model: str, repository: str, revision: str | None, cache: Path | None, *, fetches: bool
) -> Path:
    # It takes half a second to import, and then reads HF_ENDPOINT, HF_TOKEN, ….
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # noqa: PLC0415
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
    )

    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                cache_dir=cache,
                allow_patterns=[TOKENIZER, CONFIG, TEMPLATE, TOOL_TEMPLATE],
                library_name="antiphon",
                local_files_only=not fetches,
            )
        )
    except LocalEntryNotFoundError as error:
        if not fetches:
            raise NotHereError(
                f"Model `{model}`: the tokenizer of {repository} is not here yet; the first start "
                "fetches it."
            ) from error
        raise _unfetched(model, repository, error) from error
    except (HTTPError, HFValidationError, OSError, ValueError) as error:
        raise _unfetched(model, repository, error) from error


def _unfetched(model: str, repository: str, error: Exception) -> EngineStartError:
    reason = " ".join(str(error).split()).rstrip(".")
    return EngineStartError(
        f"Model `{model}`: the tokenizer of {repository} cannot be fetched: {reason}. Set "
        f"`tokenizer` to a folder with {TOKENIZER} and {CONFIG}."
    )


def _read(model: str, path: Path) -> bytes | None:
    try:
        if path.stat().st_size > LARGEST:
            raise EngineStartError(f"Model `{model}`: {path} is too large.")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineStartError(
            f"Model `{model}`: {path} cannot be read: {error.strerror}."
        ) from error


def _text(model: str, path: Path) -> str:
    return (_read(model, path) or b"").decode(errors="replace")


def _token(value: Any) -> str:
    """Return the text of a token, which stands alone or in an object."""
    content = value.get("content") if isinstance(value, Mapping) else value
    return content if isinstance(content, str) else ""


def _templates(value: Any) -> dict[str, str]:
    """Return the templates of a configuration by their names."""
    if isinstance(value, str):
        return {"default": value}
    if not isinstance(value, list):
        return {}
    return {
        one["name"]: one["template"]
        for one in value
        if isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("template"), str)
    }
