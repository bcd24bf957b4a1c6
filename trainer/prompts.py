"""A prompt and its context as token ids, for training and for generation alike.

With a chat template, the ids are exactly those of the template's text: `apply_chat_template` up to and including what
opens the assistant's turn. Without one, the plain template below. Stored response ids follow as they are; the stop
token is the one that the template itself puts behind an assistant's turn (`<|im_end|>`, `<|eot_id|>`, `</s>`, ...).

    default placing of the context        plain template (text prompt)      (chat messages)
        Passages:                             BOS, if the tokenizer              System: ...
                                              puts one before a text
        [1] first passage                     prompt with its context            User: ...

        [2] second passage                    Answer:                            Assistant:

        the prompt

In chat messages the passages go in front of the last user message. A passage of 20 characters or more that the prompt
already contains, in whole words, is not repeated. A template without a system role gets the system message in front of
the first user message.

Prompts and passages are untrusted: a text such as `<|im_end|>` in them never becomes a control token. It is cut after
its first character and the pieces are encoded apart. Roles stand in the template's text as they are, so there are none
but schemas.samples.ROLES. Same input, same ids, on any day: a template that asks for the date gets a fixed one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from schemas.errors import BaltoError, ConfigError, one_line
from schemas.records import Message, Passage
from schemas.samples import ROLES
from schemas.tokens import fingerprint

Prompt = str | tuple[Message, ...]

RENDERING_VERSION: Final = 2  # part of the fingerprint: raised when the same input gives other ids
_LEAST_CONTAINED: Final = 20  # characters: shorter passages ("35", "yes") stand in many a prompt by chance
_CUT: Final = "\ufdd0"  # a Unicode noncharacter: marks where a control token's text is cut
_USER, _SYSTEM, _ASSISTANT = (
    "BaltoAsksHere",
    "BaltoRulesHere",
    "BaltoAnswersHere",
)  # probes: plain letters survive filters
_FIXED_DATE: Final = (
    "{%- macro strftime_now(format) -%}{{- '26 Jul 2024' if format == '%d %b %Y' else '2024-07-26' -}}{%- endmacro -%}"
)


class PromptError(BaltoError):
    """A prompt of unknown roles, that the model's template refuses, or that cannot be kept free of control tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptRendering:
    """prompt_ids: (P,) int32.   stop_id: ends the response; None when the tokenizer has no such token.
    text: what was encoded, for people to read."""

    prompt_ids: np.ndarray
    stop_id: int | None
    text: str


@dataclass(frozen=True, slots=True)
class _Written:
    """A prompt as text, control tokens in it cut; the roles of its messages."""

    text: str
    roles: tuple[str, ...]


class PromptRenderer:
    """Renders prompts for one model. Picklable; holds a copy of the tokenizer's backend, never changes the original.

    tokenizer: a transformers tokenizer with a `tokenizers` backend.   template_options: handed to the chat template,
    such as {"enable_thinking": False}.   end_ids: further ids at which the model stops (trainer.policy.end_ids); those
    that are no control tokens of this tokenizer are left out, because text holds them. One of them stops where template
    and tokenizer name none.   stop_id: see PromptRendering.   stop_ids: every id that ends a response.
    vocabulary: ids are below this number, and below `embeddings`, the rows of the model's table.
    Raises ConfigError for a tokenizer without backend or a template that renders no conversation.
    """

    def __init__(
        self,
        tokenizer: Any,
        template_options: Mapping[str, Any] | None = None,
        end_ids: Collection[int] = (),
        embeddings: int | None = None,
    ):
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigError(f"tokenizer {_name(tokenizer)}: no tokenizer.json form of it; only that gives exact ids")
        self._backend = Tokenizer.from_str(backend.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        ids = 1 + max(self._backend.get_vocab().values())
        self.vocabulary = ids if embeddings is None else min(ids, embeddings)
        self._tokenizer = tokenizer
        self._options = dict(template_options or {})
        self._added = {token.content: i for i, token in self._backend.get_added_tokens_decoder().items()}
        self._special = {t.content for t in self._backend.get_added_tokens_decoder().values() if t.special}
        self._anchor = self._encode("\n")
        self._prefix = _ids_before_text(self._backend)
        self._template = _chat_template(tokenizer)
        self._opening, self._folds_system, closing = "", False, ""
        if self._template is not None:
            self._opening, self._folds_system, closing = self._probe_template()
        self._controls = self._control_tokens(closing)
        unknown = _unknown_id(self._backend)  # special, but what any rare character becomes
        self._is_control = np.zeros(ids, bool)  # (V,) True: never to come out of a text
        self._is_control[[self._added[text] for text in self._controls if self._added[text] != unknown]] = True
        self._control_text = re.compile("|".join(re.escape(text) for text in self._controls) or "(?!)")
        eos = tokenizer.eos_token_id
        further = [i for i in sorted(end_ids) if i < self.vocabulary and self._is_control[i]]
        closes = next((i for i in self._ids(closing) if self._is_control[i]), eos)
        self.stop_id: int | None = closes if closes is not None else next(iter(further), None)
        self.stop_ids = frozenset([*further, *(i for i in (self.stop_id, eos) if i is not None)])
        self._written: dict[tuple[str, ...], Counter[int]] = {}  # control tokens of the template itself, by roles

    def __getstate__(self) -> dict[str, Any]:
        # Only a chat template needs transformers; without one a reader process starts in a fraction of the time.
        return self.__dict__ | ({"_tokenizer": None} if self._template is None else {})

    @property
    def fingerprint(self) -> str:
        """Changes whenever the ids of some prompt, or of what ends a response, may change."""
        stops = [self.stop_id, sorted(self.stop_ids), self.vocabulary]
        parts = [RENDERING_VERSION, fingerprint(self._backend), self._template, self._options, self._prefix, stops]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def render(self, prompt: Prompt, context: Sequence[Passage] = ()) -> PromptRendering:
        """The ids in front of a response to `prompt` with `context`. Raises PromptError, one line."""
        (found,) = self.render_all([(prompt, context)])
        if isinstance(found, PromptError):
            raise found
        return found

    def render_all(self, prompts: Sequence[tuple[Prompt, Sequence[Passage]]]) -> list[PromptRendering | PromptError]:
        """Many prompts with their contexts, encoded together (on all cores); errors in the places of their prompts."""
        written = [self._write(prompt, context) for prompt, context in prompts]
        whole = [one.text for one in written if not isinstance(one, PromptError) and _CUT not in one.text]
        encoded = iter(self._backend.encode_batch_fast(whole, add_special_tokens=False))
        found: list[PromptRendering | PromptError] = []
        for one in written:
            if isinstance(one, PromptError):
                found.append(one)
                continue
            ids = self._ids(one.text) if _CUT in one.text else next(encoded).ids
            found.append(self._rendering(one, ids))
        return found

    def _write(self, prompt: Prompt, context: Sequence[Passage]) -> _Written | PromptError:
        messages = place_context(prompt, context)
        unknown = next((message.role for message in messages if message.role not in ROLES), None)
        if unknown is not None:
            return PromptError(f"the role {unknown[:40]!r} is none of {', '.join(ROLES)}")
        safe = [Message(message.role, self._cut(message.content)) for message in messages]
        try:
            text = self._plain(safe) if self._template is None else self._chat(safe)
        except PromptError as err:
            return err
        return _Written(text, tuple(message.role for message in messages))

    def _rendering(self, written: _Written, ids: Sequence[int]) -> PromptRendering | PromptError:
        prefix = self._prefix if self._template is None else []
        rendered = np.array([*prefix, *ids] if prefix else ids, np.int32)
        try:
            self._check(rendered, written.roles)
        except PromptError as err:
            return err
        return PromptRendering(rendered, self.stop_id, written.text.replace(_CUT, ""))

    def _plain(self, messages: Sequence[Message]) -> str:
        if len(messages) == 1 and messages[0].role == "user":
            return f"{messages[0].content}\n\nAnswer:\n"
        turns = [f"{message.role.capitalize()}: {message.content}\n\n" for message in messages]
        return "".join(turns) + "Assistant:\n"

    def _chat(self, messages: Sequence[Message]) -> str:
        if self._folds_system:
            messages = _system_in_user(messages)
        return self._apply(messages, opens=True) + self._opening

    def _apply(self, messages: Sequence[Message], opens: bool) -> str:
        """The template's text; with what opens the assistant's turn at its end when `opens`."""
        conversation = [{"role": message.role, "content": message.content} for message in messages]
        assert self._template is not None
        template = _FIXED_DATE + self._template if "strftime_now" in self._template else self._template
        try:
            return self._tokenizer.apply_chat_template(
                conversation, chat_template=template, tokenize=False, add_generation_prompt=opens, **self._options
            )
        except Exception as err:  # jinja and what a template does raise many kinds
            roles = ", ".join(message.role for message in messages)
            reason = one_line(err) or type(err).__name__
            raise PromptError(f"the chat template refuses a conversation of roles {roles}: {reason}") from err

    def _probe_template(self) -> tuple[str, bool, str]:
        """(what opens a turn but is forgotten, whether system messages must be folded, what closes a turn)."""
        user = Message("user", _USER)
        try:
            opened, unopened = self._apply([user], opens=True), self._apply([user], opens=False)
            whole = self._apply([user, Message("assistant", _ASSISTANT)], opens=False)
        except PromptError as err:
            raise ConfigError(f"tokenizer {_name(self._tokenizer)}: {err}") from err
        if _USER not in opened:
            raise ConfigError(f"tokenizer {_name(self._tokenizer)}: its chat template leaves the user's text out")
        before, found, closing = whole.partition(_ASSISTANT)
        opening = ""
        if found and opened == unopened and before.startswith(opened):
            forgotten = before[len(opened) :]  # only white space: a space that belongs to the response's first word
            opening = forgotten if forgotten.strip() else ""
        return opening, not self._has_system_role(user), closing

    def _has_system_role(self, user: Message) -> bool:
        try:
            return _SYSTEM in self._apply([Message("system", _SYSTEM), user], opens=True)
        except PromptError:
            return False

    def _control_tokens(self, closing: str) -> list[str]:
        """Special tokens and the added ones that the template writes, longest first. White space is text."""
        written = closing
        if self._template is not None:
            written += self._apply([Message("user", _USER)], opens=True) + self._opening
        found = {text for text in self._added if text in self._special or text in written}
        return sorted((text for text in found if text.strip()), key=lambda text: (-len(text), text))

    def _cut(self, text: str) -> str:
        """The text with a mark inside everything that reads like a control token."""
        text = text.replace(_CUT, "")
        pieces, done = [], 0
        while match := self._control_text.search(text, done):
            pieces.append(text[done : match.start() + 1])
            done = match.start() + 1
        return _CUT.join([*pieces, text[done:]])

    def _ids(self, text: str) -> list[int]:
        """Ids of a text; at a mark the pieces are encoded apart."""
        first, *rest = text.split(_CUT)
        ids = self._encode(first)
        for piece in rest:
            # SentencePiece puts a space before a text; behind a line break, which is taken off again, it does not.
            anchored = self._encode("\n" + piece)
            if anchored[: len(self._anchor)] == self._anchor:
                ids += anchored[len(self._anchor) :]
            else:
                ids += self._encode(piece)
        return ids

    def _encode(self, text: str) -> list[int]:
        # The batch form is the one that can leave out offsets, which take a third of the time.
        return list(self._backend.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def _check(self, ids: np.ndarray, roles: tuple[str, ...]) -> None:
        """Last line of defence, for tokenizers that find control tokens by other ways than their exact text."""
        if roles not in self._written:
            plain = [Message(role, _USER) for role in roles]
            written = self._prefix if self._template is None else self._ids(self._chat(plain))
            self._written[roles] = self._count_controls(np.array(written, np.int32))
        if len(ids) and ids.max() >= self.vocabulary:
            token = self._backend.id_to_token(int(ids.max()))
            raise PromptError(f"its token {token!r} has no embedding in the model")
        excess = self._count_controls(ids) - self._written[roles]
        if excess:
            token = self._backend.id_to_token(next(iter(excess)))
            raise PromptError(f"its text would become the control token {token!r} under this tokenizer")

    def _count_controls(self, ids: np.ndarray) -> Counter[int]:
        return Counter(ids[self._is_control[ids]].tolist())


def place_context(prompt: Prompt, context: Sequence[Passage]) -> tuple[Message, ...]:
    """The prompt as messages, its context in front of the last user message (see the module)."""
    messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
    said = _folded(" ".join(message.content for message in messages))
    missing = [passage.text.strip() for passage in context if not _is_contained(_folded(passage.text), said)]
    if not missing:
        return messages
    passages = "".join(f"[{number}] {text}\n\n" for number, text in enumerate(missing, start=1))
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        return (*messages, Message("user", f"Passages:\n\n{passages}".rstrip()))
    asked = Message("user", f"Passages:\n\n{passages}{messages[last].content}")
    return (*messages[:last], asked, *messages[last + 1 :])


def _is_contained(passage: str, said: str) -> bool:
    """Whether a passage need not be said: it is empty, or long enough and there already in whole words."""
    if len(passage) < _LEAST_CONTAINED:
        return not passage
    return passage in said and _in_words(passage) in _in_words(said)


def _in_words(text: str) -> str:
    """The words of a folded text and what stands between them, each between line breaks."""
    return "\n".join(["", *re.findall(r"\w+|\W", text), ""])


def _folded(text: str) -> str:
    return " ".join(text.split())


def _system_in_user(messages: Sequence[Message]) -> tuple[Message, ...]:
    """System messages in front of the first user message, for templates without that role."""
    rules = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    if not rules:
        return tuple(rest)
    first = next((i for i, message in enumerate(rest) if message.role == "user"), None)
    if first is None:
        return (Message("user", "\n\n".join(rules)), *rest)
    rest[first] = Message("user", "\n\n".join([*rules, rest[first].content]))
    return tuple(rest)


def _chat_template(tokenizer: Any) -> str | None:
    """The template for conversations, or None for a model without one."""
    template = tokenizer.chat_template
    if isinstance(template, Mapping):
        template = template.get("default")
    return template or None


def _ids_before_text(backend: Tokenizer) -> list[int]:
    """What the tokenizer puts before every text (BOS or nothing)."""
    core, whole = backend.encode("a", add_special_tokens=False).ids, backend.encode("a").ids
    starts: Iterable[int] = range(len(whole) - len(core) + 1)
    return next((whole[:at] for at in starts if whole[at : at + len(core)] == core), [])


def _unknown_id(backend: Tokenizer) -> int | None:
    model = json.loads(backend.to_str())["model"]
    named = model.get("unk_token")
    return model.get("unk_id") if named is None else backend.token_to_id(named)


def _name(tokenizer: Any) -> str:
    return getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
