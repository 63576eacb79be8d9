"""`antiphon limits`: requests for higher limits."""

from collections.abc import Callable

from cli.conftest import Shell

TWO_MODELS = """
[[models]]
id = "small"
engine = "scripted"
[[models]]
id = "large"
engine = "scripted"
"""


def test_request_is_asked_for_listed_and_granted(shell: Shell) -> None:
    shell("workspaces create research")
    shell("limits set --workspace research --requests 60 --spend 100/month")
    asked = shell.json("limits ask --workspace research --requests 90 --reason Launch")
    assert (asked["status"], asked["requested"], asked["asked_by"]["type"]) == (
        "open",
        90,
        "command_line",
    )
    said = shell("limits ask --workspace research --spend 250.50/month --reason Launch")
    assert said.startswith("Asked for $250.50 spending a month of the workspace research: limreq_")
    table = shell("limits increases")
    for cell in ("requests a minute for scripted", "workspace research", "$250.50", "command line"):
        assert cell in table
    money = next(one for one in shell.json("limits increases") if one["requested"] == "25050")
    assert shell(f"limits grant {asked['id']} --answer Fine") == (
        "Granted: 90 requests a minute for scripted.\n"
    )
    assert (
        shell(f"limits grant {money['id']} --amount 200") == "Granted: $200.00 spending a month.\n"
    )
    limits = shell("limits list --workspace research")
    assert "90" in limits
    assert "$200.00" in limits
    assert shell("limits increases") == "No request for a higher limit waits.\n"
    assert shell("limits increases --all").count("granted") == 2
    audit = shell("audit --object research")
    assert audit.count("limit_increase_request.grant") == 2


def test_request_is_refused_or_withdrawn(shell: Shell) -> None:
    assert shell("limits increases --all") == "Nobody has asked for a higher limit.\n"
    shell("limits set --organization --counts 10 --batch-calls 10")
    first = shell.json("limits ask --organization --counts 20 --reason Tests")
    second = shell.json("limits ask --organization --batch-calls 20 --reason Tests")
    assert shell(f"limits refuse {first['id']} Later") == (
        "Refused: the limit stays as it is (counts a minute).\n"
    )
    assert shell(f"limits withdraw {second['id']}") == f"Withdrawn: {second['id']}\n"
    states = [one["status"] for one in shell.json("limits increases --all")]
    assert sorted(states) == ["refused", "withdrawn"]
    assert shell.complaint(f"limits grant {first['id']}") == (
        "This increase request is refused already: nothing was changed now."
    )


def test_mistakes_are_told_without_a_request(configured: Callable[[str], Shell]) -> None:
    shell = configured(TWO_MODELS)
    ask = "limits ask --organization --reason x"
    one = "ask for one limit at a time; --help lists them"
    assert shell.complaint(ask) == one
    assert shell.complaint(f"{ask} --requests 5 --counts 6") == one
    assert shell.complaint(f"{ask} --requests 5") == (
        "--model says of which of these models: small, large"
    )
    assert shell.complaint(f"{ask} --requests 5 --model gone").startswith("no model answers to")
    assert "this is no increase" in shell.complaint(f"{ask} --requests 5 --model small")
    assert "no such limit is set" in shell.complaint(f"{ask} --spend 5/day")
    assert shell.json("limits increases --all") == []
    shell("limits set --organization --requests 5 --spend 5/day --model small")
    rate = shell.json(f"{ask} --requests 6 --model small")["id"]
    money = shell.json(f"{ask} --spend 6/day")["id"]
    assert shell.complaint(f"limits grant {rate} --amount x").startswith(
        "--amount: 'x' is no number"
    )
    assert shell.complaint(f"limits grant {money} --amount x") == (
        "--amount: 'x' is not like 100 or 2.50"
    )
    assert "lowers no limit" in shell.complaint(f"limits grant {rate} --amount 4")
    assert "lowers no limit" in shell.complaint(f"limits grant {money} --amount 4")
    assert shell.complaint("limits grant limreq_01no") == "Increase request limreq_01no not found."
