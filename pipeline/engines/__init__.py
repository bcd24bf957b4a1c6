"""Who answers: extractors find claims, verifiers judge them. Chosen by name on the command line.

An engine is pickled to the workers before `setup` is called there: clients and models are opened in `setup`.
"""

from __future__ import annotations

from typing import Protocol

from schemas.errors import ConfigError
from schemas.records import Claim, Sample


class Extractor(Protocol):
    """Finds the checkable claims of a response. `name` carries the engine's version, such as `rules/1`."""

    name: str
    prompt_version: str

    def setup(self) -> None: ...
    def teardown(self) -> None: ...
    def extract(self, sample: Sample) -> tuple[Claim, ...]:
        """Claims without verdict; with spans if the extractor knows them, else with quotes to be located."""
        ...


class Verifier(Protocol):
    """Judges claims against the sample's context. Returns the same claims in the same order, each with a verdict
    and status `ok`, or without one and a status `unverified: reason`."""

    name: str
    prompt_version: str

    def setup(self) -> None: ...
    def teardown(self) -> None: ...
    def verify(self, sample: Sample, claims: tuple[Claim, ...]) -> tuple[Claim, ...]: ...


EXTRACTORS = ("rules",)
VERIFIERS = ("lexical",)


def make_extractor(name: str) -> Extractor:
    """The extractor called `name`. Raises ConfigError when there is none."""
    if name == "rules":
        from pipeline.engines.rules import RulesExtractor

        return RulesExtractor()
    raise ConfigError(f"--extractor {name}: there is no such engine; known: {', '.join(EXTRACTORS)}")


def make_verifier(name: str) -> Verifier:
    """The verifier called `name`. Raises ConfigError when there is none."""
    if name == "lexical":
        from pipeline.engines.lexical import LexicalVerifier

        return LexicalVerifier()
    raise ConfigError(f"--verifier {name}: there is no such engine; known: {', '.join(VERIFIERS)}")
