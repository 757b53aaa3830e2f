"""The benchmarks' parts, by their letter."""
