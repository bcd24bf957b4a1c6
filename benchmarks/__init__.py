"""Every figure that the README quotes, runnable. `python -m benchmarks.NAME --help` says how."""
