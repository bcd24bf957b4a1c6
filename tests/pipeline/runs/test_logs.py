"""What other packages log on the way."""

import logging

from pipeline.runs.logs import configure_logging


def test_a_retry_of_beam_is_told_in_one_line(caplog):
    configure_logging()
    said = "waiting for %s seconds because we caught exception: %s\n Traceback for above exception:\n%s"
    logging.getLogger("apache_beam.utils.retry").warning(said, 1.7, "no credentials", "a stack 100% long")
    assert caplog.messages == ["waiting for 1.7 seconds because we caught exception: no credentials"]
