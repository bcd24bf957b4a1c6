"""Logging of commands and their worker processes."""

from __future__ import annotations

import logging
import os
import warnings


def configure_logging() -> None:
    """Our news and others' warnings on standard error, without what Beam says about clouds that nobody uses."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    level = os.environ.get("BALTO_LOG", "").upper()
    for ours in ("schemas", "pipeline", "trainer", "rounds"):
        logging.getLogger(ours).setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
    if level != "DEBUG":  # it sets its own level when it is imported, and tells every one of its retries twice
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    # Beam logs a failing record's traceback and raises it too; the command says it in one line.
    for name in ("apache_beam.runners.common", "google.auth", "huggingface_hub"):
        logging.getLogger(name).setLevel(level if level == "DEBUG" else logging.CRITICAL)
    logging.getLogger("apache_beam.utils.retry").addFilter(_without_traceback)
    logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
    warnings.filterwarnings("ignore", module=r"apache_beam\..*")


def _without_traceback(record: logging.LogRecord) -> bool:
    """Beam's word of a retry, of which a bucket out of reach brings many; its first line says what happened."""
    record.msg, record.args = (record.getMessage().splitlines() or [""])[0], ()
    return True
