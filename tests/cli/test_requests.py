"""`antiphon requests`: what it lists, and how it explains a request."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from antiphon.core.billing.price_list import price_for
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.limits.values import Scope
from antiphon.core.request_records import BreakpointUse, CacheUse, RequestFacts, RequestRecord
from antiphon.service.installation import opened_database
from antiphon.settings import Settings
from antiphon.store.ledger import add_entries
from antiphon.store.request_log import add_requests
from antiphon.wire.admin.limits import BucketInfo
from cli.conftest import Shell
from support.ledger import an_entry

NOW = datetime.now(UTC)


def a_record(number: int = 1, **fields: Any) -> RequestRecord:
    given: dict[str, Any] = {
        "id": f"req_{number}",
        "ended_at": NOW - timedelta(minutes=number),
        "route": "/v1/messages",
        "status": 200,
        "model": "claude-opus-5-5",
        "served_model": "small",
        "duration_us": 1_234_567,
        **fields,
    }
    return RequestRecord(**given)


def refused(number: int, by: RefusedBy, **fields: Any) -> RequestRecord:
    more = {"status": 429, "error_type": "rate_limit_error", "served_model": None, **fields}
    return a_record(number, facts=RequestFacts(refused_by=by), **more)


def write(
    shell: Shell, records: Sequence[RequestRecord], bills: int = 0, searches: int = 0
) -> None:
    async def run() -> None:
        settings = Settings.load({"data_dir": shell.data_dir}, environ={})
        async with opened_database(settings) as database, database.write() as connection:
            await add_requests(connection, records)
            billed = [an_entry(number, NOW, searches) for number in range(1, 1 + bills)]
            await add_entries(connection, billed)

    asyncio.run(run())


def test_requests_are_listed_with_names_and_filtered(shell: Shell) -> None:
    key = shell.json("keys create laptop")["id"]
    limit = RefusedBy(kind="queue", limit=5)
    write(
        shell,
        [
            a_record(1, api_key_id=key),
            a_record(2, model="small"),
            refused(3, limit, status=529, error_type="overloaded_error"),
            a_record(600),
        ],
    )
    table = shell("requests list").splitlines()
    assert len(table) == 5
    assert "laptop" in table[1]
    assert "overloaded_error" in table[3]
    assert "1,235 ms" in table[1]

    def ids(line: str) -> list[str]:
        return [one["id"] for one in shell.json(f"requests list {line}")]

    assert ids("--limit 2") == ["req_1", "req_2"]
    assert ids("--since 1h") == ["req_1", "req_2", "req_3"]
    assert ids("--key laptop") == ["req_1"]
    assert ids("--model small") == ["req_2"]
    assert ids("--status failed") == ids("--error overloaded_error") == ["req_3"]
    assert ids("--status refused") == []
    assert ids("--workspace Default --model small --limit 9") == ["req_2"]
    assert shell("requests list --status refused") == (
        "There are no such requests in the request log.\n"
    )
    assert shell.misunderstood("requests list --limit 0") == (
        "argument --limit: '0' is no number from 1 to 1000"
    )


def test_request_is_explained_in_sentences(shell: Shell) -> None:
    key = shell.json("keys create laptop")["id"]
    cache = CacheUse(
        read=100,
        written=5,
        planned_read=300,
        reason="engine-had-less",
        breakpoints=(
            BreakpointUse(tokens=100, ttl="5m", state="read"),
            BreakpointUse(tokens=105, ttl="1h", state="kept_none"),
        ),
    )
    price = price_for("claude-opus-5-5", "small", None)
    whole = a_record(
        1,
        api_key_id=key,
        batch_id="msgbatch_1",
        queue_us=1000,
        prefill_us=2000,
        decode_us=3000,
        cost=5_000_000,
        facts=RequestFacts(cache=cache, price=price),
    )
    write(shell, [whole], bills=1)
    assert shell.json("requests show req_1")["recorded"] is True
    said = shell("requests show req_1").splitlines()
    workspace = next(line for line in said if line.startswith("workspace"))
    times = "1 ms waiting for the model, 2 ms to the first token, 3 ms from there to the end"
    used = "100 tokens read from memory of 300 planned, 5 written"
    assert [line for line in said if line is not workspace] == [
        f"request    req_1, ended {whole.ended_at:%F %T} UTC",
        "status     200",
        f"key        laptop ({key})",
        "model      claude-opus-5-5, answered by small",
        f"time       1,235 ms in all, {times}",
        "batch      msgbatch_1",
        f"cache      {used}; not more: engine-had-less",
        "           breakpoint after 100 tokens (5m): read",
        "           breakpoint after 105 tokens (1h): not kept by the engine",
        *(line for line in said if line.startswith("cost")),
        "           $0.005 in all",
    ]
    assert [line for line in said if line.startswith("cost")] == [
        "cost       $0.00004 for 10 input tokens at $4.00/M",
        "cost       $0.000015 for 3 tokens kept for 5 minutes at $5.00/M",
        "cost       $0.000016 for 2 tokens kept for an hour at $8.00/M",
        "cost       $0.00002 for 100 tokens read from the prompt cache at $0.20/M",
        "cost       $0.00014 for 7 output tokens at $20.00/M",
    ]


def test_engine_user_and_wait_for_money_are_told(shell: Shell) -> None:
    several = a_record(1, engine="llama", engine_number=2, money_us=4000)
    from_a_file = a_record(3, batch_id="msgbatch_1")
    write(shell, [several, a_record(2, engine="llama", account_id="user_gone"), from_a_file])
    said = shell("requests show req_1")
    assert "engine     llama, number 2\n" in said
    assert "4 ms waiting for money that running requests held" in said
    said = shell("requests show req_2")
    assert "engine     llama\n" in said
    assert "key        none: removed (user_gone) in the Console\n" in said
    said = shell("requests show req_3")
    assert "key        none: the batch was created at the command line\n" in said


def test_refusals_are_explained_by_their_limit(shell: Shell) -> None:
    bucket = BucketInfo(
        scope=Scope.WORKSPACE,
        scope_id="wrkspc_1",
        type="requests_per_minute",
        limit=5,
        remaining=0,
        full_in_ms=60_000,
    )
    rate = RefusedBy(
        kind="rate_limit",
        limit=5,
        scope=Scope.WORKSPACE,
        scope_id="wrkspc_1",
        type="requests_per_minute",
        retry_after_ms=12_000,
        buckets=(bucket,),
    )
    money = RefusedBy(
        kind="spend_limit", limit=10**9, scope=Scope.KEY, scope_id="apikey_1", type="daily"
    )
    write(
        shell,
        [
            refused(1, rate, api_key_id="apikey_gone", workspace_id="wrkspc_gone"),
            refused(2, money),
            refused(3, replace(money, held=True)),
            refused(4, RefusedBy(kind="queue", limit=9), model=""),
        ],
    )
    said = shell("requests show req_1")
    assert "key         removed (apikey_gone)\nworkspace   removed (wrkspc_gone)\n" in said
    assert "refused by  5 requests a minute of workspace wrkspc_1\n" in said
    assert "0 of 5 requests a minute were left of workspace wrkspc_1, all in 60 s" in said
    said = shell("requests show req_2")
    assert "key         unknown\n" in said
    assert "refused by  $1.00 spending a day of key apikey_1\n" in said
    assert "held for requests that were running" in shell("requests show req_3")
    said = shell("requests show req_4")
    assert "a full queue: 9 requests were waiting for the model" in said
    assert "\nmodel" not in said


def test_request_of_the_ledger_alone_is_explained(shell: Shell) -> None:
    write(shell, [], bills=1)
    assert "told from the ledger: it is not in the request log" in shell("requests show req_1")
    assert shell.complaint("requests show req_9").startswith(
        "there is no request 'req_9' in the request log, nor in the ledger"
    )


def test_searches_of_the_web_are_a_line_of_the_bill(shell: Shell) -> None:
    write(shell, [], bills=1, searches=2)
    assert "cost       $0.02 for 2 searches of the web\n" in shell("requests show req_1")
