from typing import Any

import msgspec
import pytest

from antiphon.core.model_capabilities import model_capabilities
from antiphon.core.prompt import Capabilities

ALWAYS = {"batch", "citations", "pdf_input", "thinking.types.disabled"}


def claimed(**can: Any) -> set[str]:
    """The paths of all that is said to be supported."""
    found = msgspec.to_builtins(model_capabilities(Capabilities(context_tokens=1, **can)))
    return set(paths(found, ""))


def paths(node: Any, where: str) -> list[str]:
    if not isinstance(node, dict):
        return []
    below = [path for key, one in node.items() for path in paths(one, f"{where}.{key}")]
    return [where.removeprefix("."), *below] if node.get("supported") else below


@pytest.mark.parametrize(
    ("can", "more"),
    [
        ({}, set()),
        ({"tools": True, "forced_tools": True}, set()),
        ({"images": True}, {"image_input"}),
        ({"structured_outputs": True}, {"structured_outputs"}),
        ({"thinking": True}, {"thinking", "thinking.types.enabled", "thinking.types.adaptive"}),
        ({"efforts": ("low", "high")}, {"effort", "effort.low", "effort.high"}),
        ({"efforts": ("xhigh",)}, {"effort", "effort.xhigh"}),
    ],
)
def test_capabilities_of_a_model_are_listed(can: dict[str, Any], more: set[str]) -> None:
    assert claimed(**can) == ALWAYS | more
