import pytest

from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.options import available_cores, decode_options


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"slots": 0}, "the option `slots` is wrong: should be a whole number from 1 to 256."),
        (
            {"slots": "4"},
            "the option `slots` is wrong: should be a whole number from 1 to 256, not text.",
        ),
        ({"slot": 4}, "unknown name 'slot' (did you mean 'slots'?)."),
        (
            {"context": 8_000_001},
            "the option `context` is wrong: should be a whole number from 0 to 8000000.",
        ),
        (
            {"gpu_layers": -2},
            "the option `gpu_layers` is wrong: should be a whole number of at least -1.",
        ),
    ],
)
def test_bad_option_is_named(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(EngineStartError) as caught:
        decode_options("m", options)
    assert str(caught.value) == f"Model `m`: {complaint}"


def test_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(EngineStartError, match="`url` is wrong"):
        decode_options("m", {"url": "localhost:8080"})


def test_api_key_is_hidden_in_the_repr_of_options() -> None:
    assert "secret" not in repr(decode_options("m", {"api_key": "secret"}))


def test_threads_never_exceed_the_cores() -> None:
    assert decode_options("m", {"threads": 64}).threads_of(4) == 4
    assert decode_options("m", {"threads": 2}).threads_of(4) == 2
    assert decode_options("m", {}).threads_of(4) == 4


def test_cores_in_a_container_follow_its_share_of_the_cpu() -> None:
    assert available_cores((0.5,)) == available_cores((8.0, 1.0)) == 1
    assert available_cores((1e6,)) == available_cores(()) >= 1
