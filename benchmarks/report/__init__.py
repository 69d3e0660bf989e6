"""How benchmarks report: rows, tables and curves."""
