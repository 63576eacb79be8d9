import pytest

from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SENTENCE = "name: Input should be printable characters, not only spaces"


async def test_name_may_be_any_readable_text(organization: StartOrganization) -> None:
    org = await organization()
    for number, name in enumerate(["田中\u3000太郎", "👨\u200d👩\u200d👧", "Projet\u00a0A"]):
        workspace = await org.post("/workspaces", {"name": name})
        assert workspace["name"] == name
        key = await org.post("/api_keys", {"name": f"\u3000{name} "})
        assert key["name"] == name
        renamed = await org.post(f"/api_keys/{key['id']}", {"name": f"{name}{number}"})
        assert renamed["name"] == f"{name}{number}"


@pytest.mark.parametrize("name", ["\u3000", "\u200d", "a\u202eb", "a\nb", "a\u2028b", "\u0000"])
async def test_name_that_cannot_be_read_is_refused(
    organization: StartOrganization, name: str
) -> None:
    org = await organization()
    for path in ("/workspaces", "/api_keys"):
        assert await org.refusal(path, {"name": name}) == (400, SENTENCE)


@pytest.mark.parametrize("extra", [1, 3_000_000])
async def test_long_name_is_refused(organization: StartOrganization, extra: int) -> None:
    org = await organization()
    invite = await org.invite()
    paths = {"/workspaces": 40, "/api_keys": 100, f"/invites/{invite['id']}/accept": 200}
    for path, most in paths.items():
        status, message = await org.refusal(path, {"name": "x" * (most + extra)})
        assert (status, message) == (400, f"name: String should have at most {most} characters")
