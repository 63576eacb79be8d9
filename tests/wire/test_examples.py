"""Golden JSON of `examples/`, taken from the reference.

A file belongs to the longest key of `REQUESTS` or `ANSWERS` that its name begins with.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.wire import batches, console, files
from antiphon.wire.admin import (
    increases,
    keys,
    limits,
    organizations,
    prompt_cache,
    settings,
    versions,
)
from antiphon.wire.admin.files import FileStorageInfo
from antiphon.wire.admin.models import ModelStates
from antiphon.wire.admin.reports import CostReport, Report, UsageReport
from antiphon.wire.decoding import BodyDecoder
from antiphon.wire.errors import ErrorEnvelope
from antiphon.wire.events import StreamEvent
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, Message, TokenCount
from antiphon.wire.models import ModelInfo, ModelPage
from antiphon.wire.sse import EventEncoder, FrameDecoder

EXAMPLES = Path(__file__).parent / "examples"
REQUESTS: dict[str, Any] = {
    "request": CreateMessageParams,
    "count_tokens": CountTokensParams,
    "accept_invite": organizations.AcceptInviteParams,
    "ask_for_increase": increases.AskForIncreaseParams,
    "add_member": organizations.AddMemberParams,
    "change_key": keys.UpdateKeyParams,
    "change_member": organizations.UpdateMemberParams,
    "change_spend_limit": limits.UpdateSpendLimitParams,
    "change_user": organizations.UpdateUserParams,
    "change_workspace": organizations.UpdateWorkspaceParams,
    "console_accept": console.AcceptByLinkParams,
    "console_link": console.SignInByLinkParams,
    "console_password": console.ChangePasswordParams,
    "console_set_up": console.SetUpParams,
    "console_sign_in": console.SignInParams,
    "create_batch": batches.CreateBatchParams,
    "create_invite": organizations.CreateInviteParams,
    "create_key": keys.CreateKeyParams,
    "create_user": organizations.CreateUserParams,
    "create_workspace": organizations.CreateWorkspaceParams,
    "grant_increase": increases.GrantIncreaseParams,
    "refuse_increase": increases.RefuseIncreaseParams,
    "rotate_key": keys.RotateKeyParams,
    "set_limits": limits.SetLimitsParams,
    "set_spend_limit": limits.CreateSpendLimitParams,
}
ANSWERS: dict[str, Any] = {
    "message": Message,
    "event": StreamEvent,
    "error": ErrorEnvelope,
    "model_page": ModelPage,
    "model": ModelInfo,
    "model_states": ModelStates,
    "token_count": TokenCount,
    "batch": batches.MessageBatch,
    "batch_deleted": batches.DeletedBatch,
    "batch_page": batches.BatchPage,
    "result": batches.BatchResult,
    "file": files.FileMetadata,
    "file_page": files.FilePage,
    "file_beta": files.BetaFileMetadata,
    "file_beta_page": files.BetaFilePage,
    "file_deleted": files.DeletedFile,
    "console_info": console.ConsoleInfo,
    "console_oidc_signed_out": console.OidcSignedOut,
    "console_session": console.SessionInfo,
    "console_session_deleted": console.SessionDeleted,
    "audit_entry": organizations.AuditInfo,
    "balance": limits.BalanceInfo,
    "increase": increases.IncreaseInfo,
    "invite": organizations.InviteInfo,
    "key": keys.KeyInfo,
    "key_old_version": versions.OlderKeyInfo,
    "key_rate_limit": limits.KeyRateLimitInfo,
    "key_rate_limit_old_version": versions.OlderKeyRateLimitInfo,
    "listing": organizations.Listing,
    "member": organizations.MemberInfo,
    "member_deleted": organizations.MemberDeleted,
    "organization": organizations.OrganizationInfo,
    "file_storage": FileStorageInfo,
    "prompt_cache_entry": prompt_cache.CacheEntryInfo,
    "prompt_cache_report": Report[prompt_cache.CacheReportResult],
    "prompt_cache_state": prompt_cache.PromptCacheInfo,
    "rate_limit": limits.RateLimitInfo,
    "rate_limit_old_version": versions.OlderRateLimitInfo,
    "server_settings": settings.ServerSettingsInfo,
    "spend_limit": limits.SpendLimitInfo,
    "spend_summary": limits.SpendSummary,
    "token_listing": organizations.TokenListing,
    "user": organizations.UserInfo,
    "user_deleted": organizations.Deleted,
    "workspace": organizations.WorkspaceInfo,
    "workspace_rate_limit": limits.WorkspaceRateLimitInfo,
    "workspace_rate_limit_old_version": versions.OlderWorkspaceRateLimitInfo,
    "usage_report": UsageReport,
    "cost_report": CostReport,
}

# Recorded requests of Claude Code have their own test, in `end_to_end/test_transcripts.py`.
PATHS = sorted(path for path in EXAMPLES.glob("*.json") if not path.name.startswith("claude_code"))


def kind_of(path: Path) -> str:
    kinds = [kind for kind in (*REQUESTS, *ANSWERS) if path.stem.startswith(kind)]
    assert kinds, f"{path.name} begins with no key of REQUESTS or ANSWERS"
    return max(kinds, key=len)


def examples(kinds: dict[str, Any]) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in PATHS if kind_of(path) in kinds]


def holds(whole: Any, part: Any) -> bool:
    """Whether `whole` says all that `part` says; defaults may stand beside it."""
    if isinstance(part, dict):
        return all(key in whole and holds(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("path", examples(REQUESTS))
def test_request_is_decoded_with_all_that_it_says(path: Path) -> None:
    body = path.read_bytes()
    params = BodyDecoder(REQUESTS[kind_of(path)]).decode(body)
    assert holds(msgspec.to_builtins(params), json.loads(body))


@pytest.mark.parametrize("path", examples(ANSWERS))
def test_answer_survives_a_round_trip_with_every_key_and_null(path: Path) -> None:
    body = path.read_bytes()
    answer = msgspec.json.decode(body, type=ANSWERS[kind_of(path)])
    assert json.loads(msgspec.json.encode(answer)) == json.loads(body)


EVENTS = [example for example in examples(ANSWERS) if example.id.startswith("event_")]


@pytest.mark.parametrize("path", EVENTS)
def test_event_survives_the_trip_through_its_frame(path: Path) -> None:
    event = msgspec.json.decode(path.read_bytes(), type=StreamEvent)
    (frame,) = FrameDecoder().feed(EventEncoder().encode(event))
    assert frame.event == json.loads(path.read_bytes())["type"]
    assert msgspec.json.decode(frame.data, type=StreamEvent) == event


def test_file_of_no_type_is_named() -> None:
    with pytest.raises(AssertionError, match=r"unheard_of\.json begins with no key of REQUESTS"):
        kind_of(EXAMPLES / "unheard_of.json")


def test_every_type_has_an_example() -> None:
    seen = {kind_of(path) for path in PATHS}
    assert seen == {*REQUESTS, *ANSWERS}
    tags = {json.loads(path.read_bytes())["type"] for path in EXAMPLES.glob("event_*.json")}
    assert tags == {event.__struct_config__.tag for event in StreamEvent.__args__}
