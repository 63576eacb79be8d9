"""How the models of a server do, over HTTP: queues, speed, engines, and what whom is told."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from antiphon.engines.base import Engine, EngineConfig, EngineErrorKind
from antiphon.engines.registry import open_engine
from antiphon.engines.states import (
    EngineFailure,
    EngineMemory,
    EngineSpeeds,
    EngineState,
)
from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.settings import EngineSettings, ModelSettings
from support.asgi import HELLO
from support.console import get, member, set_up
from support.organization import (
    ADMIN,
    NOON,
    Clock,
    Organization,
    StartOrganization,
    StartPlatform,
)

pytestmark = pytest.mark.anyio

UNKNOWN = ("waiting", "slots", "busy_slots", "left_out_s", "restarts", "last_failure", "last_error")
SLOW = {"text": "One two three.", "delay_s": 60.0}
MEMORY = EngineMemory(process=900, batch_process=700, weights=500, kv_per_token=2, kv=400)
STATE = EngineState(
    slots=4,
    busy_slots=3,
    waiting=2,
    restarts=1,
    failure=EngineFailure("/models/secret.gguf: out of memory", 90.0),
    memory=MEMORY,
    speeds=EngineSpeeds(prefill=812.34, decode=41.26),
)
SECONDS_90_AGO = "2026-11-23T11:58:30Z"


async def open_telling(name: str, config: EngineConfig) -> Engine:
    """Open an engine that tells of itself as llama.cpp does."""
    engine: Any = await open_engine(name, config)
    if config.model == "telling":
        engine.state = lambda: STATE
    return engine


@pytest.mark.covers("administration: GET /models", "effect")
async def test_model_tells_its_queue_and_nothing_that_it_does_not_know(
    organization: StartOrganization,
) -> None:
    org = await organization(replies=[{"when": "slow", **SLOW}])
    (model,) = (await org.get("/models"))["data"]
    assert (model["id"], model["type"], model["status"]) == ("scripted", "model_state", "ready")
    assert model["context_tokens"] == model["max_output_tokens"] > 0
    (engine,) = model["engines"]
    assert (engine["number"], engine["engine"], engine["status"]) == (1, "scripted", "ready")
    assert [engine[name] for name in UNKNOWN] == [None] * len(UNKNOWN)
    assert (engine["memory"], engine["speed"]) == (None, None)
    said = {**HELLO, "messages": [{"role": "user", "content": "slow"}]}
    call = org.caller.start("POST", "/v1/messages", said)
    while not (model := (await org.get("/models"))["data"][0])["running"]:
        pass
    assert (model["waiting"], model["batch_running"], model["batch_waiting"]) == (0, 0, 0)
    assert model["engines"][0]["running"] == 1
    call.hang_up()
    await call.task


async def test_speed_and_last_error_are_those_of_the_requests(platform: StartPlatform) -> None:
    ticks = count()
    options = {"replies": [{"when": "break", "error": "failed"}], "text": "One two three four."}
    started = await platform(
        {"admin_key": ADMIN}, now=lambda: NOON + timedelta(milliseconds=next(ticks)), **options
    )
    org = Organization(started, Clock())
    assert (await org.caller.create()).status == 200
    speed = (await org.get("/models"))["data"][0]["engines"][0]["speed"]
    assert speed["measured_by"] == "server"
    assert speed["prefill_tokens_per_second"] > 0
    assert speed["decode_tokens_per_second"] > 0
    said = {**HELLO, "messages": [{"role": "user", "content": "break"}]}
    assert (await org.caller.post("/v1/messages", said)).status == 500
    engine = (await org.get("/models"))["data"][0]["engines"][0]
    assert engine["last_error"]["kind"] == "failed"
    assert engine["last_error"]["at"].startswith("2026-11-23T1")


async def test_engine_that_is_left_out_says_so(organization: StartOrganization) -> None:
    broken = {"replies": [{"when": "", "error": EngineErrorKind.OVERLOADED.value}]}
    pair = ModelSettings(
        id="pair",
        engines=(
            EngineSettings(engine="scripted", options=broken),
            EngineSettings(engine="scripted", options={"text": "Hi."}, weight=1),
        ),
    )
    org = await organization(others=[pair])
    assert (await org.caller.post("/v1/messages", {**HELLO, "model": "pair"})).status == 200
    model = (await org.get("/models"))["data"][1]
    assert model["status"] == "ready"
    first, second = model["engines"]
    assert (first["status"], second["status"]) == ("left_out", "ready")
    assert 0 < first["left_out_s"] <= 1.0
    assert first["last_error"]["kind"] == "overloaded"
    assert (second["left_out_s"], second["last_error"]) == (0.0, None)


async def test_memory_and_the_reason_of_an_end_are_for_who_sees_everything(
    organization: StartOrganization,
) -> None:
    telling = ModelSettings(id="telling", engine="scripted")
    org = await organization(others=[telling], open_engine=open_telling)
    administrator = await set_up(org)
    for seen in (await org.get("/models"), await get(administrator, "/models")):
        (engine,) = seen["data"][1]["engines"]
        assert [engine[name] for name in ("slots", "busy_slots", "waiting")] == [4, 3, 2]
        assert engine["restarts"] == 1
        assert engine["last_failure"] == {
            "at": SECONDS_90_AGO,
            "reason": "/models/secret.gguf: out of memory",
        }
        assert engine["memory"] == {
            "process_bytes": 900,
            "batch_process_bytes": 700,
            "weights_bytes": 500,
            "kv_bytes_per_token": 2,
            "kv_bytes": 400,
        }
        assert engine["speed"] == {
            "prefill_tokens_per_second": 812.3,
            "decode_tokens_per_second": 41.3,
            "measured_by": "engine",
        }
    for role in ("developer", "user"):
        browser, _ = await member(org, f"a-{role}", role)
        (engine,) = (await get(browser, "/models"))["data"][1]["engines"]
        assert engine["last_failure"] == {"at": SECONDS_90_AGO, "reason": None}
        assert (engine["memory"], engine["restarts"], engine["slots"]) == (None, 1, 4)
    browser, _ = await member(org, "bill", "billing")
    assert (await browser.get(f"{ORGANIZATIONS_PATH}/models")).status == 403
