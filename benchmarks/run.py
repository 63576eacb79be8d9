"""All benchmarks in turn, and one table of them at the end."""

from pathlib import Path

from benchmarks import adapters, limits, local, memory, pipeline, schemas, startup
from benchmarks.report import Figure, command, finish


def measure(*, quick: bool, weights: Path | None, with_model: bool) -> list[Figure]:
    """Run all, the ones that need a quiet machine most first."""
    print("pipeline …", flush=True)
    figures = pipeline.measure(pipeline.QUICK if quick else pipeline.Size())
    print("limits …", flush=True)
    figures += limits.measure(limits.QUICK if quick else limits.Size())
    print("adapters …", flush=True)
    figures += adapters.measure(adapters.QUICK if quick else adapters.Size(memory=50_000))
    print("schemas …", flush=True)
    figures += schemas.measure(schemas.QUICK if quick else schemas.COUNT)
    print("startup …", flush=True)
    figures += startup.measure(1, 64) if quick else startup.measure()
    print("memory …", flush=True)
    figures += memory.measure(320) if quick else memory.measure()
    if with_model:
        print("local …", flush=True)
        figures += local.measure(weights, local.QUICK if quick else local.Size())
    return figures


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    parser.add_argument("--no-model", action="store_true", help="leave out what loads a model")
    options = parser.parse_args()
    figures = measure(quick=options.quick, weights=options.weights, with_model=not options.no_model)
    finish(figures, options)


if __name__ == "__main__":
    main()
