"""What a hub says of the files of a repository, by a server that answers as the hub does."""

import json
from typing import Any

import pytest
from huggingface_hub import constants

from antiphon.secret import Secret
from antiphon.weights.hub_access import HubAccess
from antiphon.weights.hub_listing import MOST_PAGES, list_files, resolve_repository
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.repository import ListedFile
from antiphon.weights.source import PullError
from tests.weights.conftest import Served, WebServer

REPO = RepositorySpec("o", "r")
TREE = "/api/models/o/r/tree/main?recursive=true"
SHA = "ab" * 32


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the token of this machine nor its mode."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def entry(path: str, size: int = 1000, **more: Any) -> dict[str, Any]:
    """An entry as the hub writes it for a file in LFS."""
    lfs = {"oid": SHA, "size": size, "pointerSize": 134}
    return {"type": "file", "oid": "1" * 40, "size": size, "path": path, "lfs": lfs, **more}


def serve(web: WebServer, *entries: Any, at: str = TREE, link: str | None = None) -> None:
    headers = {"Content-Type": "application/json"} | ({"Link": link} if link else {})
    web.files[at] = Served(json.dumps(entries).encode(), headers=headers)


def test_file_of_a_quantization_is_found(web: WebServer) -> None:
    folder = {"type": "directory", "oid": "2" * 40, "size": 0, "path": "Q8"}
    serve(web, folder, entry("README.md", lfs=None), entry("m-Q8_0.gguf"), entry("m-Q4_K_M.gguf"))
    assert resolve_repository(RepositorySpec("o", "r", "Q8_0"), HubAccess(web.url)) == HubSpec(
        "o", "r", "m-Q8_0.gguf"
    )
    assert resolve_repository(REPO, HubAccess(web.url)) == HubSpec("o", "r", "m-Q4_K_M.gguf")


def test_branch_of_the_name_is_asked_for(web: WebServer) -> None:
    serve(web, entry("m.gguf"), at="/api/models/o/r/tree/v1?recursive=true")
    found = resolve_repository(RepositorySpec("o", "r", revision="v1"), HubAccess(web.url))
    assert found == HubSpec("o", "r", "m.gguf", "v1")


def test_all_pages_are_read(web: WebServer) -> None:
    second = f"{TREE}&cursor=abc"
    serve(web, entry("a.gguf"), link=f'<{web.url}{second}>; rel="next"')
    serve(web, entry("b.gguf"), at=second)
    assert [file.path for file in list_files(REPO, HubAccess(web.url))] == ["a.gguf", "b.gguf"]


def test_pages_without_an_end_are_refused(web: WebServer) -> None:
    serve(web, entry("a.gguf"), link=f'<{web.url}{TREE}>; rel="next"')
    with pytest.raises(PullError, match="more than 20 pages"):
        list_files(REPO, HubAccess(web.url))
    assert len(web.requests) == MOST_PAGES


def test_next_page_of_another_host_is_refused(web: WebServer) -> None:
    serve(web, entry("a.gguf"), link='<http://127.0.0.2:1/api/models/x/y/tree>; rel="next"')
    with pytest.raises(PullError, match="another host"):
        list_files(REPO, HubAccess(web.url))


def test_names_and_sizes_that_cannot_be_are_left_out(web: WebServer) -> None:
    odd = ["../m.gguf", "/etc/m.gguf", "a//m.gguf", "a\\m.gguf", "a\nm.gguf", ".gguf", "m.bin"]
    serve(
        web,
        *(entry(path) for path in odd),
        entry("less.gguf", -1),
        entry("more.gguf", 1 << 60),
        entry("good.gguf", lfs={"oid": "not a digest"}),
    )
    assert list_files(REPO, HubAccess(web.url)) == (ListedFile("good.gguf", 1000, None),)


def test_digest_of_lfs_is_told(web: WebServer) -> None:
    serve(web, entry("m.gguf"))
    assert list_files(REPO, HubAccess(web.url)) == (ListedFile("m.gguf", 1000, SHA),)


@pytest.mark.parametrize(
    "content", [b"<html>", b"{}", b'[{"type": "file"}]', b'[{"type": 1, "path": "m"}]', b""]
)
def test_answer_that_is_no_listing_is_refused(web: WebServer, content: bytes) -> None:
    web.files[TREE] = Served(content)
    with pytest.raises(PullError, match="does not answer as a hub does"):
        list_files(REPO, HubAccess(web.url))


def test_endless_answer_is_cut_off(web: WebServer) -> None:
    web.files[TREE] = Served(b"[" + b" " * (9 << 20))
    with pytest.raises(PullError, match="more than 8 MiB"):
        list_files(REPO, HubAccess(web.url))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "RepoNotFound", "no such repository, or it is private"),
        (401, "", "no such repository, or it is private"),
        (403, "GatedRepo", "asks for consent"),
        (404, "RevisionNotFound", "no such branch"),
        (404, "", "no such repository"),
        (418, "", "answered 418"),
    ],
)
def test_refusal_says_what_to_do(web: WebServer, status: int, code: str, said: str) -> None:
    web.statuses.append(status)
    web.status_headers = {"X-Error-Code": code} if code else {}
    with pytest.raises(PullError, match=said) as refused:
        list_files(REPO, HubAccess(web.url))
    assert str(refused.value).startswith("hf:o/r: ")


def test_redirect_to_an_unencrypted_host_is_refused(web: WebServer) -> None:
    web.redirects[TREE] = "http://models.example/list"
    with pytest.raises(PullError, match="not https"):
        list_files(REPO, HubAccess(web.url))


def test_unencrypted_hub_is_refused() -> None:
    with pytest.raises(PullError, match=r"^http://hub\.example is not https"):
        list_files(REPO, HubAccess("http://hub.example"))


def test_hub_is_not_asked_in_its_offline_mode(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PullError, match="HF_HUB_OFFLINE is set"):
        list_files(REPO, HubAccess(web.url))
    assert not web.requests


def test_hub_that_is_away_is_told_with_what_helps(unused_port: int) -> None:
    with pytest.raises(PullError, match=r"hf:o/r is not here yet\. No connection.*\. Offline, "):
        list_files(REPO, HubAccess(f"http://127.0.0.1:{unused_port}"))


def test_token_goes_to_the_hub_and_not_where_it_redirects(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    web.redirects[TREE] = f"{web.url}/moved"
    serve(web, entry("m.gguf"), at="/moved")
    list_files(REPO, HubAccess(web.url))
    sent = [headers.get("authorization") for _, _, headers in web.requests]
    assert sent == ["Bearer hf_secret", None]


def test_token_of_the_settings_goes_before_that_of_the_environment(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    serve(web, entry("m.gguf"))
    list_files(REPO, HubAccess(web.url, Secret("hf_of_the_settings")))
    assert web.requests[0][2]["authorization"] == "Bearer hf_of_the_settings"
