"""`client.messages.batches` of the official Python SDK, unmodified, against a running server."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from support.processes import KEY, Program, serving

MODEL = "claude-opus-5-5"
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
SLOW = {**ASK, "messages": [{"role": "user", "content": "be slow"}]}
PATIENCE_S = 60.0
SCRIPT = """
engine = "scripted"
scripted.text = "One two three."
[[scripted.replies]]
when = "be slow"
text = "Slowly."
delay_s = 300
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("batches")


@pytest.fixture(scope="module")
def program(data_dir: Path) -> Iterator[Program]:
    """A server whose batches are of this module alone."""
    Path(data_dir, "antiphon.toml").write_text(SCRIPT, encoding="utf-8")
    with serving(data_dir, environ={"ANTIPHON_API_KEY": KEY}) as running:
        yield running


@pytest.fixture
def sdk(program: Program) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def requests(*params: dict[str, Any]) -> Any:
    return [{"custom_id": f"r{number}", "params": one} for number, one in enumerate(params)]


def when(sdk: anthropic.Anthropic, wanted: str, reached: Callable[[MessageBatch], bool]) -> Any:
    """Follow a batch until it is as wanted; return it."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        batch = sdk.messages.batches.retrieve(wanted)
        if reached(batch):
            return batch
        time.sleep(0.05)
    raise AssertionError(f"{wanted} stayed as it was: {batch}")


def has_ended(batch: MessageBatch) -> bool:
    return batch.processing_status == "ended"


def by_id(lines: list[MessageBatchIndividualResponse]) -> dict[str, Any]:
    return {line.custom_id: line.result for line in lines}


def test_batch_is_created_followed_and_its_results_are_read(
    program: Program, sdk: anthropic.Anthropic
) -> None:
    unknown, streamed = {**ASK, "model": "nobody"}, {**ASK, "stream": True}
    made = sdk.messages.batches.create(requests=requests(ASK, unknown, streamed))
    assert (made.type, made.processing_status) == ("message_batch", "in_progress")
    assert made.request_counts.processing == 3
    assert (made.expires_at - made.created_at).total_seconds() == 24 * 3600

    batch = when(sdk, made.id, has_ended)
    assert batch.results_url == f"{program.url}/v1/messages/batches/{made.id}/results"
    counts = batch.request_counts
    assert (counts.succeeded, counts.errored, counts.processing) == (1, 2, 0)
    results = by_id(list(sdk.messages.batches.results(made.id)))
    assert results["r0"].type == "succeeded"
    assert results["r0"].message.content[0].text == "One two three."
    assert results["r0"].message.usage.service_tier == "batch"
    assert [results[name].error.error.type for name in ("r1", "r2")] == [
        "not_found_error",
        "invalid_request_error",
    ]


def test_batch_cancelled_while_it_runs_has_canceled_results(sdk: anthropic.Anthropic) -> None:
    batches = sdk.messages.batches
    made = batches.create(requests=requests(*[SLOW] * 3))
    assert batches.cancel(made.id).processing_status == "canceling"
    batch = when(sdk, made.id, has_ended)
    assert batch.request_counts.canceled == 3
    assert batch.cancel_initiated_at is not None
    assert {line.result.type for line in batches.results(made.id)} == {"canceled"}


def test_batch_that_is_a_day_old_has_expired_results(
    sdk: anthropic.Anthropic, data_dir: Path
) -> None:
    made = sdk.messages.batches.create(requests=requests(*[SLOW] * 3))
    with closing(sqlite3.connect(data_dir / "antiphon.db", timeout=PATIENCE_S)) as database:
        database.execute(
            "UPDATE message_batches SET expires_at = created_at WHERE id = ?", (made.id,)
        )
        database.commit()
    batch = when(sdk, made.id, has_ended)
    assert batch.request_counts.expired == 3
    results = sdk.messages.batches.results(made.id)
    assert {line.result.type for line in results} == {"expired"}


def test_all_batches_are_listed_over_several_pages(sdk: anthropic.Anthropic) -> None:
    batches = sdk.messages.batches
    made = [batches.create(requests=requests(ASK)).id for _ in range(5)][::-1]
    listed = [batch.id for batch in batches.list(limit=2)]
    assert listed[:5] == made
    assert len(set(listed)) == len(listed)
    page = batches.list(limit=2)
    assert [batch.id for batch in page.get_next_page().data] == made[2:4]
    backwards = [batch.id for batch in batches.list(limit=2, before_id=made[-1])]
    assert sorted(backwards) == sorted(made[:4])


def test_ended_batch_is_deleted(sdk: anthropic.Anthropic) -> None:
    batches = sdk.messages.batches
    made = batches.create(requests=requests(ASK))
    when(sdk, made.id, has_ended)
    deleted = batches.delete(made.id)
    assert (deleted.id, deleted.type) == (made.id, "message_batch_deleted")
    with pytest.raises(anthropic.NotFoundError, match=f"Message Batch {made.id} not found"):
        batches.retrieve(made.id)
    assert made.id not in [batch.id for batch in batches.list(limit=100)]


def test_batch_under_way_is_neither_deleted_nor_read(sdk: anthropic.Anthropic) -> None:
    batches = sdk.messages.batches
    made = batches.create(requests=requests(SLOW))
    with pytest.raises(anthropic.BadRequestError, match="In progress batches cannot be deleted"):
        batches.delete(made.id)
    with pytest.raises(anthropic.AnthropicError, match="No `results_url`"):
        batches.results(made.id)
    with pytest.raises(anthropic.NotFoundError, match="has no available results"):
        sdk.get(f"/v1/messages/batches/{made.id}/results", cast_to=object)
    batches.cancel(made.id)
    when(sdk, made.id, has_ended)
    with pytest.raises(anthropic.BadRequestError, match="has ended"):
        batches.cancel(made.id)


def test_refused_batch_raises_the_class_of_its_error(sdk: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="at least 1 item"):
        sdk.messages.batches.create(requests=[])
    twice = [{"custom_id": "same", "params": ASK}] * 2
    with pytest.raises(anthropic.BadRequestError, match="Duplicate custom_id found: same"):
        sdk.messages.batches.create(requests=twice)  # type: ignore[arg-type]  # a dict of Any
    wrong = sdk.with_options(api_key="sk-antiphon-wrong")
    with pytest.raises(anthropic.AuthenticationError):
        wrong.messages.batches.create(requests=requests(ASK))
    with pytest.raises(anthropic.NotFoundError):
        sdk.messages.batches.retrieve("msgbatch_01unknown")


def test_results_url_names_the_host_and_the_scheme_that_the_client_used(
    program: Program, sdk: anthropic.Anthropic
) -> None:
    made = sdk.messages.batches.create(requests=requests(ASK))
    when(sdk, made.id, has_ended)
    path = f"/v1/messages/batches/{made.id}/results"
    port = program.url.rpartition(":")[2]
    for headers, base in (
        ({"x-forwarded-proto": "https"}, program.url.replace("http:", "https:")),
        ({"host": f"localhost:{port}"}, f"http://localhost:{port}"),
        ({"host": "ai.example.org", "x-forwarded-proto": "https"}, "https://ai.example.org"),
        (
            {"x-forwarded-host": "ai.example.org", "x-forwarded-proto": "https, http"},
            "https://ai.example.org",
        ),
    ):
        batch = sdk.messages.batches.retrieve(made.id, extra_headers=headers)
        assert batch.results_url == base + path
    local = sdk.with_options(base_url=f"http://localhost:{port}")
    assert [line.custom_id for line in local.messages.batches.results(made.id)] == ["r0"]


@pytest.mark.anyio
async def test_async_client_works_with_batches_as_well(program: Program) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=program.url, auth_token=KEY, max_retries=0
    ) as client:
        batches = client.messages.batches
        made = await batches.create(requests=requests(ASK, ASK))
        with anyio.fail_after(PATIENCE_S):
            while (await batches.retrieve(made.id)).processing_status != "ended":  # noqa: ASYNC110 - of the server
                await anyio.sleep(0.05)
        lines = [line async for line in await batches.results(made.id)]
        assert [line.result.type for line in lines] == ["succeeded", "succeeded"]
        assert made.id in [batch.id async for batch in batches.list(limit=1)]
        assert (await batches.delete(made.id)).id == made.id
