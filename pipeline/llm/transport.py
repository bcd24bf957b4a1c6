"""How a run talks to its model: the endpoint, what it may use, where replies and counts are kept.

Nothing here changes an answer except the endpoint's model and temperature, so a resumed run may change the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.llm.cache import NONE, REDIS_PASSWORD, SQLITE
from pipeline.llm.endpoint import Endpoint, check_reference
from schemas.errors import ConfigError

CACHE_FILE = "llm-cache.sqlite"
USAGE_FILE = "llm-usage.sqlite"


@dataclass(frozen=True)
class Transport:
    """Picklable; opened by `pipeline.llm.service` in every process.

    in_flight: requests at a time, requests_per_minute, tokens_per_minute: of the whole run, divided evenly over
    `processes`; 0 per minute: no limit.   max_requests, max_cost (US dollars): of the whole run with its resumptions;
    0: no limit.   accept_failures: a run of which no question for a purpose is answered is finished all the same.
    prices: a file like `prices.json`; empty: the package's.   cache: as `open_cache` takes it.
    cache_password: a reference, like the endpoint's key.
    ledger: path of the file with the run's counts; empty: they are kept per process and in Beam's counters only.
    """

    endpoint: Endpoint
    in_flight: int = 64
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    processes: int = 1
    max_requests: int = 0
    max_cost: float = 0.0
    accept_failures: bool = False
    prices: str = ""
    cache: str = NONE
    cache_required: bool = False
    cache_password: str = REDIS_PASSWORD
    ledger: str = ""

    def __post_init__(self) -> None:
        check_reference(self.cache_password, "--cache-password-env")
        for option, value in (("--concurrency", self.in_flight), ("processes", self.processes)):
            if value < 1:
                raise ConfigError(f"{option} {value}: must be at least 1")
        if min(self.requests_per_minute, self.tokens_per_minute, self.max_requests, self.max_cost) < 0:
            raise ConfigError("limits on requests, tokens and cost must not be negative; 0 means none")
        if (self.max_requests or self.max_cost) and self.processes > 1 and not self.ledger:
            raise ConfigError("--max-requests and --max-cost need a file that all processes share")


def beside(out: Path) -> dict[str, str]:
    """Where the replies and the counts of a label set `out` lie by default: outside the folder that a finished run
    cleans up, so that a later run with another tokenizer or parser asks nothing again."""
    return {"cache": f"{SQLITE}{out.with_name(f'{out.name}.{CACHE_FILE}')}"}
