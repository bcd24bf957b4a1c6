"""What `balto label` was asked to do."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from pipeline.doubt import Doubt
from pipeline.engines import LLM, NLI, Compute, EngineChoice, LlmSettings, NliSettings
from pipeline.resolve import POLICIES
from pipeline.weigh_scores import AUTO, NONE, NeutralBand, read_band
from schemas.errors import ConfigError
from schemas.tokens import BYTES, load_tokenizer

LABEL_SOURCES = ("claims", "gold")
_LLM_FIELDS = ("model", "claims_per_call", "context_window", "canaries", "request_options")
_NLI_FIELDS = (
    "nli_fingerprint", "nli_outputs", "evidence_windows", "retriever", "retriever_fingerprint", "precision",
    "refine_spans",
)  # fmt: skip


@dataclass(frozen=True)
class LabelConfig:
    """The options that decide what is in a label set's rows. The same config and corpus give the same rows.

    labels: `claims` asks the engines, `gold` takes the corpus's human spans.   extractor, verifier: engine names.
    tokenizer: as `schemas.tokens.load_tokenizer` takes it.   conflicts: how characters that opposite verdicts
    claim are resolved.   num_shards: at least 1; fixed before the first record is read.
    threshold: P(supported) from which a claim is supported; None: the verifier's own.   neutral_band: the scores that
    label nothing: `auto` (the verifier's own), `none` or LOW:HIGH.   wording: the share of a supported claim's
    runs of three words that must stand in the context for it to label anything, in [0, 1].   certainty: nats, at most
    0; how likely its three least likely tokens must have been to the policy for it to label anything.
    model, claims_per_call, context_window, canaries: of the engine `llm`, see `LlmSettings`.   request_options: JSON
    object of further fields of every request. Where the model is served, how fast and with which key it is asked
    changes no row, so it stands elsewhere and may change when a run is resumed.
    nli_fingerprint, nli_outputs, evidence_windows, retriever, retriever_fingerprint, precision, refine_spans: of
    `nli:MODEL`, see `NliSettings`.   compute: where and how fast it computes; no part of what makes two runs the same.
    """

    num_shards: int
    labels: str = "claims"
    extractor: str = "rules"
    verifier: str = "lexical"
    tokenizer: str = BYTES
    conflicts: str = "neutral"
    threshold: float | None = None
    neutral_band: str = AUTO
    wording: float = 0.0
    certainty: float | None = None
    model: str = ""
    claims_per_call: int = 8
    context_window: int = 32_768
    canaries: float = 0.02
    request_options: str = ""
    nli_fingerprint: str = ""
    nli_outputs: str = ""
    evidence_windows: int = 2
    retriever: str = ""
    retriever_fingerprint: str = ""
    precision: str = "auto"
    refine_spans: bool = True
    compute: Compute = Compute()  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        if self.labels not in LABEL_SOURCES:
            raise ConfigError(f"--labels {self.labels}: must be one of {', '.join(LABEL_SOURCES)}")
        if self.conflicts not in POLICIES:
            raise ConfigError(f"--conflicts {self.conflicts}: must be one of {', '.join(POLICIES)}")
        if not 1 <= self.num_shards <= 99_999:
            raise ConfigError(f"--num-shards {self.num_shards}: must be between 1 and 99999")
        self._check_llm()
        self._check_nli()
        self.chosen.check()
        self._check_scores()
        load_tokenizer(self.tokenizer)

    def _check_scores(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"--threshold {self.threshold:g}: is a probability of support, between 0 and 1")
        if not 0 <= self.wording <= 1:
            raise ConfigError(f"--wording {self.wording:g}: is a share of a claim's words, between 0 and 1")
        if self.certainty is not None and not self.certainty <= 0:
            raise ConfigError(f"--certainty {self.certainty:g}: is a log-probability, at most 0; -2.5 is a good start")
        given = read_band(self.neutral_band, None)
        if self.doubt.is_asked and (self.neutral_band == NONE or (given is not None and given.high <= 0)):
            option = "--wording" if self.wording else "--certainty"
            raise ConfigError(f"{option}: makes claims doubtful, so it wants a --neutral-band, such as 0.45:0.7")
        asked = {
            "--threshold": self.threshold is not None,
            "--neutral-band": self.neutral_band not in (AUTO, NONE),
            "--wording": self.wording > 0,
            "--certainty": self.certainty is not None,
        }
        for option, is_asked in asked.items():
            if is_asked and (self.labels == "gold" or self.verifier == LLM):
                who = "people (--labels gold)" if self.labels == "gold" else "--verifier llm"
                raise ConfigError(f"{option}: verdicts of {who} have no probability; leave the option out")

    def _check_llm(self) -> None:
        if self.labels == "gold" and (LLM in (self.extractor, self.verifier) or self.verifier.startswith(NLI)):
            raise ConfigError("--labels gold: takes human spans and asks nobody; leave out --extractor and --verifier")
        if self.uses_llm and not self.model:
            raise ConfigError("--model: missing; name the model that shall be asked, such as --model gpt-4o-mini")
        if self.model and not self.uses_llm:
            raise ConfigError(f"--model {self.model}: nobody asks it; add --extractor llm, --verifier llm or both")
        if not 1 <= self.claims_per_call <= 100:
            raise ConfigError(f"--claims-per-call {self.claims_per_call}: must be between 1 and 100; 5 to 10 work best")
        if not 0 <= self.canaries <= 1:
            raise ConfigError(f"--canaries {self.canaries}: is a share of the verification calls, between 0 and 1")

    def _check_nli(self) -> None:
        given = {"--nli-outputs": self.nli_outputs, "--retriever": self.retriever}
        for option, value in given.items():
            if value and self.nli is None:
                raise ConfigError(f"{option} {value}: is for --verifier nli:MODEL")

    @property
    def chosen(self) -> EngineChoice:
        """The engines, with their settings."""
        return EngineChoice(self.extractor, self.verifier, self.llm, self.nli, self.compute)

    @property
    def band(self) -> NeutralBand | None:
        """The scores that label nothing, or None."""
        return None if self.labels == "gold" else read_band(self.neutral_band, self.chosen.neutral_band)

    @property
    def doubt(self) -> Doubt:
        """What supported claims must have to label anything."""
        return Doubt(self.wording, self.certainty)

    @property
    def reads_groups(self) -> bool:
        """Whether the verifier looks at the other responses to a prompt."""
        return self.labels != "gold" and self.chosen.reads_groups

    @property
    def uses_llm(self) -> bool:
        """Whether a language model is asked for anything."""
        return self.labels == "claims" and LLM in (self.extractor, self.verifier)

    @property
    def llm(self) -> LlmSettings | None:
        """The settings of the engine `llm`; None when it is not used."""
        if not self.uses_llm:
            return None
        return LlmSettings(self.model, self.claims_per_call, self.context_window, self.canaries)

    @property
    def nli(self) -> NliSettings | None:
        """The settings of the engine `nli:MODEL`; None when it is not used."""
        if self.labels == "gold" or not self.verifier.startswith(NLI):
            return None
        return NliSettings(
            model=self.verifier.removeprefix(NLI),
            fingerprint=self.nli_fingerprint,
            outputs=self.nli_outputs,
            evidence_windows=self.evidence_windows,
            retriever=self.retriever,
            retriever_fingerprint=self.retriever_fingerprint,
            precision=self.precision,
            refine=self.refine_spans,
        )

    def shared_by(self, processes: int) -> LabelConfig:
        """The same for one of so many processes: each computes with its share of the cores."""
        if processes <= 1 or self.nli is None:
            return self
        threads = max(1, (os.cpu_count() or 1) // processes)
        return dataclasses.replace(self, compute=dataclasses.replace(self.compute, threads=threads))

    @property
    def on_gpu(self) -> bool:
        """Whether a model computes on a GPU, which several processes would have to share."""
        if self.nli is None:
            return False
        from pipeline.engines.nli.loading import choose_device

        return choose_device(self.compute.device) != "cpu"

    def prepared(self) -> LabelConfig:
        """The same with what only a look at the models tells. Raises ConfigError for a model that cannot be used."""
        if self.nli is None:
            return self
        from pipeline.engines.nli.loading import prepare_nli

        nli = prepare_nli(self.nli, self.compute)
        chosen = dataclasses.replace(self.chosen, nli=nli)  # a model of a hub is here now
        return dataclasses.replace(
            self,
            neutral_band=str(read_band(self.neutral_band, chosen.neutral_band) or NONE),
            nli_fingerprint=nli.fingerprint,
            retriever_fingerprint=nli.retriever_fingerprint,
            precision=nli.precision,
        )

    def as_dict(self) -> dict[str, Any]:
        """For the manifest; the tokenizer stands there with its fingerprint."""
        fields = dataclasses.asdict(self) | {"neutral_band": str(self.band or NONE)}
        unused = {"compute"}
        unused.update(() if self.uses_llm else _LLM_FIELDS)
        unused.update(() if self.nli else _NLI_FIELDS)
        return {name: fields[name] for name in fields if name not in unused}

    def engines(self) -> dict[str, str]:
        """Names and versions of who answered, for the manifest."""
        if self.labels == "gold":
            from pipeline.gold_labels import ENGINE

            return {"extractor": ENGINE, "verifier": ENGINE, "prompt_version": ""}
        return self.chosen.versions()
