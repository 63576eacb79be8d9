"""Finds the server that a program is set up for, and asks it for its models."""

import http.client
import urllib.error
import urllib.request
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from antiphon.cli.command import CommandError
from antiphon.cli.links import local_url
from antiphon.settings import Settings
from antiphon.store.database.instance_lock import serving_address
from antiphon.weights.source import printable, system_reason
from antiphon.weights.spec import is_loopback
from antiphon.wire.errors import shortened

PATIENCE_S: Final = 10.0
_UNAUTHORIZED: Final = 401
_LARGEST: Final = 8 * 1024 * 1024
_MOST_TOKENS: Final = 1 << 40


class KeyNotTakenError(CommandError):
    """The server refuses the key."""


class OfferedModel(msgspec.Struct, frozen=True):
    """A model as a server lists it; sizes in tokens, `None` if they are not known."""

    id: str
    display_name: str = ""
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class _Page(msgspec.Struct, frozen=True):
    data: tuple[OfferedModel, ...]


def base_url(settings: Settings, given: str | None) -> str:
    """Return the address of the server, without a slash at its end. Raises `CommandError`.

    It is the given one, or else that of the server that runs on the data folder.
    """
    if given is not None:
        if not given.startswith(("http://", "https://")):
            raise CommandError("--base-url: an address begins with http:// or https://")
        return given.rstrip("/").removesuffix("/v1")
    address = serving_address(settings.data_dir)
    if address is None:
        raise CommandError(
            f"no server runs on the data folder {settings.data_dir}: start one with `antiphon "
            "serve`, or name one with --base-url"
        )
    host, _, port = address.rpartition(":")
    return local_url(replace(settings, host=host.strip("[]")), int(port))


def offered_models(url: str, secret: str) -> tuple[OfferedModel, ...]:
    """Return the models of a server, the first of which is its default. Raises `CommandError`.

    `KeyNotTakenError` is for a key that a server does not take, or that none can get.
    """
    if not (secret.isascii() and secret.isprintable()):
        # The library would say the key in its error.
        raise KeyNotTakenError("this key has characters that no key has")
    headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
    # `base_url` has seen to the scheme.
    request = urllib.request.Request(f"{url}/v1/models?limit=1000", headers=headers)  # noqa: S310
    try:
        with _opener(url).open(request, timeout=PATIENCE_S) as answer:
            models = msgspec.json.decode(answer.read(_LARGEST), type=_Page).data
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _UNAUTHORIZED:
            raise KeyNotTakenError(f"{url} does not take this key") from error
        raise CommandError(f"{url} answers /v1/models with status {error.code}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"{url} is no server of the Claude API") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = system_reason(getattr(error, "reason", error))
        raise CommandError(f"{url} does not answer: {reason}") from error
    if not models:
        raise CommandError(f"{url} serves no model")
    return tuple(map(_harmless, models))


def _harmless(model: OfferedModel) -> OfferedModel:
    """Return a model without what no terminal, variable or file of settings should have."""

    def size(tokens: int | None) -> int | None:
        return tokens if tokens is not None and 0 < tokens < _MOST_TOKENS else None

    return OfferedModel(
        id=printable(model.id),
        display_name=printable(model.display_name),
        max_input_tokens=size(model.max_input_tokens),
        max_tokens=size(model.max_tokens),
    )


def is_on_this_machine(url: str) -> bool:
    """Return whether an address is one of the loopback."""
    return is_loopback(urlsplit(url).hostname or "")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is for this server alone."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    # A proxy could not find a server of this machine.
    direct = [urllib.request.ProxyHandler({})] if is_on_this_machine(url) else []
    return urllib.request.build_opener(_NoRedirects, *direct)


def chosen(models: tuple[OfferedModel, ...], wanted: str | None) -> OfferedModel:
    """Return the model of this id, or the first. Raises `CommandError` for an unknown one."""
    if wanted is None:
        return models[0]
    ids = [model.id for model in models]
    for model in models:
        if model.id == wanted:
            return model
    near = get_close_matches(wanted, ids, 1, 0.5)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ids)}"
    raise CommandError(f"there is no model {shortened(wanted)!r}; {meant}")
