"""Downloads one file over HTTP; an interrupted download resumes if the file is the same."""

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from antiphon.weights.model_store import write_whole
from antiphon.weights.progress import Progress
from antiphon.weights.source import (
    OFFLINE,
    PARTIAL,
    FetchedFile,
    PullError,
    discard,
    printable,
    sidecar_path,
    system_reason,
)
from antiphon.weights.space import LEAST_FREE, check_space
from antiphon.weights.spec import UrlSpec, is_allowed_url, is_loopback

TIMEOUT_S = 60.0
CHUNK = 1 << 18
LOOK_EVERY = 64 << 20
MOST_DIGITS = 19
"""Of a stated size: larger numbers are no sizes, and cannot be written or compared as such."""
# The pauses after tries that brought no new bytes; after the last one the download fails.
PAUSES_S = (1.0, 2.0, 4.0)
GONE = {404, 410}
PASSING = {408, 425, 429, 500, 502, 503, 504}


class RemoteFile(msgspec.Struct, frozen=True):
    """A file to download.

    `origin` identifies the bytes even if the URL changes: a partial file of another origin is
    deleted. `authorization` is sent only to the host of the URL.
    """

    url: str
    origin: str
    authorization: str | None = None


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a partial file; without `validator` its download cannot resume."""

    origin: str
    validator: str | None
    total: int | None
    source: dict[str, str]


class StatusError(PullError):
    """A server refuses a file: its status, and the code that a hub gives in a header."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UnreachableError(PullError):
    """A server cannot be reached, for a `reason`."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}. {OFFLINE}")
        self.reason = reason


class _BrokenOffError(Exception):
    """This try has failed; the next one may get further."""


class _NoConnectionError(_BrokenOffError):
    """The server cannot be reached."""


def fetch_url(
    spec: UrlSpec, folder: Path, progress: Progress, sleep: Callable[[float], None] = time.sleep
) -> FetchedFile:
    """Download the file of a URL."""
    partial = folder / f"{spec.file}{PARTIAL}"
    source = download(RemoteFile(spec.url, origin=spec.url), partial, progress, sleep)
    return FetchedFile(partial, spec.file, spec.sha256, source)


def download(
    remote: RemoteFile,
    partial: Path,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Download `partial` to its full length; return the validators of the server."""
    best, pauses = 0, iter(PAUSES_S)
    while True:
        try:
            return _try_once(remote, partial, progress)
        except _BrokenOffError as error:
            kept = partial.stat().st_size if partial.exists() else 0
            if kept > best:
                best, pauses = kept, iter(PAUSES_S)
            pause = next(pauses, None)
            if pause is None:
                offline = f". {OFFLINE}" if isinstance(error, _NoConnectionError) else ""
                raise PullError(f"{remote.url}: {error} ({_promise(kept)}){offline}") from error
            progress.note(f"{error}; trying again")
            sleep(pause)


@contextmanager
def opened(remote: RemoteFile) -> Iterator["RemoteStream"]:
    """Open a file from its beginning until the end of the block; nothing is written.

    Of what is not read by then, the server has sent no more than its connection holds.
    """
    try:
        response = _open(remote, None, 0, None)
    except _NoConnectionError as error:
        raise UnreachableError(remote.url, str(error)) from error
    except _BrokenOffError as error:
        raise PullError(f"{remote.url}: {error}") from error
    with response:
        yield RemoteStream(remote, response)


class RemoteStream:
    """A file that is read from a server. Its `size` is the one that the server states."""

    def __init__(self, remote: RemoteFile, response: http.client.HTTPResponse) -> None:
        self.size = _stated_size(remote, response)
        self._left = self.size or 0
        self._remote = remote
        self._response = response

    def header(self, name: str) -> str:
        """Return a header of the answer; empty if it has none."""
        return self._response.headers.get(name, "")

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end. Raises `PullError`."""
        try:
            piece = self._response.read1(size)
        except (OSError, http.client.HTTPException) as error:
            reason = system_reason(error)
            raise PullError(f"{self._remote.url}: the connection broke: {reason}") from error
        if not piece and self._left > 0:
            raise PullError(
                f"{self._remote.url}: the connection broke {self._left:,} bytes before the end"
            )
        self._left -= len(piece)
        return piece


def _try_once(remote: RemoteFile, partial: Path, progress: Progress) -> dict[str, str]:
    kept, size = _read_sidecar(partial, remote.origin)
    if kept is not None and kept.total == size:
        return kept.source
    with _open(remote, kept, size, partial) as response:
        if kept is None or response.status != HTTPStatus.PARTIAL_CONTENT:
            kept, size = _begin_anew(remote, response, partial), 0
        else:
            _check_continues(response, kept, size, partial)
        _check_space(partial, kept.total, size)
        progress.started(kept.total, size)
        _receive(response, partial, progress, None if kept.total is None else kept.total - size)
    return kept.source


def _open(
    remote: RemoteFile, kept: Sidecar | None, size: int, partial: Path | None
) -> http.client.HTTPResponse:
    request = _request(remote, kept, size)
    try:
        response: http.client.HTTPResponse = _opener(remote.url).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            raise _status_error(remote, error, partial) from error
    except ValueError as error:
        raise PullError(f"{remote.url} leads to an address that is none: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise PullError(f"{remote.url}: {reason}") from error
        raise _NoConnectionError(
            f"No connection to {urlsplit(remote.url).netloc}: {system_reason(reason)}"
        ) from error
    return response


def _request(remote: RemoteFile, kept: Sidecar | None, size: int) -> urllib.request.Request:
    # Only https and loopback http pass parse_spec, and redirects are checked again.
    request = urllib.request.Request(remote.url, headers={"User-Agent": "antiphon"})  # noqa: S310 - see above
    if kept is not None and kept.validator is not None:
        request.add_header("Range", f"bytes={size}-")
        request.add_header("If-Range", kept.validator)
    if remote.authorization is not None:
        request.add_unredirected_header("Authorization", remote.authorization)
    return request


def _opener(url: str) -> urllib.request.OpenerDirector:
    if is_loopback(urlsplit(url).hostname or ""):
        return urllib.request.build_opener(_CarefulRedirects, urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(_CarefulRedirects)


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to unencrypted hosts other than this machine."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - as in the base class
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        target = urlsplit(newurl)
        _ = target.port  # reading the port checks it
        if not is_allowed_url(target):
            raise PullError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _status_error(
    remote: RemoteFile, error: urllib.error.HTTPError, partial: Path | None
) -> PullError | _BrokenOffError:
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial is not None:
        discard(partial)  # the partial file is longer than the remote one: another file
        return _BrokenOffError("The file on the server is not the one that was begun")
    reason = printable(str(error.reason))
    if error.code in PASSING:
        return _BrokenOffError(f"The server answered {error.code} {reason}")
    hint = ". Check the address" if error.code in GONE else ""
    message = f"{remote.url}: the server answered {error.code} {reason}{hint}"
    return StatusError(message, error.code, error.headers.get("X-Error-Code", ""))


def _begin_anew(remote: RemoteFile, response: http.client.HTTPResponse, partial: Path) -> Sidecar:
    source = {
        key: value
        for key, header in (("etag", "ETag"), ("last_modified", "Last-Modified"))
        if (value := response.headers.get(header))
    }
    sidecar = Sidecar(
        origin=remote.origin,
        validator=_validator(source),
        total=_stated_size(remote, response),
        source=source,
    )
    # In this order a crash leaves an empty file, never old bytes with a new sidecar.
    partial.write_bytes(b"")
    write_whole(sidecar_path(partial), msgspec.json.encode(sidecar))
    return sidecar


def _stated_size(remote: RemoteFile, response: http.client.HTTPResponse) -> int | None:
    """Return the bytes that are stated to come, if any are. Raises `PullError`."""
    stated = response.headers.get("Content-Length", "")
    if not re.fullmatch(r"[0-9]+", stated):
        return None
    if len(stated) > MOST_DIGITS:
        raise PullError(f"{remote.url}: the server states a size that no file has")
    return int(stated)


def _validator(source: dict[str, str]) -> str | None:
    # RFC 9110, 13.1.5: If-Range takes no weak ETag.
    etag = source.get("etag", "W/")
    return source.get("last_modified") if etag.startswith("W/") else etag


def _check_continues(
    response: http.client.HTTPResponse, kept: Sidecar, size: int, partial: Path
) -> None:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    etag = response.headers.get("ETag", kept.source.get("etag"))
    same_file = found is not None and found[2] in {"*", str(kept.total)}
    if found is None or int(found[1]) != size or not same_file or etag != kept.source.get("etag"):
        discard(partial)
        raise _BrokenOffError("The file on the server is not the one that was begun")


def _check_space(partial: Path, total: int | None, size: int) -> None:
    if total is not None:
        check_space(partial.parent, total - size + LEAST_FREE)


def _check_there_is_space(partial: Path, *, keep: bool) -> None:
    """Raise `PullError` if the disk is nearly full, of this file or of others.

    Without `keep` the file is deleted then: its size is unknown, so it may have filled the disk.
    """
    try:
        check_space(partial.parent, LEAST_FREE)
    except PullError:
        if not keep:
            discard(partial)
        raise


def _receive(
    response: http.client.HTTPResponse, partial: Path, progress: Progress, missing: int | None
) -> None:
    unlooked = 0
    # Unbuffered, so that the counted bytes are in the file even if this process is killed.
    with partial.open("ab", buffering=0) as file:
        while missing is None or missing > 0:
            chunk = _read_chunk(response)
            if not chunk:
                break
            _write_all(file, chunk)
            progress.advanced(len(chunk))
            unlooked += len(chunk)
            if missing is not None:
                missing -= len(chunk)
            if unlooked >= LOOK_EVERY:
                unlooked = 0
                _check_there_is_space(partial, keep=missing is not None)
    if missing:
        raise _BrokenOffError(f"The connection broke {missing:,} bytes before the end")


def _read_chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(f"The connection broke: {system_reason(error)}") from error


def _write_all(file: IO[bytes], chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _read_sidecar(partial: Path, origin: str) -> tuple[Sidecar | None, int]:
    """Return the sidecar of a download that can resume, and the size of its partial file."""
    try:
        size = partial.stat().st_size
        kept = msgspec.json.decode(sidecar_path(partial).read_bytes(), type=Sidecar)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None, 0
    usable = size > 0 and kept.origin == origin and kept.validator is not None
    return (kept, size) if usable else (None, 0)


def _promise(kept: int) -> str:
    return f"{kept:,} bytes are kept; pull again to go on" if kept else "nothing came"
