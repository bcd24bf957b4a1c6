"""The page put together: template, style and script of this package, figures, records as JSON inside its own tag.

The page fetches nothing and runs nothing but its own script: a Content-Security-Policy names the hashes of the one
style and the one script and forbids the rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from schemas.disk import remove_partials, write_atomically
from schemas.errors import ConfigError
from schemas.interruption import completing
from schemas.manifest import MANIFEST, SHARD_FOLDER

_SCRIPTS: Final = ("text.js", "record_list.js", "record.js", "attention.js")
# What could end the tag, or change how the file reads in an editor: direction controls, line separators, C1 controls.
_UNSAFE_IN_JSON: Final = re.compile("[<>&\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_OURS: Final = b'content="balto report"'
_HEAD_BYTES: Final = 4096


def json_in_html(value: Any) -> str:
    """A JSON document that may stand in a script element: `<`, `>`, `&` and invisible characters are escaped.

    Raises ValueError for a number that JSON does not have: a browser would read none of the page's records.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def render_page(values: Mapping[str, Any], records: Sequence[str]) -> str:
    """The whole page.   values: what page.html names.   records: each as `json_in_html` gives it."""
    folder = files("pipeline.report") / "page"
    style = (folder / "page.css").read_text(encoding="utf-8")
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    # Only our own files and JSON that is already safe skip the escaping.
    own = {"style": Markup(style), "script": Markup(script), "records": Markup(f"[{','.join(records)}]")}  # noqa: S704
    return template.render(**values, **own, policy=policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def check_target(out: Path) -> None:
    """Raises ConfigError where a page cannot or must not be written. Called before any work."""
    if str(out).startswith(("gs:", "s3:")):
        raise ConfigError(f"--out {out}: the page is written to a local file; name one")
    if out.is_dir():
        raise ConfigError(f"--out {out}: is a folder; name a file, such as {out / 'page.html'}")
    folder = out.parent
    if not folder.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {folder}; make it first")
    for above in (folder.resolve(), *folder.resolve().parents):
        if (above / MANIFEST).is_file() and (above / SHARD_FOLDER).is_dir():
            raise ConfigError(f"--out {out}: lies inside a label set ({above.name}); name a file elsewhere")
    if out.exists() and not _is_report(out):
        raise ConfigError(f"--out {out}: is a file that `balto report` did not write; name another")


def _is_report(path: Path) -> bool:
    with open(path, "rb") as file:
        return _OURS in file.read(_HEAD_BYTES)


def write_page(out: Path, page: str) -> None:
    """Write the page atomically: a reader of `out` sees the old page or all of the new one."""
    remove_partials(out.parent, out.name)  # of a command that was killed
    with completing():
        write_atomically(out, page.encode("utf-8"))
