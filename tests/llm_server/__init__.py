"""An endpoint for tests, benchmarks and trying things out: OpenAI's protocol over real HTTP, answers made by rule.

It is no language model. It speaks chat completions, models, files and batches, misbehaves when told to, and counts and
keeps what it was sent.

    python -m tests.llm_server --port 8765 --latency-ms 200 --fault 429=0.1 --fault hang=0.05
"""

from tests.llm_server.behaviour import FAULTS, Behaviour
from tests.llm_server.server import LlmServer

__all__ = ["FAULTS", "Behaviour", "LlmServer"]
