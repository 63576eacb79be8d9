"""Records what a real SGLang answers, for the tests that have none.

    cd tests && python -m support.sglang_recorder URL MODEL_FOLDER

It needs an SGLang 0.5.23 with the default model, started as `support.real_sglang` starts it. One
that was started with `--incremental-streaming-output` is recorded by a further argument, its URL.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import httpx2

from antiphon.engines.token_server.vocabulary import open_vocabulary

FILE: Final = Path(__file__).parents[1] / "engines" / "sglang" / "recorded.json"
LONG: Final = "One two three. " * 60
ASKED: Final[dict[str, dict[str, Any]]] = {
    "limit": {"text": "Tell me of the sea.", "max_new_tokens": 6, "stream": True},
    "end": {"text": "What is the capital of France?", "max_new_tokens": 40, "stream": True},
    "grammar": {
        "text": "Yes or no?",
        "max_new_tokens": 16,
        "ebnf": 'root ::= "maybe"',
        "stream": True,
    },
    "characters": {
        "text": "Say it.",
        "max_new_tokens": 40,
        "ebnf": 'root ::= " 🦜é 漢字\\n <|im_start|> 1.5"',
        "stream": True,
    },
    "cold": {"text": LONG, "max_new_tokens": 1, "extra_key": "recorded"},
    "warm": {"text": LONG, "max_new_tokens": 1, "extra_key": "recorded"},
    "other namespace": {"text": LONG, "max_new_tokens": 1, "extra_key": "other"},
    "warm stream": {"text": LONG, "max_new_tokens": 2, "extra_key": "recorded", "stream": True},
    "priority": {"text": "Hi", "max_new_tokens": 1, "priority": -100},
    "too long": {"input_ids": [28] * 4200, "max_new_tokens": 5, "stream": True},
    "more than fits": {"input_ids": [28] * 4085, "max_new_tokens": 50, "stream": True},
    "longer than it takes": {"input_ids": [28] * 4092, "max_new_tokens": 1, "stream": True},
    "wrong grammar": {"text": "Hi", "max_new_tokens": 1, "ebnf": "root ::= (", "stream": True},
}
"""Requests by their names; a `text` is said by a user."""
INCREMENTAL: Final = "limit"
"""What is asked a second server, whose events have new tokens only."""
PLACES: Final = {
    "models": "/v1/models",
    "model_info": "/model_info",
    "server_info": "/server_info",
}
KEPT: Final = {
    "version",
    "model_path",
    "max_req_input_len",
    "enable_priority_scheduling",
    "schedule_low_priority_values_first",
    "incremental_streaming_output",
    "tokenizer_path",
    "served_model_name",
    "is_generation",
}
"""What is kept of the long lists that a server tells of itself."""
CHAT: Final = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
OF_BODY: Final = {"stream", "extra_key", "priority", "input_ids"}


def bodies(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the requests for the model of a folder."""
    vocabulary = open_vocabulary("m", (folder / "tokenizer.json").read_bytes())
    found = {}
    for name, asked in ASKED.items():
        body = {key: value for key, value in asked.items() if key in OF_BODY}
        if "text" in asked:
            text = CHAT.format(asked["text"])
            body["input_ids"] = list(vocabulary.tokens(text, control=True))
        sampling = {key: asked[key] for key in ("max_new_tokens", "ebnf") if key in asked}
        body["sampling_params"] = {**sampling, "temperature": 0.0}
        found[name] = body
    return found


def record(url: str, folder: Path, incremental: str | None) -> dict[str, Any]:
    with httpx2.Client(timeout=300.0) as client:
        asked = bodies(folder)
        found = {name: client.get(url + path) for name, path in PLACES.items()}
        for name, body in asked.items():
            found[name] = client.post(f"{url}/generate", json=body)
        if incremental is not None:
            body = asked[INCREMENTAL]
            found["incremental"] = client.post(f"{incremental}/generate", json=body)
    return {
        name: {
            "status": answer.status_code,
            "kind": answer.headers["content-type"].partition(";")[0],
            "text": _kept(name, answer.text),
        }
        for name, answer in found.items()
    }


def _kept(name: str, text: str) -> str:
    if name in {"model_info", "server_info"}:
        text = json.dumps({key: one for key, one in json.loads(text).items() if key in KEPT})
    text = re.sub(r'"id":"[0-9a-f]{32}"', '"id":"1"', text)
    return re.sub(r'("model_path"|"tokenizer_path"): "[^"]*"', r'\1: "/models/hf"', text)


if __name__ == "__main__":
    at, model, *second = sys.argv[1:]
    recorded = record(at, Path(model), second[0] if second else None)
    FILE.write_text(json.dumps(recorded, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
