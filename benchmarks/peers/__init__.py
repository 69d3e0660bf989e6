"""The same methods in PyTorch, for tests and benchmarks to compare with."""
