"""A model on the Hugging Face hub: its client locates the file, `download` fetches it."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from antiphon.weights.download import RemoteFile, download
from antiphon.weights.progress import Progress
from antiphon.weights.source import PARTIAL, FetchedFile, PullError
from antiphon.weights.spec import HubSpec


def fetch_hub(
    spec: HubSpec,
    folder: Path,
    progress: Progress,
    endpoint: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchedFile:
    """Resolve the file to one commit, and download that.

    `hf_hub_download` is not used: version 2.4 discards an interrupted download.
    """
    remote, sha256, revision = _resolve(spec, endpoint)
    partial = folder / f"{spec.file}{PARTIAL}"
    source = download(remote, partial, progress, sleep)
    return FetchedFile(partial, spec.file, sha256, {**source, "revision": revision})


def _resolve(spec: HubSpec, endpoint: str | None) -> tuple[RemoteFile, str | None, str]:
    """Ask the hub for the URL of a file, its SHA-256 if it is in LFS, and the commit."""
    # huggingface_hub takes half a second to import, and then reads HF_ENDPOINT, HF_TOKEN, ….
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # noqa: PLC0415
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
    )
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # noqa: PLC0415
        build_hf_headers,
    )

    try:
        url = hf_hub_url(spec.repo_id, spec.path, revision=spec.revision, endpoint=endpoint)
        found = get_hf_file_metadata(url, endpoint=endpoint, library_name="antiphon")
    except HfHubHTTPError as error:
        raise PullError(f"{spec}: {_first_line(error.server_message or str(error))}") from error
    except (HTTPError, HFValidationError, OSError) as error:
        raise PullError(f"{spec}: the hub could not be asked: {error}") from error
    if found.commit_hash is None or found.etag is None:
        raise PullError(f"{spec}: {urlsplit(url).netloc} does not answer as a hub does")
    own = urlsplit(found.location)[:2] == urlsplit(url)[:2]
    authorization = build_hf_headers().get("authorization") if own else None
    sha256 = found.etag if re.fullmatch(r"[0-9a-f]{64}", found.etag) else None
    remote = RemoteFile(found.location, f"hf:{spec.repo_id}#{found.etag}", authorization)
    return remote, sha256, found.commit_hash


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
