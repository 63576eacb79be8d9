"""Several processes with a real model: one host has it, and every process answers as if it did."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx2
import psutil
import pytest

from antiphon.engines.llama.process import CHILD
from support.conversation import eventually
from support.overseen import api_processes, descendants, engine_host, ready
from support.processes import KEY, Program, serving
from support.servers import environ

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.alone]

# Of an API that still takes a temperature.
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
BODY = {
    "model": "claude-x",
    "max_tokens": 8,
    "temperature": 0,
    "messages": [{"role": "user", "content": "What is the chemical symbol for water?"}],
}


def loaded(program: Program) -> list[psutil.Process]:
    """Return the processes of llama.cpp."""
    return [one for one in descendants(program) if CHILD in one.cmdline()]


async def ask(program: Program, path: str, **body: object) -> httpx2.Response:
    """Ask on a connection of its own, so that any of the processes may answer."""
    async with httpx2.AsyncClient(timeout=120) as client:
        return await client.post(f"{program.url}{path}", json=body, headers=HEADERS)


async def test_model_is_loaded_once_and_every_process_answers_alike(
    tmp_path: Path, default_model: Path
) -> None:
    small = environ(llama_context="2048", llama_threads="2")
    with serving(
        tmp_path, "--processes", "2", "--model", str(default_model), environ=small
    ) as program:
        assert set(api_processes(program)) == {1, 2}
        assert len(loaded(program)) == 1
        asked = Counter[int]()
        for _ in range(20):
            _, state = await asyncio.to_thread(ready, program)
            asked[state["process"]["number"]] += 1
        assert set(asked) == {1, 2}

        counted = {k: v for k, v in BODY.items() if k in {"model", "messages"}}
        counts, answers = set(), set()
        for _ in range(8):
            count = await ask(program, "/v1/messages/count_tokens", **counted)
            answer = await ask(program, "/v1/messages", **BODY)
            assert answer.status_code == 200, answer.text
            told = answer.json()
            counts.add((count.json()["input_tokens"], told["usage"]["input_tokens"]))
            answers.add(told["content"][0]["text"])
        ((count, billed),) = counts
        assert count == billed
        assert len(answers) == 1

        # A batch runs where the model is.
        batch = {"requests": [{"custom_id": "a", "params": BODY}]}
        made = (await ask(program, "/v1/messages/batches", **batch)).json()
        async with httpx2.AsyncClient(timeout=60, headers=HEADERS) as client:
            async with asyncio.timeout(60):
                while made["processing_status"] != "ended":
                    await asyncio.sleep(0.2)
                    made = (
                        await client.get(f"{program.url}/v1/messages/batches/{made['id']}")
                    ).json()
            results = (await client.get(made["results_url"])).text
        message = json.loads(results)["result"]["message"]
        assert message["content"][0]["text"] in answers

        # The host is killed: meanwhile requests wait, and no process is restarted.
        before = api_processes(program)
        psutil.Process(engine_host(program)).kill()
        answer = await ask(program, "/v1/messages", **BODY)
        assert answer.status_code in {200, 500, 529}
        await eventually(lambda: ready(program)[0] == 200, 60)
        answer = await ask(program, "/v1/messages", **BODY)
        assert answer.json()["content"][0]["text"] in answers
        assert api_processes(program) == before
        assert len(loaded(program)) == 1
        assert program.stop() == 0
