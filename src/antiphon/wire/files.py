"""The answers of `/v1/files`, in the shape of today and in that of the beta `FILES_BETA`.

Timestamps are RFC 3339 with microseconds, in UTC.
"""

from typing import Final, Literal

from antiphon.wire.base import AnswerStruct

FILES_BETA: Final = "files-api-2025-04-14"
"""The beta whose requests are answered in the shapes of before the Files API was general."""


class FileMetadata(AnswerStruct, kw_only=True, frozen=True):
    """What is known of a file, without its content. `expires_at` is `null` if it stays."""

    id: str
    type: Literal["file"] = "file"
    filename: str
    mime_type: str
    size_bytes: int
    created_at: str
    downloadable: bool
    expires_at: str | None


class FilePage(AnswerStruct, kw_only=True, frozen=True):
    """One page of a listing, and the token of the next one."""

    data: tuple[FileMetadata, ...]
    next_page: str | None


class BetaFileMetadata(AnswerStruct, kw_only=True, frozen=True):
    """What the beta tells of a file."""

    id: str
    type: Literal["file"] = "file"
    filename: str
    mime_type: str
    size_bytes: int
    created_at: str
    downloadable: bool


class BetaFilePage(AnswerStruct, kw_only=True, frozen=True):
    """One page of the beta's listing; `first_id` and `last_id` are cursors to those beside it."""

    data: tuple[BetaFileMetadata, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedFile(AnswerStruct, kw_only=True, frozen=True):
    """The answer to a deletion."""

    id: str
    type: Literal["file_deleted"] = "file_deleted"
