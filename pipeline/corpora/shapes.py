"""Chat messages, passages and responses in the shapes of other tools -> those of our own format.

    messages   ShareGPT {from, value}, LangChain and Ragas {type, content}, Gemini {role, parts}; content as text parts;
               an assistant's tool calls, without content, as JSON text
    passages   objects with their text under another name, documents of LangChain and LlamaIndex; one without a list;
               HotpotQA's [title, [sentence, ...]]; objects of lists, as `datasets` and MS MARCO hold them
    response   the assistant's message instead of its text

What is in no shape that is known here comes back as it is, for the check of our own format to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.corpora.place import json_text

ASSISTANT: Final = "assistant"
_ROLES: Final = {"human": "user", "gpt": ASSISTANT, "ai": ASSISTANT, "chatgpt": ASSISTANT, "model": ASSISTANT}
_ROLE_NAMES: Final = ("role", "from", "type")
_CONTENT_NAMES: Final = ("content", "value", "parts", "text")
_CALL_NAMES: Final = ("tool_calls", "function_call")
_TEXT_NAMES: Final = (
    *("text", "content", "page_content", "contents", "passage", "chunk", "body", "snippet"),
    *("paragraph_text", "passage_text", "chunk_text", "document.content", "sentences"),
)
_ID_NAMES: Final = ("passage_id", "id", "_id", "id_", "chunk_id", "doc_id", "docid", "document.id")
_WRAPPERS: Final = ("kwargs", "node", "document")  # of LangChain's dumps, and of what LlamaIndex and others score
# Beside its text, what says of a passage where it is from and how it was found. An object with more is a data record.
_OF_PASSAGES: Final = {
    *_ID_NAMES,
    "title",
    "metadata",
    "meta",
    "score",
    "source",
    "url",
    "type",
    "lc",
}
_TEXT_PARTS: Final = (None, "text", "input_text", "output_text")


def our_shapes(obj: Mapping[str, Any], is_log: bool = False) -> dict[str, Any]:
    """A record whose fields have our names with prompt, context and response in our shapes.

    is_log: without a response, the last turn of the prompt is one.
    """
    response = response_text(obj.get("response"))
    known = {
        "prompt": lambda value: messages(value, is_answered=response is not None or not is_log),
        "context": passages,
        "response": lambda _: response,
    }
    return {name: known[name](value) if name in known else value for name, value in obj.items()}


def messages(prompt: Any, is_answered: bool = False) -> Any:
    """Chat messages as [{role, content}]; a text as it is.

    Tool calls at the end are no answer: they get no text, unless the answer stands elsewhere (is_answered).
    """
    if type(prompt) is not list:
        return prompt
    return [*map(_with_calls, prompt[:-1]), *map(_with_calls if is_answered else _without_calls, prompt[-1:])]


def has_calls(prompt: Any) -> bool:
    """Whether a turn of chat messages has tool calls, which are its text where it has no other."""
    return type(prompt) is list and any(_calls(turn) for turn in prompt)


def ends_with_answer(prompt: Any) -> bool:
    """Whether chat messages in our shape hold the response as their last turn."""
    return type(prompt) is list and len(prompt) > 1 and type(prompt[-1]) is dict and prompt[-1]["role"] == ASSISTANT


def response_text(response: Any) -> Any:
    """The text of a response that is a message, or a list of one."""
    if type(response) is list and len(response) == 1 and type(response[0]) is dict:
        response = response[0]
    return _without_calls(response)["content"] if type(response) is dict and _is_message(response) else response


def _is_message(response: Mapping[str, Any]) -> bool:
    """Not what a service returned around it, {id, choices}: its text stands deeper."""
    return any(name in response for name in _CONTENT_NAMES)


def passages(context: Any) -> Any:
    """Passages as [{passage_id, text}] or texts; one passage or text without its list is taken too.

    Ids under the names of other tools are left out where two passages share one, as chunks of one document do.
    """
    if type(context) is dict:
        listed = _listed(context)
        if listed is None and not context.keys() <= {*_OF_PASSAGES, *_TEXT_NAMES, *_WRAPPERS}:
            return context
        context = [context] if listed is None else listed
    if type(context) is not list:
        return context
    if len(context) == 1 and _are_texts(context[0]):  # a list per query, of one query: so a vector store answers
        return context[0]
    return _ids_apart(context, [_passage(item) for item in context])


def _ids_apart(context: list[Any], found: list[Any]) -> list[Any]:
    """The passages found in `context`, without their ids where two share one that is under another name than ours.

    A passage without an id is p1, p2, ... by its place, which may be the id of another.
    """
    own = [one.get("passage_id") if type(one) is dict else None for one in found]
    ids = {f"p{index}" if one is None else str(one) for index, one in enumerate(own, start=1)}
    are_ours = any(type(item) is dict and "passage_id" in item for item in context)
    if are_ours or len(ids) == len(found):
        return found
    return [{**one, "passage_id": None} if type(one) is dict and "passage_id" in one else one for one in found]


def _listed(context: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The passages of an object of lists, {title: [...], text: [...]}, one by one; None for any other object."""
    columns = list(context.values())
    are_lists = all(type(one) is list for one in columns)
    if not are_lists or _first(context, _TEXT_NAMES) is None or len(set(map(len, columns))) > 1:
        return None
    return [dict(zip(context, row, strict=True)) for row in zip(*columns, strict=True)]


def _message(item: Any) -> Any:
    if type(item) is not dict:
        return item
    role = _first(item, _ROLE_NAMES)
    content = _first(item, _CONTENT_NAMES)
    known = _ROLES.get(role, role) if type(role) is str else role
    return {"role": known, "content": _parts_text(content) if type(content) is list else content}


def _with_calls(item: Any) -> Any:
    """A message under our names, whose tool calls are its text where it has no other."""
    found, calls = _message(item), _calls(item)
    return {**found, "content": json_text(calls, "tool_calls")} if calls and not found["content"] else found


def _without_calls(item: Any) -> Any:
    """A message under our names, without a text where tool calls stand beside an empty one."""
    found = _message(item)
    return {**found, "content": None} if _calls(item) and not found["content"] else found


def _calls(item: Any) -> Any:
    return _first(item, _CALL_NAMES) if type(item) is dict else None


def _parts_text(parts: list[Any]) -> Any:
    """The texts of a content in parts, a line each; the parts as they are when one is no text (an image, say)."""
    texts = [part.get("text") if type(part) is dict and part.get("type") in _TEXT_PARTS else part for part in parts]
    return "\n".join(map(str, texts)) if all(type(text) is str for text in texts) else parts


def _passage(item: Any) -> Any:
    """A passage object under our names. Its title, if any, becomes its first line: facts may stand there only.

    Sentences of a passage in a list are joined by spaces.
    """
    if type(item) is list and len(item) == 2 and type(item[0]) is str and type(item[1]) is list:
        item = dict(zip(("title", "text"), item, strict=True))
    if type(item) is not dict:
        return item
    inner = _first(item, _WRAPPERS)
    found = inner if type(inner) is dict and _first(item, _TEXT_NAMES) is None else item
    text = _first(found, _TEXT_NAMES)
    if text is None:
        return item
    if _are_texts(text):
        text = " ".join(sentence.strip() for sentence in text)
    title = found.get("title") or _title_of(found.get("metadata"))
    if type(title) is str and title and type(text) is str and not text.startswith(title):
        text = f"{title}\n{text}"
    return {"passage_id": _passage_id(found), "text": text}


def _passage_id(found: Mapping[str, Any]) -> Any:
    """Ours whatever it is, to be checked; of the ids of other tools the first that can be one."""
    if found.get("passage_id") is not None:
        return found["passage_id"]
    return next((found[name] for name in _ID_NAMES if type(found.get(name)) in (str, int)), None)


def _are_texts(value: Any) -> bool:
    return type(value) is list and all(type(one) is str for one in value)


def _title_of(metadata: Any) -> Any:
    return metadata.get("title") if type(metadata) is dict else None


def _first(obj: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first value of the names that is not null."""
    return next((obj[name] for name in names if obj.get(name) is not None), None)
