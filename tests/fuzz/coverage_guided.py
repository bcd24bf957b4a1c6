"""The parsers under a coverage-guided fuzzer (atheris, which the project does not depend on):

    pip install atheris
    python -m tests.fuzz.coverage_guided corpus --seconds 60 --keep DIR

DIR keeps the inputs that reached new code. An input that ends in anything but a result or an error of ours is written
as `crash-*`: put it into tests/fuzz/found/TARGET/, where the test suite runs it for ever.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pipeline", "schemas"]):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", type=Path, required=True)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(options.target)):
        (options.keep / f"seed-{number}").write_bytes(data)
    limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=8192"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={options.keep.parent}/", str(options.keep)], TARGETS[options.target]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
