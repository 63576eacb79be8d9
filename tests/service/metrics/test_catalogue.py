"""The rules that the names of metrics follow."""

import re

import pytest

from antiphon.core.metrics.families import Family, Kind
from antiphon.service.metrics.catalogue import FAMILIES

# Gauges that count things have no unit, and those that say yes or no either.
WITHOUT_UNIT = re.compile(
    r"antiphon_(requests_(running|waiting)|(model_|engine_)?ready|engine_(busy_)?slots|"
    r"engine_waiting_prompts|cache_snapshots|ledger_(pending_entries|damaged_files)|"
    r"(counters|database)_up|counters_pending_settlements|request_log_pending_records|batches|"
    r"batch_requests_left|build_info)|process_(open|max)_fds"
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_name_says_what_it_is_and_its_unit(family: Family) -> None:
    assert re.fullmatch(r"(antiphon|process)_[a-z]+(_[a-z]+)*", family.name)
    assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
    if family.kind is Kind.HISTOGRAM:
        assert family.name.endswith("_seconds")
        assert family.bounds == tuple(sorted(set(family.bounds)))
        assert family.bounds
    elif family.kind is Kind.GAUGE and not WITHOUT_UNIT.fullmatch(family.name):
        assert family.name.endswith(("_seconds", "_bytes"))
    assert family.text.endswith(".")
    assert not {"le", "job", "instance"} & {*family.labels}


def test_names_are_different() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)


def test_no_metric_has_a_key_as_a_label() -> None:
    assert not [one.name for one in FAMILIES if any("key" in label for label in one.labels)]
