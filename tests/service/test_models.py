from pathlib import Path

import pytest

from antiphon.core.errors import NotFoundError, OverloadedError
from antiphon.core.pagination import IdCursor
from antiphon.engines.base import Engine, EngineConfig, EngineStartError
from antiphon.engines.registry import open_engine
from antiphon.service.models import LimitGroups, Models, ModelSource
from antiphon.settings import EngineSettings, ModelSettings, SettingsError

pytestmark = pytest.mark.anyio


def source(name: str, *aliases: str, **options: object) -> ModelSource:
    settings = ModelSettings(id=name, engine="scripted", aliases=aliases, options=options)
    return ModelSource(settings)


def models(*sources: ModelSource, opener=open_engine) -> Models:
    return Models(sources, Path("unused"), opener)


async def test_loading_model_is_overloaded() -> None:
    served = models(source("small", "claude-*"))
    assert not served.ready
    assert served.states() == {"small": "loading"}
    with pytest.raises(OverloadedError, match="The model is loading"):
        served.find("claude-x").engine()
    await served.open()
    assert served.ready
    assert served.find("claude-x").engine().ready
    await served.aclose()
    assert not served.ready


async def test_loading_model_is_listed_without_limits() -> None:
    served = models(source("small"))
    (loading,) = served.listing(IdCursor(limit=1)).data
    assert (loading.id, loading.display_name) == ("small", "small")
    assert (loading.max_input_tokens, loading.max_tokens, loading.capabilities) == (None,) * 3
    await served.open()
    (loaded,) = served.listing(IdCursor(limit=1)).data
    assert loaded.max_input_tokens
    assert loaded.capabilities
    await served.aclose()


async def test_an_unknown_name_is_not_found_in_the_words_of_the_wire() -> None:
    with pytest.raises(NotFoundError, match=r"^model: gpt-1$"):
        models(source("small", "claude-*")).find("gpt-1")


async def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two models have the id 'small'"):
        models(source("small"), source("small"))
    with pytest.raises(ValueError, match="'claude' names two models"):
        models(source("small", "claude"), source("large", "claude"))


def test_groups_know_their_models_by_every_name() -> None:
    groups = LimitGroups(
        [
            ModelSettings(id="small", aliases=("s-*",), limit_group="cheap"),
            ModelSettings(id="large", aliases=("s-9",)),
            ModelSettings(id="tiny", limit_group="cheap"),
        ]
    )
    assert groups.names == {"cheap": ["small", "s-*", "tiny"], "large": ["large", "s-9"]}
    found = {name: groups.of(name) for name in ("small", "s-1", "s-9", "tiny")}
    assert found == {"small": "cheap", "s-1": "cheap", "s-9": "large", "tiny": "cheap"}
    with pytest.raises(NotFoundError, match=r"^model: cheap$"):
        groups.of("cheap")


@pytest.mark.parametrize("reserved", ["token_count", "batch"])
def test_model_with_the_id_of_a_group_of_endpoints_is_refused(reserved: str) -> None:
    with pytest.raises(SettingsError, match=f"can be '{reserved}'"):
        LimitGroups([ModelSettings(id=reserved)])


async def test_models_are_listed_in_pages() -> None:
    served = models(source("a"), source("b"), source("c"))
    page = served.listing(IdCursor(limit=2))
    assert [model.id for model in page.data] == ["a", "b"]
    assert page.has_more
    rest = served.listing(IdCursor(limit=2, after_id=page.last_id))
    assert [model.id for model in rest.data] == ["c"]
    assert not rest.has_more


async def test_the_engines_that_were_opened_are_closed_when_a_later_one_fails() -> None:
    opened: list[Engine] = []

    async def opener(name: str, config: EngineConfig) -> Engine:
        opened.append(await open_engine(name, config))
        return opened[-1]

    served = models(source("good"), source("bad", nonsense=1), opener=opener)
    with pytest.raises(EngineStartError, match="nonsense"):
        await served.open()
    await served.aclose()
    assert [engine.ready for engine in opened] == [False]


def on_several(*options: dict[str, object]) -> ModelSource:
    engines = tuple(EngineSettings(engine="scripted", options=one) for one in options)
    return ModelSource(ModelSettings(id="both", engines=engines))


async def test_model_on_several_engines_has_their_common_capabilities() -> None:
    served = models(on_several({"context_tokens": 500}, {"context_tokens": 900}))
    await served.open()
    assert served.find("both").engine().capabilities.context_tokens == 500
    await served.aclose()
    assert not served.ready


async def test_the_engines_of_a_model_are_closed_when_one_of_them_fails() -> None:
    opened: list[Engine] = []

    async def opener(name: str, config: EngineConfig) -> Engine:
        opened.append(await open_engine(name, config))
        return opened[-1]

    served = models(on_several({}, {"nonsense": 1}), opener=opener)
    with pytest.raises(EngineStartError, match="nonsense"):
        await served.open()
    assert [engine.ready for engine in opened] == [False]


async def test_idle_use_is_taken_once_for_all_models_of_a_machine_and_each_upstream() -> None:
    other = ModelSettings(
        id="there",
        engine="chat_completions",
        options={"url": "http://127.0.0.1:9", "model": "m", "context_tokens": 9},
    )
    local = [source(name, computes_here=True) for name in ("small", "large")]
    served = models(*local, ModelSource(other))
    assert served.take_idle_uses() == {}
    await served.open()
    await served.find("there").gate.enter()
    taken = served.take_idle_uses()
    assert set(taken) == {"", "there"}
    assert [name for name, use in taken.items() if use.interactive] == ["there"]
    assert not any(use.interactive for use in served.take_idle_uses().values())
    await served.aclose()
