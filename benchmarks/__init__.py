"""Every figure of docs/figures.md, runnable. `python -m benchmarks.NAME --help` says how."""
