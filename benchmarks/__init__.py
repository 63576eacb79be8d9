"""Commands that measure; docs/benchmarks.md says what and how."""
