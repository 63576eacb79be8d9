"""Whether memory stays flat over many small requests, with a price and limits of every scope."""

import uvloop

from benchmarks.limits import Subject, governed
from benchmarks.load import load
from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import HOST, MESSAGES, pinned, request

TENTHS = 10


def measure(requests: int = 50_000) -> list[Figure]:
    """Send all requests, and look at the memory after each tenth of them."""
    with governed() as subject, pinned(1):
        print(f"{0:>9,} requests  {subject.server.rss_mb:6.1f} MB", flush=True)
        sizes = tuple(_tenth(subject, requests, place) for place in range(1, TENTHS + 1))
    half = len(sizes) // 2
    growth = max(sizes[half:]) - max(sizes[:half])
    return [
        Figure(f"memory over {requests:,} requests", "MB", sizes, Goal(most=100)),
        Figure("growth from the first half to the second", "MB", (growth,), Goal(most=1)),
    ]


def _tenth(subject: Subject, requests: int, place: int) -> float:
    port, headers = subject.server.port, subject.headers
    uvloop.run(load(HOST, port, MESSAGES, headers, request("Hello"), requests=requests // TENTHS))
    size = subject.server.rss_mb
    print(f"{place * requests // TENTHS:>9,} requests  {size:6.1f} MB", flush=True)
    return size


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("-n", "--requests", type=positive, default=50_000)
    options = parser.parse_args()
    finish(measure(320 if options.quick else options.requests), options)


if __name__ == "__main__":
    main()
