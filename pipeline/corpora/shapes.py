"""Chat messages, passages and responses in the shapes of other tools -> those of our own format.

    messages   ShareGPT {from, value}, LangChain and Ragas {type, content}, Gemini {role, parts}; content as text parts
    passages   objects with their text under another name, documents of LangChain and LlamaIndex; one without a list
    response   the assistant's message instead of its text

What is in no shape that is known here comes back as it is, for the check of our own format to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ASSISTANT: Final = "assistant"
_ROLES: Final = {"human": "user", "gpt": ASSISTANT, "ai": ASSISTANT, "chatgpt": ASSISTANT, "model": ASSISTANT}
_ROLE_NAMES: Final = ("role", "from", "type")
_CONTENT_NAMES: Final = ("content", "value", "parts", "text")
_TEXT_NAMES: Final = ("text", "content", "page_content", "contents", "passage", "chunk", "body", "snippet")
_WRAPPERS: Final = ("kwargs", "node", "document")  # of LangChain's dumps, and of what LlamaIndex and others score
# Beside its text, what says of a passage where it is from and how it was found. An object with more is a data record.
_OF_PASSAGES: Final = {
    "passage_id",
    "id",
    "doc_id",
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


def our_shapes(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose fields have our names with prompt, context and response in our shapes."""
    known = {"prompt": messages, "context": passages, "response": response_text}
    return {name: known[name](value) if name in known else value for name, value in obj.items()}


def messages(prompt: Any) -> Any:
    """Chat messages as [{role, content}]; a text as it is."""
    return [_message(item) for item in prompt] if type(prompt) is list else prompt


def ends_with_answer(prompt: Any) -> bool:
    """Whether chat messages in our shape hold the response as their last turn."""
    return type(prompt) is list and len(prompt) > 1 and type(prompt[-1]) is dict and prompt[-1]["role"] == ASSISTANT


def response_text(response: Any) -> Any:
    """The text of a response that is a message, or a list of one."""
    if type(response) is list and len(response) == 1 and type(response[0]) is dict:
        response = response[0]
    return _message(response).get("content") if type(response) is dict else response


def passages(context: Any) -> Any:
    """Passages as [{passage_id, text}] or texts; one passage or text without its list is taken too."""
    if type(context) is dict:
        return [_passage(context)] if context.keys() <= {*_OF_PASSAGES, *_TEXT_NAMES, *_WRAPPERS} else context
    return [_passage(item) for item in context] if type(context) is list else context


def _message(item: Any) -> Any:
    if type(item) is not dict:
        return item
    role = _first(item, _ROLE_NAMES)
    content = _first(item, _CONTENT_NAMES)
    known = _ROLES.get(role, role) if type(role) is str else role
    return {"role": known, "content": _parts_text(content) if type(content) is list else content}


def _parts_text(parts: list[Any]) -> Any:
    """The texts of a content in parts, a line each; the parts as they are when one is no text (an image, say)."""
    texts = [part.get("text") if type(part) is dict and part.get("type") in _TEXT_PARTS else part for part in parts]
    return "\n".join(map(str, texts)) if all(type(text) is str for text in texts) else parts


def _passage(item: Any) -> Any:
    """A passage object under our names. Its title, if any, becomes its first line: facts may stand there only."""
    if type(item) is not dict:
        return item
    inner = _first(item, _WRAPPERS)
    found = inner if type(inner) is dict and _first(item, _TEXT_NAMES) is None else item
    text = _first(found, _TEXT_NAMES)
    if text is None:
        return item
    title = found.get("title") or _title_of(found.get("metadata"))
    if type(title) is str and title and type(text) is str:
        text = f"{title}\n{text}"
    return {"passage_id": found.get("passage_id", found.get("id")), "text": text}


def _title_of(metadata: Any) -> Any:
    return metadata.get("title") if type(metadata) is dict else None


def _first(obj: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first value of the names that is not null."""
    return next((obj[name] for name in names if obj.get(name) is not None), None)
