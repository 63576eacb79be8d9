"""The plugin of pytest, in runs of its own."""

import json
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "antiphon.testing.plugin", "-p", "no:cacheprovider")

CLIENTS = """
import asyncio
import pytest
from antiphon.testing import overloaded_error

HELLO = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}

def test_one(antiphon_server, antiphon_client):
    antiphon_server.fails(overloaded_error, times=2).answers("One")
    message = antiphon_client.post("/v1/messages", cast_to=dict, body=HELLO)
    assert message["content"][0]["text"] == "One"
    antiphon_server.requests.assert_count(3)

def test_server_of_the_next_test_is_another(antiphon_server, async_antiphon_client):
    assert len(antiphon_server.requests) == 0
    post = async_antiphon_client.post("/v1/messages", cast_to=dict, body=HELLO)
    assert asyncio.run(post)["content"][0]["text"] == "Hi"

@pytest.mark.antiphon(aliases=["own-*"])
class TestMarks:
    def test_class(self, antiphon_client):
        body = HELLO | {"model": "own-1"}
        assert antiphon_client.post("/v1/messages", cast_to=dict, body=body)["model"] == "own-1"

    @pytest.mark.antiphon(aliases=["mine-*"])
    def test_nearest_mark_wins(self, antiphon_client):
        body = HELLO | {"model": "mine-1"}
        assert antiphon_client.post("/v1/messages", cast_to=dict, body=body)["model"] == "mine-1"
"""

UNUSED = """
import pytest

def test_answer_is_left(antiphon_server):
    antiphon_server.answers("Never")

@pytest.mark.antiphon(strict=False)
def test_that_may_leave_one(antiphon_server):
    antiphon_server.answers("Never")
"""

CASSETTE = """
from antiphon import testing

HELLO = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}

def test_hello(antiphon_cassette):
    if antiphon_cassette.recording:
        with testing.server() as server:
            client = antiphon_cassette.client(api_key=server.key, base_url=server.url)
            message = client.post("/v1/messages", cast_to=dict, body=HELLO)
    else:
        message = antiphon_cassette.client().post("/v1/messages", cast_to=dict, body=HELLO)
    assert message["content"][0]["text"] == "Hi"
"""


def test_fixtures_and_marks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CLIENTS)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error")
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=4)


def test_settings_and_strictness_of_the_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        UNUSED + "\ndef test_settings(antiphon_server):\n"
        "    assert antiphon_server.client(max_retries=0).models.list().data[0].id == 'mine'\n"
    )
    pytester.makeini("[pytest]\nantiphon_strict = true\nantiphon_settings = model_id = 'mine'")
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*UnusedAnswersError: no request has used:", "*Never*"])


def test_cassette_stands_beside_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=CASSETTE)
    pytester.runpytest_inprocess(*PLUGIN, "--antiphon-cassettes=none").assert_outcomes(failed=1)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)
    path = Path(pytester.path) / "cassettes" / "test_it" / "test_hello.jsonl"
    assert json.loads(path.read_text().splitlines()[0]) == {"cassette": 1, "exchanges": 1}
    pytester.runpytest_inprocess(*PLUGIN, "--antiphon-cassettes=none").assert_outcomes(passed=1)


def test_every_test_has_a_cassette_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest

        def test_x(antiphon_cassette):
            pass

        ODD = ["\u00fc", "\u00e9", "a/b", "a-b", "a b", "x" * 5000, "../../a"]

        @pytest.mark.parametrize("odd", ODD)
        def test_x_of(antiphon_cassette, odd):
            print("PATH", antiphon_cassette.path)

        class TestOne:
            def test_x(self, antiphon_cassette):
                print("PATH", antiphon_cassette.path)

        class TestTwo:
            def test_x(self, antiphon_cassette):
                print("PATH", antiphon_cassette.path)
        """
    )
    result = pytester.runpytest_inprocess(*PLUGIN, "-s", "--antiphon-cassettes=once")
    result.assert_outcomes(passed=10)
    paths = {line.partition("PATH ")[2] for line in result.outlines if "PATH " in line}
    assert len(paths) == 9
    assert {Path(path).parent for path in paths} == {pytester.path / "cassettes" / "test_it"}
    names = {Path(path).name for path in paths}
    assert {"TestOne.test_x.jsonl", "test_x_of-a-b.jsonl"} <= names
    assert max(map(len, names)) < 150


@pytest.mark.parametrize(
    ("ini", "told"),
    [
        ("antiphon_settings = x = = 1", "antiphon_settings: "),
        ("antiphon_cassettes = some", "'some'"),
    ],
)
def test_wrong_settings_are_named(pytester: pytest.Pytester, ini: str, told: str) -> None:
    pytester.makepyfile(
        "def test_server(antiphon_server): pass\ndef test_tape(antiphon_cassette): pass"
    )
    pytester.makeini(f"[pytest]\n{ini}")
    result = pytester.runpytest_inprocess(*PLUGIN)
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines([f"*{told}*"])
