"""`antiphon models recommended`: which models fit, and the command for each."""

import json
from pathlib import Path

import pytest

from antiphon.cli import main
from antiphon.cli.exam.result import ModelFacts, keep_result
from antiphon.cli.recommended import PAGE, size_of
from antiphon.engines.llama.options import available_cores
from antiphon.weights.catalogue import read_catalogue
from antiphon.weights.hub_names import HubSpec
from antiphon.weights.pull import open_model_store
from antiphon.weights.source import FetchedFile
from tests.cli.conftest import Shell
from tests.cli.test_exam import result as exam

ROOT = Path(__file__).parents[2]
PAGE_OF_IT = ROOT / PAGE


def test_models_for_a_machine_that_is_told_have_their_commands(shell: Shell) -> None:
    said = shell("models recommended --memory 8GiB")
    lines = said.splitlines()
    assert lines[0] == "For a machine with 8.6 GB free:"
    assert lines[2:8] == [
        "* lfm2.5-8b-a1b         5.1 GB, 128,000 tokens of context",
        "                        tools, thinking; LFM Open License 1.0; not run here",
        "                        antiphon serve --model lfm2.5-8b-a1b",
        "  qwen3.5-4b            2.7 GB, 152,064 tokens of context",
        "                        tools, thinking, images; Apache-2.0; not run here",
        "                        antiphon serve --model qwen3.5-4b",
    ]
    assert "* is the best for this: `antiphon serve --model lfm2.5-8b-a1b`" in lines
    # The page shows what is printed.
    assert "\n".join(lines[:8]) in PAGE_OF_IT.read_text(encoding="utf-8")
    assert "tokens/s" not in said
    assert "does not fit" not in said
    assert all(len(line) <= 80 for line in lines[:-2])


def test_models_of_the_first_page_are_those_that_are_printed(shell: Shell) -> None:
    page = ROOT / "docs/how-to/get-an-edit-on-8-gb.md"
    blocks = shell("models recommended --memory 7GB").splitlines()[2:11]
    assert "\n".join(blocks) in page.read_text(encoding="utf-8")


def test_whole_catalogue_is_listed_with_what_does_not_fit(shell: Shell) -> None:
    said = shell("models recommended --memory 8GiB --all")
    assert all(f"{model.name} " in said for model in read_catalogue())
    assert "  gpt-oss-120b          does not fit: it needs 65.4 GB" in said


def test_this_machine_is_measured(shell: Shell) -> None:
    found = shell.json("models recommended --all")
    assert found["machine"]["memory"] > 1 << 28
    assert 1e8 < found["machine"]["bandwidth"] < 1e13
    assert [model["name"] for model in found["models"] if model["fits"]] or not found["models"]
    (toy,) = (model for model in found["models"] if model["name"] == "smollm2-135m")
    assert toy["command"] == "antiphon serve --model smollm2-135m"
    assert toy["on_gpu"] or toy["estimated_tokens_per_s"] == pytest.approx(
        0.6 * found["machine"]["bandwidth"] / toy["size"], abs=0.1
    )


def test_what_is_measured_is_said(capsys: pytest.CaptureFixture[str], shell: Shell) -> None:
    main(["models", "recommended", "--data-dir", str(shell.data_dir)])
    said = " ".join(capsys.readouterr().out.split())
    assert f"{available_cores()} core" in said
    assert "/s (measured)." in said
    assert "Tokens/s are estimates: 60% of the measured speed of the memory" in said


def test_machine_that_is_too_small_for_real_work_is_told_what_it_takes(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["models", "recommended", "--memory", "2GB", "--data-dir", str(shell.data_dir)]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "No model that does real work fits: the smallest needs 2.9 GB." in said
    assert main([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["recommended"] is None


def test_gpu_that_is_told_has_the_model(shell: Shell) -> None:
    found = shell.json("models recommended --memory 8GiB --gpu-memory 20GB")
    assert found["recommended"] == "qwen3.6-27b"
    assert found["models"][0]["on_gpu"]


@pytest.mark.parametrize(("earned", "said"), [(True, "passed"), (False, "not passed")])
def test_model_that_was_examined_here_has_its_mark(shell: Shell, earned: bool, said: str) -> None:
    words = "models recommended --memory 8GiB"
    assert "examined" not in shell(words)
    spec = HubSpec("unsloth", "Qwen3.5-4B-GGUF", "Qwen3.5-4B-Q4_K_M.gguf")
    store = open_model_store(shell.data_dir)
    folder = store.folder(spec)
    folder.mkdir(parents=True)
    partial = folder / f"{spec.file}.partial"
    partial.write_bytes(b"GGUF1234")
    path = store.keep(spec, FetchedFile(partial, spec.file), "a" * 64)
    facts = ModelFacts(id="qwen3.5-4b", file=path.name, bytes=8)
    keep_result(exam(model=facts, earned=earned), path, shell.data_dir)
    lines = shell(words).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  qwen3.5-4b "))
    assert lines[at + 2] == f"{' ' * 24}examined here on 2026-11-29: {said}"
    found = {model["name"]: model["earned"] for model in shell.json(words)["models"]}
    assert (found["qwen3.5-4b"], found["lfm2.5-8b-a1b"]) == (earned, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 << 30), ("16 GB", 16_000_000_000), ("1.5g", 1_500_000_000), ("4096", 4096)],
)
def test_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert size_of(text) == size


def test_what_is_no_size_is_refused(shell: Shell) -> None:
    assert shell.complaint("models recommended --memory much") == (
        "'much' is no size, such as 8GiB, 16GB or 512MB"
    )
