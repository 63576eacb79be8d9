"""Every metric of a server. Names and labels are an interface: dashboards and alerts have them.

The values of every label are known: routes and methods of the route table, statuses and types of
the API's errors, ids of served models, engines of the settings, and words that stand here. None is
a caller's text. Workspaces are a label only where the settings ask for it, and are bounded.
"""

from typing import Final

from antiphon.core.metrics.families import Family, Kind

_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

# From the answer of a route that looks into memory to a long answer of a slow model.
_DURATIONS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
)  # fmt: skip
# From 1,000 tokens in a second to one in five.
_BETWEEN: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5)

_ENGINE: Final = ("model", "number", "engine")
_ANSWER: Final = ("model", "tier", "workspace")

# ── requests ──────────────────────────────────────────────────────────────────────────────────────

REQUESTS: Final = Family(
    name="antiphon_requests_total",
    kind=_COUNTER,
    text="Requests that have ended. An answer that broke off has status 200 and an error_type; "
    "499 is a caller who hung up before there was a status. Without a route: no such path.",
    labels=("route", "method", "status", "error_type"),
)
DURATION: Final = Family(
    name="antiphon_request_duration_seconds",
    kind=_HISTOGRAM,
    text="From the head of a request to the end of its answer.",
    labels=("route",),
    bounds=_DURATIONS,
)
REFUSED: Final = Family(
    name="antiphon_requests_refused_total",
    kind=_COUNTER,
    text="Requests that a limit refused. kind: rate_limit, spend_limit or queue. limit: the type "
    "of the rate limit, or the period of the spend limit. scope: whose limit it is.",
    labels=("kind", "limit", "scope", "workspace"),
)

# ── answers of models ─────────────────────────────────────────────────────────────────────────────

ANSWERS: Final = Family(
    name="antiphon_answers_total",
    kind=_COUNTER,
    text="Answers that have ended, those of batches included. outcome: completed, interrupted "
    "(begun, and billed) or failed (free).",
    labels=(*_ANSWER, "outcome"),
)
TOKENS: Final = Family(
    name="antiphon_tokens_total",
    kind=_COUNTER,
    text="Tokens that are billed, when their answer has ended. type: input (without the prompt "
    "cache), cache_read, cache_write_5m, cache_write_1h, output. Their sum is all tokens.",
    labels=(*_ANSWER, "type"),
)
THINKING_TOKENS: Final = Family(
    name="antiphon_thinking_tokens_total",
    kind=_COUNTER,
    text="The part of the output tokens that is thinking.",
    labels=_ANSWER,
)
COST: Final = Family(
    name="antiphon_cost_dollars_total",
    kind=_COUNTER,
    text="What answers cost, in US dollars.",
    labels=_ANSWER,
)
FIRST_TOKEN: Final = Family(
    name="antiphon_time_to_first_token_seconds",
    kind=_HISTOGRAM,
    text="From the head of a message's request to the first token of its answer, all waits "
    "included. Without batches.",
    labels=("model",),
    bounds=_DURATIONS,
)
BETWEEN_TOKENS: Final = Family(
    name="antiphon_time_between_tokens_seconds",
    kind=_HISTOGRAM,
    text="The mean time from one token to the next of each completed answer. Without batches.",
    labels=("model",),
    bounds=_BETWEEN,
)
QUEUE: Final = Family(
    name="antiphon_queue_seconds",
    kind=_HISTOGRAM,
    text="How long a message waited before its model, also one that was refused or given up there. "
    "Without batches.",
    labels=("model",),
    bounds=_DURATIONS,
)
MONEY_WAIT: Final = Family(
    name="antiphon_money_wait_seconds",
    kind=_HISTOGRAM,
    text="How long a message waited for money that running requests held; those that did.",
    labels=("model",),
    bounds=_DURATIONS,
)

# ── models and engines ────────────────────────────────────────────────────────────────────────────

RUNNING: Final = Family(
    name="antiphon_requests_running",
    kind=_GAUGE,
    text="Requests for messages that a model works on.",
    labels=("model", "tier"),
)
WAITING: Final = Family(
    name="antiphon_requests_waiting",
    kind=_GAUGE,
    text="Requests for messages that wait before a model.",
    labels=("model", "tier"),
)
MODEL_READY: Final = Family(
    name="antiphon_model_ready",
    kind=_GAUGE,
    text="1 if the model is loaded and answers, else 0.",
    labels=("model",),
)
ENGINE_READY: Final = Family(
    name="antiphon_engine_ready",
    kind=_GAUGE,
    text="1 if this engine of a model answers, else 0.",
    labels=_ENGINE,
)
ENGINE_RESTARTS: Final = Family(
    name="antiphon_engine_restarts_total",
    kind=_COUNTER,
    text="How often the process of an engine was started again.",
    labels=_ENGINE,
)
ENGINE_ERRORS: Final = Family(
    name="antiphon_engine_errors_total",
    kind=_COUNTER,
    text="Requests that failed by the fault of a model's engines. kind: overloaded, timeout, "
    "failed.",
    labels=("model", "kind"),
)
ENGINE_SLOTS: Final = Family(
    name="antiphon_engine_slots",
    kind=_GAUGE,
    text="Requests that an engine computes at once, of one that tells.",
    labels=_ENGINE,
)
ENGINE_BUSY_SLOTS: Final = Family(
    name="antiphon_engine_busy_slots",
    kind=_GAUGE,
    text="Slots of an engine that work.",
    labels=_ENGINE,
)
ENGINE_WAITING: Final = Family(
    name="antiphon_engine_waiting_prompts",
    kind=_GAUGE,
    text="Prompts that wait for a slot of an engine.",
    labels=_ENGINE,
)
ENGINE_MEMORY: Final = Family(
    name="antiphon_engine_memory_bytes",
    kind=_GAUGE,
    text="Main memory of an engine. part: process and batch_process are used now; weights and kv "
    "are what the model takes by its file, and are parts of the process.",
    labels=(*_ENGINE, "part"),
)

# ── the prompt cache ──────────────────────────────────────────────────────────────────────────────

SNAPSHOT_BYTES: Final = Family(
    name="antiphon_cache_snapshot_bytes",
    kind=_GAUGE,
    text="Bytes on disk of the prefixes that a model's engines have saved.",
    labels=("model",),
)
SNAPSHOT_LIMIT: Final = Family(
    name="antiphon_cache_snapshot_limit_bytes",
    kind=_GAUGE,
    text="The most bytes that these may take now.",
    labels=("model",),
)
SNAPSHOTS: Final = Family(
    name="antiphon_cache_snapshots",
    kind=_GAUGE,
    text="Prefixes that a model's engines have saved.",
    labels=("model",),
)
EVICTIONS: Final = Family(
    name="antiphon_cache_evictions_total",
    kind=_COUNTER,
    text="Saved prefixes that were removed before their end, to make room.",
    labels=("model",),
)
CLAIM_MISMATCHES: Final = Family(
    name="antiphon_cache_claim_mismatches_total",
    kind=_COUNTER,
    text="Requests that read or wrote less of the prompt cache than their entries promised, by "
    "reason: memory or slots are short. They were billed as what was really read.",
    labels=("reason",),
)
SLOT_MISMATCHES: Final = Family(
    name="antiphon_cache_slot_mismatches_total",
    kind=_COUNTER,
    text="Prompts of which an engine reused less than its slot was known to hold.",
    labels=("model",),
)

# ── what is written ───────────────────────────────────────────────────────────────────────────────

LEDGER_PENDING: Final = Family(
    name="antiphon_ledger_pending_entries",
    kind=_GAUGE,
    text="Bills of ended requests that the counters, or the database, have not taken yet. They "
    "are safe in the journal.",
    labels=("receiver",),
)
LEDGER_LAG: Final = Family(
    name="antiphon_ledger_lag_seconds",
    kind=_GAUGE,
    text="The age of the oldest of these; 0 if there is none.",
    labels=("receiver",),
)
LEDGER_DAMAGED: Final = Family(
    name="antiphon_ledger_damaged_files",
    kind=_GAUGE,
    text="Files of the journal with requests that cannot be read, and are not billed.",
)
COUNTERS_UP: Final = Family(
    name="antiphon_counters_up",
    kind=_GAUGE,
    text="1 if the counters of limits decide, 0 while they are away and requests are refused.",
)
COUNTERS_PENDING: Final = Family(
    name="antiphon_counters_pending_settlements",
    kind=_GAUGE,
    text="Settlements that wait for shared counters which are away.",
)
RECORDS_PENDING: Final = Family(
    name="antiphon_request_log_pending_records",
    kind=_GAUGE,
    text="Ended requests that are not in the request log yet.",
)
RECORDS_DROPPED: Final = Family(
    name="antiphon_request_log_dropped_total",
    kind=_COUNTER,
    text="Ended requests that never get into the request log: the database was slow or away, or "
    "nobody knows the caller.",
)
DATABASE_UP: Final = Family(
    name="antiphon_database_up",
    kind=_GAUGE,
    text="1 if the database has answered just now, else 0.",
)
READY: Final = Family(
    name="antiphon_ready",
    kind=_GAUGE,
    text="1 if requests are admitted and every model answers, as GET /ready says, else 0.",
)

# ── batches ───────────────────────────────────────────────────────────────────────────────────────

BATCHES: Final = Family(
    name="antiphon_batches",
    kind=_GAUGE,
    text="Message Batches that have not ended, by state: in_progress, canceling. They are those of "
    "the database, so every server on it tells the same: use max(), not sum().",
    labels=("state",),
)
BATCH_REQUESTS_LEFT: Final = Family(
    name="antiphon_batch_requests_left",
    kind=_GAUGE,
    text="Requests of these batches that have no result yet.",
    labels=("state",),
)

# ── the process ───────────────────────────────────────────────────────────────────────────────────

BUILD_INFO: Final = Family(
    name="antiphon_build_info",
    kind=_GAUGE,
    text="Always 1; its labels are the versions.",
    labels=("version", "python"),
)
PROCESS_CPU: Final = Family(
    name="process_cpu_seconds_total",
    kind=_COUNTER,
    text="Processor time of the server's process, without the engines' processes.",
)
PROCESS_MEMORY: Final = Family(
    name="process_resident_memory_bytes",
    kind=_GAUGE,
    text="Main memory of the server's process.",
)
PROCESS_FILES: Final = Family(
    name="process_open_fds",
    kind=_GAUGE,
    text="Open files and connections of the server's process.",
)
PROCESS_MOST_FILES: Final = Family(
    name="process_max_fds",
    kind=_GAUGE,
    text="How many it may have.",
)
PROCESS_START: Final = Family(
    name="process_start_time_seconds",
    kind=_GAUGE,
    text="When the server's process began, in seconds since 1970.",
)

FAMILIES: Final = (
    REQUESTS,
    DURATION,
    REFUSED,
    ANSWERS,
    TOKENS,
    THINKING_TOKENS,
    COST,
    FIRST_TOKEN,
    BETWEEN_TOKENS,
    QUEUE,
    MONEY_WAIT,
    RUNNING,
    WAITING,
    MODEL_READY,
    ENGINE_READY,
    ENGINE_RESTARTS,
    ENGINE_ERRORS,
    ENGINE_SLOTS,
    ENGINE_BUSY_SLOTS,
    ENGINE_WAITING,
    ENGINE_MEMORY,
    SNAPSHOT_BYTES,
    SNAPSHOT_LIMIT,
    SNAPSHOTS,
    EVICTIONS,
    CLAIM_MISMATCHES,
    SLOT_MISMATCHES,
    LEDGER_PENDING,
    LEDGER_LAG,
    LEDGER_DAMAGED,
    COUNTERS_UP,
    COUNTERS_PENDING,
    RECORDS_PENDING,
    RECORDS_DROPPED,
    DATABASE_UP,
    READY,
    BATCHES,
    BATCH_REQUESTS_LEFT,
    BUILD_INFO,
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_FILES,
    PROCESS_MOST_FILES,
    PROCESS_START,
)
"""All of them, in the order in which they are told."""
