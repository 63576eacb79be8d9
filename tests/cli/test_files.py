"""`antiphon files`, over a data folder. A server on it has what the command line uploads."""

import os
import re
from pathlib import Path

import pytest

from cli.conftest import Shell

PDF = b"%PDF-1.7\nnothing more"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    return path


def test_file_is_uploaded_listed_and_deleted(shell: Shell, report: Path) -> None:
    said = shell(f"files upload {report}")
    found = re.fullmatch(
        r"File (file_\w+) is kept: report\.pdf, application/pdf, 21 bytes\.\n", said
    )
    assert found, said
    (listed,) = shell.json("files list")
    assert (listed["id"], listed["type"], listed["expires_at"]) == (found[1], "file", None)
    head, row = shell("files list").splitlines()
    assert head.split() == ["id", "name", "type", "size", "created", "expires"]
    assert row.split()[:5] == [found[1], "report.pdf", "application/pdf", "21", "bytes"]
    assert [one["action"] for one in shell.json("audit")][:1] == ["file.create"]
    assert shell(f"files delete {found[1]} --yes") == f"File {found[1]} (report.pdf) is deleted.\n"
    empty = shell("files list")
    assert empty.startswith("There are no files: `antiphon files upload FILE --data-dir ")
    assert shell.complaint(f"files delete {found[1]}") == (
        f"there is no file '{found[1]}' in the Default workspace (--workspace names another); "
        f"`antiphon files list --data-dir {shell.data_dir}` shows them"
    )


def test_upload_says_what_the_file_is_and_how_long_it_stays(shell: Shell, report: Path) -> None:
    told = shell.json(f"files upload {report} --name q.csv --type text/csv --expires 1d")
    assert (told["filename"], told["mime_type"], told["downloadable"]) == (
        "q.csv",
        "text/csv",
        False,
    )
    assert told["expires_at"] > told["created_at"]
    report.rename(report.with_name("noname"))
    assert shell.json(f"files upload {report.with_name('noname')}")["mime_type"] == (
        "application/pdf"
    )


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ("--name a:b", "--name: Input should be printable characters without"),
        ("--expires 5m", "--expires: Input should be greater than or equal to 3600"),
        ("--expires 2001-01-01", "--expires: 2001-01-01 00:00:00 UTC has passed"),
        ("--workspace Lab", "there is no workspace 'Lab'"),
    ],
)
def test_wrong_upload_names_the_flag_and_keeps_nothing(
    shell: Shell, report: Path, flags: str, fault: str
) -> None:
    assert shell.complaint(f"files upload {report} {flags}").startswith(fault)
    assert shell.json("files list") == []


def test_file_that_cannot_be_read_is_named(shell: Shell, tmp_path: Path) -> None:
    assert shell.complaint(f"files upload {tmp_path}") == f"{tmp_path} is a folder: name a file"
    missing = tmp_path / "none.txt"
    assert shell.complaint(f"files upload {missing}") == f"{missing}: No such file or directory"


def test_file_beyond_a_limit_is_refused_and_leaves_nothing(
    shell: Shell, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_FILE_QUOTA_BYTES", "20")
    assert "storage quota of 20 bytes" in shell.complaint(f"files upload {report}")
    monkeypatch.setenv("ANTIPHON_MAX_FILE_BYTES", "1024")
    report.write_bytes(bytes(1025))
    assert "A file has at most 1,024 bytes" in shell.complaint(f"files upload {report}")
    assert shell.json("files list") == []


def test_download_writes_a_new_file_where_downloads_are_on(
    shell: Shell, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shell.json(f"files upload {report}")["id"]
    assert shell.complaint(f"files download {before}") == (
        f"file {before} cannot be downloaded: only those can that are uploaded while "
        "`file_downloads = true` is set"
    )
    monkeypatch.setenv("ANTIPHON_FILE_DOWNLOADS", "true")
    large = report.with_name("large.bin")
    large.write_bytes(os.urandom(5 << 20))
    after = shell.json(f"files upload {large}")["id"]
    monkeypatch.chdir(report.parent)
    assert shell.complaint(f"files download {after}") == "large.bin exists; name another file"
    assert shell(f"files download {after} --output copy.bin") == "Wrote copy.bin.\n"
    assert Path("copy.bin").read_bytes() == large.read_bytes()
    large.unlink()
    assert shell(f"files download {after}") == "Wrote large.bin.\n"
    assert large.read_bytes() == Path("copy.bin").read_bytes()


def test_download_is_printed_as_it_is(
    shell: Shell, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_FILE_DOWNLOADS", "true")
    kept = shell.json(f"files upload {report}")["id"]
    assert shell(f"files download {kept} --output -") == PDF.decode()


def test_files_of_another_workspace_are_its_own(shell: Shell, report: Path) -> None:
    shell("workspaces create Lab")
    told = shell.json(f"files upload {report} --workspace Lab")
    assert shell.json("files list") == []
    assert [one["id"] for one in shell.json("files list --workspace Lab")] == [told["id"]]
    said = shell.complaint(f"files delete {told['id']} --workspace Default")
    assert "in workspace 'Default'; `antiphon files list " in said
    shell("workspaces archive Lab --yes")
    said = shell.complaint(f"files upload {report} --workspace Lab")
    assert said == "workspace Lab is archived"


def test_listing_goes_on_behind_a_file(shell: Shell, report: Path) -> None:
    ids = [shell.json(f"files upload {report}")["id"] for _ in range(3)]
    page = shell.both("files list --limit 2")
    assert f"There are more: --after {ids[1]} lists them." in page
    assert [one["id"] for one in shell.json(f"files list --after {ids[1]}")] == [ids[0]]
    assert "is no number from 1 to 1000" in shell.misunderstood("files list --limit 0")
