"""Who answers: extractors find claims, verifiers judge them. Chosen by name on the command line.

An engine is pickled to the workers before `setup` is called there: clients and models are opened in `setup`.
Engines that ask a language model are coroutines over an `Ask` (pipeline/llm/chat.py) and open nothing themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from pipeline.engines.llm.tally import Tally
from pipeline.engines.nli.settings import NLI, Compute, NliSettings
from pipeline.llm.chat import Ask
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


@runtime_checkable
class BatchVerifier(Verifier, Protocol):
    """A verifier that is fastest on many records at once: `verify_many` gives for each what `verify` would."""

    def verify_many(self, asked: Sequence[tuple[Sample, tuple[Claim, ...]]]) -> list[tuple[Claim, ...]]: ...


@runtime_checkable
class AskingExtractor(Protocol):
    """An extractor that asks a language model. `extract` raises RecordError when an answer cannot be had."""

    name: str
    prompt_version: str
    tally: Tally

    async def extract(self, sample: Sample, ask: Ask) -> tuple[Claim, ...]: ...


@runtime_checkable
class AskingVerifier(Protocol):
    """A verifier that asks a language model; otherwise as `Verifier`."""

    name: str
    prompt_version: str
    tally: Tally

    async def verify(self, sample: Sample, claims: tuple[Claim, ...], ask: Ask) -> tuple[Claim, ...]: ...


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """What the engine `llm` needs besides an endpoint; all of it shapes the rows.

    model: name at the endpoint.   claims_per_call: at most so many claims share one verification call.
    context_window: of the model, in tokens.   canaries: share of verification calls that get a claim whose answer is
    known.
    """

    model: str
    claims_per_call: int
    context_window: int
    canaries: float


LLM: Final = "llm"
EXTRACTORS = ("rules", LLM)
VERIFIERS = ("lexical", LLM, "nli:MODEL")
NO_KEY: Final = bytes(32)  # for engines that are only looked at, never asked


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engines that were asked for, by name, and what they need; made anew by each who asks for one.

    llm: for the engine `llm`.   nli, compute: for the engine `nli:MODEL`.
    """

    extractor: str
    verifier: str
    llm: LlmSettings | None = None
    nli: NliSettings | None = None
    compute: Compute = Compute()  # noqa: RUF009  # frozen

    def make_extractor(self, delimiter_key: bytes = NO_KEY) -> Extractor | AskingExtractor:
        """A new one. Raises ConfigError when there is none of that name, or its settings cannot work.

        delimiter_key: for the engine `llm`, see `pipeline.engines.llm.sealed_data`.
        """
        if self.extractor == "rules":
            from pipeline.engines.rules import RulesExtractor

            return RulesExtractor()
        if self.extractor == LLM and self.llm is not None:
            from pipeline.engines.llm.extraction import LlmExtractor

            return LlmExtractor(self.llm.model, delimiter_key, self.llm.context_window)
        raise ConfigError(f"--extractor {self.extractor}: there is no such engine; known: {', '.join(EXTRACTORS)}")

    def make_verifier(self, delimiter_key: bytes = NO_KEY) -> Verifier | BatchVerifier | AskingVerifier:
        """A new one; otherwise as `make_extractor`."""
        llm = self.llm
        if self.verifier == "lexical":
            from pipeline.engines.lexical import LexicalVerifier

            return LexicalVerifier()
        if self.verifier == LLM and llm is not None:
            from pipeline.engines.llm.verification import LlmVerifier

            return LlmVerifier(llm.model, delimiter_key, llm.context_window, llm.claims_per_call, llm.canaries)
        if self.verifier.startswith(NLI):
            from pipeline.engines.nli.verifier import NliVerifier

            return NliVerifier(self.nli or NliSettings(self.verifier.removeprefix(NLI)), self.compute)
        raise ConfigError(f"--verifier {self.verifier}: there is no such engine; known: {', '.join(VERIFIERS)}")

    def check(self) -> None:
        """Raise ConfigError for an engine that there is not, or that cannot work so."""
        self.make_extractor()
        self.make_verifier()

    @property
    def neutral_band(self) -> tuple[float, float] | None:
        """The scores of the verifier that are too doubtful for a label, as it says itself."""
        return getattr(self.make_verifier(), "neutral_band", None)

    @property
    def reads_groups(self) -> bool:
        """Whether the verifier looks at the other responses to a prompt."""
        return getattr(self.make_verifier(), "reads_group", False)

    def versions(self) -> dict[str, str]:
        """Names and versions of who answers, for the manifest."""
        extractor, verifier = self.make_extractor(), self.make_verifier()
        prompts = sorted({extractor.prompt_version, verifier.prompt_version} - {""})
        return {"extractor": extractor.name, "verifier": verifier.name, "prompt_version": ",".join(prompts)}
