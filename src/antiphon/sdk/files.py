"""Uploaded files: `client.files`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from errno import EFBIG
from typing import IO, TYPE_CHECKING, Self, TypeAlias, Unpack

from antiphon.sdk.call import Answer, Call, CallOptions, path_of
from antiphon.sdk.endpoint import AsyncEndpoint, AsyncResource, Endpoint, Resource
from antiphon.sdk.lines import idle_of
from antiphon.sdk.pages import AsyncPageEndpoint, PageCall, PageEndpoint, page_call, page_of
from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.decoding import answered
from antiphon.sdk.uploads import file_form
from antiphon.sdk.watched import open_async_watched, open_watched, read_error
from antiphon.transport.base import TransportError

if TYPE_CHECKING:
    Content: TypeAlias = bytes | IO[bytes] | str | os.PathLike[str]

FileInput: TypeAlias = "Content | tuple[str | None, Content] | tuple[str | None, Content, str]"
"""A path, an open file or bytes; or a name, one of these, and perhaps a type."""

FILES = "files"


class FileMetadata(Answered, kw_only=True, frozen=True):
    """What is known of a file, without its content. `expires_at` is `None` if it stays."""

    id: str
    type: str = "file"
    filename: str = ""
    mime_type: str = ""
    size_bytes: int = 0
    created_at: str = ""
    downloadable: bool = False
    expires_at: str | None = None


class DeletedFile(Answered, kw_only=True, frozen=True):
    id: str
    type: str = "file_deleted"


def upload_file(
    *,
    file: FileInput,
    expires_in_seconds: int | None = None,
    workspace_id: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[FileMetadata]:
    """Upload a file. It is read while it is sent, and again if the call is repeated.

    Only what cannot be read again, as a pipe, is held in memory. Raises `OSError` for a file that
    cannot be read, or becomes shorter meanwhile.
    """
    fields = {} if expires_in_seconds is None else {"expires_in_seconds": str(expires_in_seconds)}
    form = file_form(file, fields)
    return Call(
        method="POST",
        path=path_of(FILES),
        decode=answered(FileMetadata),
        upload=form,
        content_type=form.content_type,
        headers=_of_workspace(workspace_id),
        options=options,
    )


def list_files(
    *,
    ids: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    workspace_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[FileMetadata]:
    """List the files of the workspace, or those with these ids."""
    query = {"ids": ids, "limit": limit, "page": page}
    return page_call(
        path_of(FILES), page_of(FileMetadata), query, options, headers=_of_workspace(workspace_id)
    )


def show_file(
    file_id: str, *, workspace_id: str | None = None, **options: Unpack[CallOptions]
) -> Call[FileMetadata]:
    """Return what is known of a file."""
    return Call(
        method="GET",
        path=path_of(FILES, file_id),
        decode=answered(FileMetadata),
        headers=_of_workspace(workspace_id),
        options=options,
    )


def file_content(
    file_id: str, *, workspace_id: str | None = None, **options: Unpack[CallOptions]
) -> Call[bytes]:
    """Return the content of a file; only of those that are `downloadable`."""
    return Call(
        method="GET",
        path=path_of(FILES, file_id, "content"),
        decode=_whole,
        headers=(("accept", "*/*"), *_of_workspace(workspace_id)),
        options=options,
    )


def delete_file(
    file_id: str, *, workspace_id: str | None = None, **options: Unpack[CallOptions]
) -> Call[DeletedFile]:
    """Delete a file."""
    return Call(
        method="DELETE",
        path=path_of(FILES, file_id),
        decode=answered(DeletedFile),
        headers=_of_workspace(workspace_id),
        options=options,
    )


class Files(Resource):
    """`client.files`."""

    upload = Endpoint(upload_file)
    list = PageEndpoint(list_files)
    retrieve_metadata = Endpoint(show_file)
    delete = Endpoint(delete_file)
    download = Endpoint(file_content)

    def download_to(
        self,
        file_id: str,
        path: str | os.PathLike[str],
        *,
        most_bytes: int | None = None,
        workspace_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Write the content of a file to a path as it comes; return its bytes.

        A file that was there is replaced when all has come, and stays as it was if not all comes.
        Raises `APIError`, and `OSError`, also for more than `most_bytes`.
        """
        call = file_content(file_id, workspace_id=workspace_id, **options)
        idle = idle_of(call, self._client.options)
        stream = open_watched(self._client, call)
        try:
            with _Arriving(path, most_bytes) as arriving:
                while chunk := stream.read_chunk(idle):
                    arriving.write(chunk)
                return arriving.finish()
        except TransportError as error:
            raise read_error(call, error) from error
        finally:
            stream.close()


class AsyncFiles(AsyncResource):
    """`client.files` of an async client."""

    upload = AsyncEndpoint(upload_file)
    list = AsyncPageEndpoint(list_files)
    retrieve_metadata = AsyncEndpoint(show_file)
    delete = AsyncEndpoint(delete_file)
    download = AsyncEndpoint(file_content)

    async def download_to(
        self,
        file_id: str,
        path: str | os.PathLike[str],
        *,
        most_bytes: int | None = None,
        workspace_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Write the content of a file to a path as it comes; as of `Client`."""
        call = file_content(file_id, workspace_id=workspace_id, **options)
        idle = idle_of(call, self._client.options)
        stream = await open_async_watched(self._client, call)
        try:
            with _Arriving(path, most_bytes) as arriving:
                while chunk := await stream.read_chunk(idle):
                    arriving.write(chunk)
                return arriving.finish()
        except TransportError as error:
            raise read_error(call, error) from error
        finally:
            stream.close()


class _Arriving:
    """A file beside the one that it becomes. What was not finished leaves nothing behind."""

    def __init__(self, path: str | os.PathLike[str], most: int | None) -> None:
        self._path = os.fspath(path)
        folder, name = os.path.split(self._path)
        # Names have a length, in bytes, so not all of it is used.
        self._beside = os.path.join(folder, f"{name[:40]}.{os.urandom(4).hex()}.part")  # noqa: PTH118 - a path of any kind
        self._most = most
        self._size = 0
        self._finished = False

    def __enter__(self) -> Self:
        self._file = open(self._beside, "xb")  # noqa: PTH123 - closed by `__exit__`
        return self

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._most is not None and self._size > self._most:
            raise OSError(EFBIG, f"the file has more than {self._most} bytes", self._path)
        self._file.write(chunk)

    def finish(self) -> int:
        self._file.close()
        os.replace(self._beside, self._path)  # noqa: PTH105 - a path of any kind
        self._finished = True
        return self._size

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self._finished:
            os.unlink(self._beside)  # noqa: PTH108 - a path of any kind


def _whole(answer: Answer) -> bytes:
    return answer.body


def _of_workspace(workspace_id: str | None) -> tuple[tuple[str, str], ...]:
    return () if workspace_id is None else (("anthropic-workspace-id", workspace_id),)
