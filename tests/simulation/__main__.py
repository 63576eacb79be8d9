"""`make simulate`: run seeds and say how it went. A failure is printed with its command."""

import argparse
import sys
import time
import traceback

from simulation.run import Outcome, Runner
from simulation.scenarios import SCENARIOS
from support.memory import keep_files_in_memory
from support.statements import share_statements

REPORT_S = 10.0


def main(arguments: list[str]) -> int:
    """Run what was asked for; return 1 if a seed fails."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and show what happens")
    parser.add_argument("--seeds", type=int, default=150, help="how many to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="only this one")
    asked = parser.parse_args(arguments)
    scenarios = [asked.scenario] if asked.scenario else list(SCENARIOS)
    keep_files_in_memory()
    share_statements()
    runner = Runner()
    try:
        if asked.seed is not None:
            return max(_show(runner.run(asked.seed, name)) for name in scenarios)
        return _run_many(runner, range(asked.first, asked.first + asked.seeds), scenarios)
    finally:
        runner.close()


def _show(outcome: Outcome) -> int:
    print(*outcome.lines, sep="\n")
    print(
        f"{outcome.scenario} {outcome.seed}: {outcome.requests} requests, {outcome.kills} kills, "
        f"{outcome.simulated_s:.0f} s in {outcome.wall_s:.2f} s, told {outcome.told}"
    )
    if outcome.failure is None:
        return 0
    print(*traceback.format_exception(outcome.failure), f"FAILED {outcome.failure!r}", sep="")
    return 1


def _run_many(runner: Runner, seeds: range, scenarios: list[str]) -> int:
    began = reported = time.monotonic()
    done: list[Outcome] = []
    failed = 0
    for seed in seeds:
        outcome = runner.run(seed, scenarios[seed % len(scenarios)])
        outcome.lines = []
        done.append(outcome)
        if outcome.failure is not None:
            failed += 1
            print(f"FAILED {outcome.failure!r}\n  again: {outcome.command}", flush=True)
        if time.monotonic() - reported > REPORT_S:
            reported = time.monotonic()
            _report(done, failed, reported - began)
    _report(done, failed, time.monotonic() - began)
    return 1 if failed else 0


def _report(done: list[Outcome], failed: int, wall_s: float) -> None:
    simulated = sum(outcome.simulated_s for outcome in done)
    print(
        f"{len(done)} seeds, {sum(outcome.requests for outcome in done)} requests, "
        f"{sum(outcome.kills for outcome in done)} kills, {failed} failures: "
        f"{simulated / 3600:.1f} simulated hours in {wall_s:.0f} s, {simulated / wall_s:.0f} times",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
