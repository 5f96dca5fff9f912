"""How fast: clocks, workloads, the machine's ceilings, and comparison with an earlier measurement."""
