"""The transports that `docs/sdk/transports.md` shows, against a running server."""

import re
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

import antiphon
from antiphon.sdk.environment import Environment
from support.processes import KEY, Program

PAGE = Path(__file__).parents[2] / "docs/sdk/transports.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run(number: int, scripted: Program, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("ANTIPHON_BASE_URL", scripted.url)
    monkeypatch.setenv("ANTIPHON_API_KEY", KEY)
    # The same client under the name that most programs know.
    monkeypatch.setitem(sys.modules, "httpx", httpx2)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES[number], "example", "exec"), names)  # noqa: S102 - our own page
    return names


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_transports_of_the_page_send(
    number: int,
    scripted: Program,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = run(number, scripted, monkeypatch)
    names["client"].transport.close()
    assert capsys.readouterr().out == "True\n"


def test_another_client_uploads_files_and_tells_its_errors(
    scripted: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make = run(2, scripted, monkeypatch)["HttpxTransport"]
    path = tmp_path / "a.txt"
    path.write_bytes(b"text " * 100_000)
    with httpx2.Client() as inner:
        client = antiphon.Client(transport=make(inner), base_url=scripted.url, api_key=KEY)
        assert client.files.upload(file=path).size_bytes == 500_000
        nobody = antiphon.Client(
            transport=make(inner),
            base_url="http://127.0.0.1:9",
            api_key="k",
            environment=Environment(),
            sleep=lambda _: None,
        )
        with pytest.raises(antiphon.APIConnectionError, match="after 3 attempts"):
            nobody.models.list()
