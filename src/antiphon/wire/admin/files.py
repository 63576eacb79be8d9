"""The answer about the storage of uploaded files. The API has none: the shape is ours."""

from typing import Literal

from antiphon.wire.base import AnswerStruct


class FileStorageInfo(AnswerStruct, kw_only=True, frozen=True):
    """What the files of a workspace take, and what they may take, in bytes.

    `quota_bytes` is that of the workspace, `null` if it has none of its own. `free_bytes` can still
    be uploaded: what is left of the workspace's quota and of the organization's. `downloadable`:
    whether files that are uploaded from now on can be downloaded.
    """

    type: Literal["file_storage"] = "file_storage"
    workspace_id: str
    used_bytes: int
    quota_bytes: int | None
    free_bytes: int
    largest_file_bytes: int
    downloadable: bool
