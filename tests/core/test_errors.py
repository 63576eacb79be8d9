import pytest

from antiphon.core import errors

# Sheet 03 section 2 of the reference, and the default messages of its schema.
CATALOGUE = [
    (errors.InvalidRequestError, 400, "invalid_request_error", "Invalid request"),
    (errors.AuthenticationError, 401, "authentication_error", "Authentication error"),
    (errors.PermissionError_, 403, "permission_error", "Permission denied"),
    (errors.NotFoundError, 404, "not_found_error", "Not found"),
    (errors.MethodNotAllowed, 405, "invalid_request_error", "Method Not Allowed"),
    (
        errors.RequestHeadTooLarge,
        431,
        "invalid_request_error",
        "The path and the headers of the request are too long",
    ),
    (errors.ConflictError, 409, "conflict_error", "Conflict"),
    (errors.RequestTooLarge, 413, "request_too_large", "Request exceeds the maximum size"),
    (errors.RateLimitError, 429, "rate_limit_error", "Rate limited"),
    (errors.InternalError, 500, "api_error", "Internal server error"),
    (errors.TimeoutError_, 504, "timeout_error", "Request timeout"),
    (errors.OverloadedError, 529, "overloaded_error", "Overloaded"),
]


@pytest.mark.parametrize(("kind", "status", "name", "message"), CATALOGUE)
def test_error_has_the_status_type_and_message_of_the_reference(
    kind: type[errors.ApiError], status: int, name: str, message: str
) -> None:
    error = kind()
    assert (error.status, error.type, error.message) == (status, name, message)
    assert str(error) == message


def test_table_of_errors_lists_every_api_error() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    known = {kind for kind in kinds if issubclass(kind, errors.ApiError)}
    assert known - {errors.ApiError} == {kind for kind, *_ in CATALOGUE}


def test_given_message_replaces_the_default() -> None:
    assert errors.NotFoundError("model: m").message == "model: m"


def test_empty_message_is_kept() -> None:
    assert not errors.NotFoundError("").message


def test_error_carries_its_code_and_headers() -> None:
    error = errors.RateLimitError(error_code="ramp_limit_exceeded", headers={"retry-after": "5"})
    assert (error.error_code, error.headers) == ("ramp_limit_exceeded", {"retry-after": "5"})
    assert error.details == {}


def test_error_carries_its_details() -> None:
    error = errors.InvalidRequestError(error_code="thread_unsupported_request", details={"a": [1]})
    assert error.details == {"a": [1]}


def test_errors_do_not_share_their_default_headers() -> None:
    one, other = errors.InternalError(), errors.InternalError()
    one.headers["x-should-retry"] = "true"
    assert other.headers == {}


def test_detail_of_an_error_has_details_only_with_a_code() -> None:
    plain = errors.error_detail(errors.NotFoundError("model: x"))
    assert (plain.type, plain.message, plain.details) == ("not_found_error", "model: x", None)
    coded = errors.error_detail(errors.RateLimitError(error_code="cap", details={"limit": 1}))
    assert coded.details == {"error_code": "cap", "limit": 1}


def test_very_long_sentence_loses_its_middle() -> None:
    assert errors.bounded("a" * errors.LONGEST_SENTENCE) == "a" * errors.LONGEST_SENTENCE
    cut = errors.bounded("a" * 5000 + "b" * 5000)
    assert len(cut) == errors.LONGEST_SENTENCE + 3
    assert (cut[0], cut[-1]) == ("a", "b")
