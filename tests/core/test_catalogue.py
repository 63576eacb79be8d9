import pytest

from antiphon.core.catalogue import Catalogue


def test_model_answers_to_its_own_id() -> None:
    assert Catalogue({"one": [], "two": []}).resolve("two") == "two"


def test_model_answers_to_its_aliases() -> None:
    assert Catalogue({"one": ["uno", "eins"]}).resolve("eins") == "one"


def test_unknown_name_resolves_to_no_model() -> None:
    assert Catalogue({"one": ["uno", "claude-*"]}).resolve("two") is None


def test_ids_keep_their_order() -> None:
    assert Catalogue({"two": ["claude-*"], "one": []}).ids == ("two", "one")


@pytest.mark.parametrize(
    ("alias", "name"),
    [("claude-*", "claude-opus-5-5"), ("*", "anything at all"), ("*", ""), ("gpt-?", "gpt-5")],
)
def test_wildcard_takes_the_names_that_it_matches(alias: str, name: str) -> None:
    assert Catalogue({"one": [alias]}).resolve(name) == "one"


@pytest.mark.parametrize("name", ["Claude-opus", "my-claude-opus", "gpt-10"])
def test_wildcard_matches_whole_names_and_their_case(name: str) -> None:
    assert Catalogue({"one": ["claude-*", "gpt-?"]}).resolve(name) is None


def test_id_comes_before_every_alias() -> None:
    assert Catalogue({"one": ["*", "t*"], "two": []}).resolve("two") == "two"


def test_exact_alias_comes_before_every_wildcard() -> None:
    catalogue = Catalogue({"one": ["claude-*"], "two": ["claude-haiku"]})
    assert catalogue.resolve("claude-haiku") == "two"


def test_first_of_two_wildcards_wins() -> None:
    catalogue = Catalogue({"one": ["claude-o*"], "two": ["claude-*", "claude-opus*"]})
    assert catalogue.resolve("claude-opus") == "one"
    assert catalogue.resolve("claude-haiku") == "two"


def test_model_answers_to_its_name_for_claude_code_before_every_wildcard() -> None:
    catalogue = Catalogue({"one": ["claude-*"], "two": []})
    assert catalogue.resolve("claude-local/two") == "two"
    assert catalogue.resolve("claude-local/one") == "one"
    assert catalogue.resolve("claude-local/three") == "one"


def test_alias_comes_before_the_name_for_claude_code() -> None:
    catalogue = Catalogue({"one": ["claude-local/two"], "two": []})
    assert catalogue.resolve("claude-local/two") == "one"


@pytest.mark.parametrize(
    "models",
    [
        {"one": ["x"], "two": ["x"]},
        {"one": ["two"], "two": []},
        {"one": ["claude-*"], "two": ["claude-*"]},
        {"one": ["*"], "two": ["gpt-?", "*"]},
    ],
    ids=str,
)
def test_name_of_two_models_is_refused(models: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="names two models"):
        Catalogue(models)


def test_repeated_alias_of_one_model_is_accepted() -> None:
    assert Catalogue({"one": ["uno", "uno", "one"]}).resolve("uno") == "one"
