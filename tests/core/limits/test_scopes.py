from antiphon.core.limits.values import Scope


def test_scopes_have_the_names_of_the_api() -> None:
    assert [scope.wire for scope in Scope] == ["organization", "workspace", "api_key"]
