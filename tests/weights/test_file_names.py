import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.weights.file_names import (
    Part,
    answers_to,
    check_path,
    first_part,
    is_model,
    part_of,
    parts_of,
    quantization_of,
)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen3.5-4B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q4_k_m.gguf", "Q4_K_M"),
        ("Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0"),
        ("Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("m-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("m.i1-IQ4_XS.gguf", "IQ4_XS"),
        ("m-Q4_K_M-imat.gguf", "Q4_K_M"),
        ("m_Q4_0.gguf", "Q4_0"),
        ("m-BF16.gguf", "BF16"),
        ("m-f16.gguf", "F16"),
        ("m.gguf", None),
        ("qwen3-7b.gguf", None),
        ("Q4_K_M/model.gguf", None),
    ],
)
def test_quantization_is_read_from_the_end_of_the_name(path: str, label: str | None) -> None:
    assert quantization_of(path) == label


@pytest.mark.parametrize(
    ("path", "tag", "is_meant"),
    [
        ("m-Q4_K_M.gguf", "q4_k_m", True),
        ("m-UD-Q4_K_M.gguf", "Q4_K_M", True),
        ("m-Q4_K_M.gguf", "Q4", True),
        ("m-Q4_K_M.gguf", "K_S", False),
        ("m-7B-Q4_K_M.gguf", "7b", True),
        ("m-17B-Q4_K_M.gguf", "7b", False),
        ("m-Q4_K_M.gguf", ".*", False),
    ],
)
def test_tag_means_a_quantization_or_a_word(path: str, tag: str, is_meant: bool) -> None:
    assert answers_to(path, tag) == is_meant


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("m.gguf", True),
        ("m-00001-of-00002.gguf", True),
        ("m-00002-of-00002.gguf", False),
        ("mmproj-F16.gguf", False),
        ("m-mmproj.gguf", False),
        ("imatrix.gguf", False),
        ("MTP/m-Q8_0.gguf", False),
        ("m.safetensors", False),
        ("../m.gguf", False),
    ],
)
def test_files_beside_a_model_are_none(path: str, is_one: bool) -> None:
    assert is_model(path) == is_one


@given(st.integers(1, 1000), st.data())
def test_parts_of_a_model_are_the_same_for_each_of_them(count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, count))
    name = f"a/m-{number:05}-of-{count:05}.gguf"
    parts = parts_of(name)
    assert len(parts) == count
    assert parts[number - 1] == name
    assert [part_of(part) for part in parts] == [Part(n, count) for n in range(1, count + 1)]
    assert first_part(name) == parts[0]
    assert check_path(name) is None


@given(st.text() | st.from_regex(r"[a./\\-]{1,12}\.gguf", fullmatch=True))
def test_allowed_path_stays_in_its_folder(path: str) -> None:
    if check_path(path) is None:
        assert not re.search(r"^/|//|(^|/)\.{1,2}(/|$)|[\\\x00-\x1f]", path)
        assert parts_of(path)[0].lower().endswith(".gguf")
        quantization_of(path)
