import pytest

pytestmark = pytest.mark.anyio

ARTIFACT = {
    "name": "Artifact",
    "input_schema": {
        "type": "object",
        "properties": {
            "title": {
                "type": "string",
                "pattern": r'^(?!__.*__$)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}"\\./[\]]{1,200}$',
            },
            "size": {"type": "string", "pattern": "^[a-z]{1,100000}$"},
        },
        "required": ["title", "size"],
        "additionalProperties": False,
    },
}
WEATHER = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "tool", "name": "Artifact"}, {"type": "auto"}]
)
async def test_tool_with_an_unsupported_pattern_takes_no_other_down(client, choice) -> None:
    caller = await client()
    answer = await caller.create(tools=[WEATHER, ARTIFACT], tool_choice=choice)
    assert answer.status == 200
    for block in answer.json["content"]:
        if block["type"] == "tool_use" and block["name"] == "Artifact":
            assert isinstance(block["input"]["title"], str)
            assert block["input"]["size"].isalpha()


async def test_strict_tool_with_an_unsupported_pattern_is_refused(client) -> None:
    answer = await (await client()).create(tools=[WEATHER, ARTIFACT | {"strict": True}])
    assert answer.error[0] == 400
    assert answer.error[2].startswith("tools.1.custom: 'pattern' ")


async def test_list_of_items_is_refused_and_an_empty_enum_is_not(client) -> None:
    caller = await client()
    pair = {"type": "array", "items": [{"type": "number"}, {"type": "number"}]}
    schema = {"type": "object", "properties": {"x": pair}}
    answer = await caller.create(tools=[{"name": "a", "input_schema": schema}])
    assert answer.error[0] == 400
    assert answer.error[2].startswith("tools.0.custom.input_schema: JSON schema is invalid")
    schema = {"type": "object", "properties": {"x": {"enum": []}}}
    for choice in ({"type": "auto"}, {"type": "any"}):
        tools = [{"name": "a", "input_schema": schema}]
        assert (await caller.create(tools=tools, tool_choice=choice)).status == 200
