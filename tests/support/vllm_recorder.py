"""Records what a real vLLM answers, for the tests that have none.

    cd tests && python -m support.vllm_recorder URL MODEL_FOLDER

It needs a vLLM 0.32 with the default model, started as `support.real_vllm` starts it.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import httpx2

from antiphon.engines.token_server.vocabulary import open_vocabulary

FILE: Final = Path(__file__).parents[1] / "engines" / "vllm" / "recorded.json"
STREAM: Final = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    "return_token_ids": True,
    "skip_special_tokens": False,
}
ASKED: Final[dict[str, dict[str, Any]]] = {
    "limit": {"text": "Tell me of the sea.", "max_tokens": 6, **STREAM},
    "end": {"text": "What is the capital of France?", "max_tokens": 40, **STREAM},
    "grammar": {
        "text": "Yes or no?",
        "max_tokens": 16,
        "structured_outputs": {"grammar": 'root ::= "maybe"'},
        **STREAM,
    },
    "characters": {
        "text": "Say it.",
        "max_tokens": 40,
        "structured_outputs": {"grammar": 'root ::= " 🦜é 漢字\\n <|im_start|> 1.5"'},
        **STREAM,
    },
    "stop": {
        "text": "Say it.",
        "max_tokens": 40,
        "structured_outputs": {"grammar": 'root ::= "one two three" [a-z ]*'},
        "stop": ["two t"],
        **STREAM,
    },
    "echo": {"text": "Zürich 東京 🦜", "max_tokens": 1, "echo": True},
    "cold": {"text": "One two three. " * 60, "max_tokens": 1, "cache_salt": "recorded"},
    "warm": {"text": "One two three. " * 60, "max_tokens": 1, "cache_salt": "recorded"},
    "priority": {"text": "Hi", "max_tokens": 1, "priority": 100},
    "unknown token": {"prompt": [10_000_000], "max_tokens": 1},
    "too long": {"prompt": [28] * 4200, "max_tokens": 5},
    "more than fits": {"prompt": [28] * 4090, "max_tokens": 50},
    "unknown model": {"text": "Hi", "max_tokens": 1, "model": "other"},
    "wrong grammar": {
        "text": "Hi",
        "max_tokens": 1,
        "structured_outputs": {"grammar": "root ::= ("},
        **STREAM,
    },
}
"""Requests by their names; a `text` is said by a user."""
PLACES: Final = {"models": "/v1/models", "version": "/version"}
CHAT: Final = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def bodies(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the requests for the model of a folder."""
    vocabulary = open_vocabulary("m", (folder / "tokenizer.json").read_bytes())
    found = {}
    for name, asked in ASKED.items():
        body = {"model": "smollm2", "temperature": 0.0, **asked}
        if (text := body.pop("text", None)) is not None:
            given = text if name == "echo" else CHAT.format(text)
            body["prompt"] = list(vocabulary.tokens(given, control=name != "echo"))
        found[name] = body
    return found


def record(url: str, folder: Path) -> dict[str, Any]:
    """Send the requests, and return the answers by their names."""
    with httpx2.Client(base_url=url, timeout=120.0) as client:
        found = {name: _answer(client.get(path)) for name, path in PLACES.items()}
        for name, body in bodies(folder).items():
            found[name] = _answer(client.post("/v1/completions", json=body))
    return found


def _answer(answer: httpx2.Response) -> dict[str, Any]:
    kind = answer.headers["content-type"].partition(";")[0]
    # The folder is none of the server's words.
    text = re.sub(r'"root":"[^"]*"', '"root":"hf"', answer.text)
    return {"status": answer.status_code, "kind": kind, "text": text}


if __name__ == "__main__":
    recorded = record(sys.argv[1], Path(sys.argv[2]))
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in recorded.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(recorded)} answers are in {FILE}.")  # noqa: T201 - it is a command
