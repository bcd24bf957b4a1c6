"""What tokens cost: one file of prices per model, shipped with the package or given by the user."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from pipeline.llm.chat import Usage
from schemas.errors import ConfigError

_DATED: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")  # gpt-4o-2024-08-06 costs what gpt-4o costs


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens of one model.   batch: factor for what goes through the Batch API."""

    input: float
    cached_input: float
    output: float
    batch: float = 1.0

    def cost(self, usage: Usage, batched: bool = False) -> float:
        """US dollars for one answer."""
        fresh = usage.prompt_tokens - usage.cached_prompt_tokens
        dollars = fresh * self.input + usage.cached_prompt_tokens * self.cached_input
        dollars += usage.completion_tokens * self.output
        return dollars / 1e6 * (self.batch if batched else 1.0)


def price_of(model: str, path: str = "") -> Price | None:
    """The price of `model` from the file at `path` (default: the package's), or None when it is not there.

    Raises ConfigError when the file cannot be read or is not in the form of `prices.json`.
    """
    source = Path(path) if path else files("pipeline.llm") / "prices.json"
    try:
        listed = json.loads(source.read_text(encoding="utf-8"))
        found = listed["models"].get(model) or listed["models"].get(_DATED.sub("", model))
        if found is None:
            return None
        given = float(found["input"])
        cached = float(found.get("cached_input", given))
        return Price(given, cached, float(found["output"]), float(listed.get("batch", 1.0)))
    except OSError as err:
        raise ConfigError(f"--prices {path}: cannot be read ({err.strerror})") from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        form = '{"models": {"NAME": {"input": 1.0, "cached_input": 0.5, "output": 2.0}}}'
        raise ConfigError(f"--prices {path}: not a file of prices; it must look like {form}") from err
