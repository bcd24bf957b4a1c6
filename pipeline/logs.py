"""Logging of commands and their worker processes."""

from __future__ import annotations

import logging
import warnings


def configure_logging() -> None:
    """Our news and others' warnings on standard error, without what Beam says about clouds that nobody uses."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
    warnings.filterwarnings("ignore", module=r"apache_beam\..*")
