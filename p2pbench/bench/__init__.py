"""How fast: clocks, workloads, and what ran where."""
