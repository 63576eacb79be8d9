import os
from pathlib import Path

import pytest

from antiphon.engines.llama.child_environment import child_environment
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child

pytestmark = pytest.mark.anyio

SECRETS = (
    "ANTIPHON_API_KEY",
    "ANTIPHON_ADMIN_KEY",
    "ANTIPHON_DATABASE_URL",
    "ANTIPHON_LLAMA_API_KEY",
    "ANTHROPIC_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "DATABASE_URL",
    "HF_TOKEN",
    "LLAMA_API_KEY",
    "PGPASSWORD",
    "PIP_INDEX_URL",
    "HTTPS_PROXY",
)


@pytest.mark.parametrize("name", SECRETS)
def test_secret_of_the_parent_is_not_passed_on(name: str) -> None:
    assert child_environment({name: "hunter2", "PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "name", ["PATH", "LC_ALL", "GOMP_SPINCOUNT", "CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"]
)
def test_variable_of_the_libraries_is_passed_on(name: str) -> None:
    assert child_environment({name: "1"}) == {name: "1"}


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs the proc of Linux")
async def test_environment_of_a_running_child_has_no_secret(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2")
    options = LlamaOptions(context=256, slots=1, threads=1)
    child = await start_child(child_config(options, tiny_model, None), 60)
    try:
        seen = environment_of(child.pid)
    finally:
        await child.aclose()
    assert f"PATH={os.environ['PATH']}".encode() in seen
    assert b"hunter2" not in seen
