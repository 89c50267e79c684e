"""Errors of the partner API as RFC 9457 problem documents: a stable code, a sentence, and the fields concerned.

No document, log line or exception text ever holds a value that was sent.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from starlette.responses import JSONResponse

from hub.rights.route import table

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {507: "300", 503: "5"}
"""Seconds after which trying again makes sense."""


class Code(NamedTuple):
    """A code of problems.toml."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule. `pointer` is an RFC 6901 pointer into the event."""

    pointer: str
    rule: str


class Problem(Exception):
    """What the sender gets instead of a receipt. `code` is one of problems.toml or of route.toml's refusals."""

    def __init__(
        self,
        code: str,
        errors: Sequence[FieldError] = (),
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = _document()["codes"].get(code, {}).get("as", code)
        self.status, sentence = codes().get(self.code, _OTHER)
        self.detail, self.errors = detail or sentence, tuple(errors)
        wait = {"Retry-After": RETRY_AFTER[self.status]} if self.status in RETRY_AFTER else {}
        self.headers = {**wait, **(headers or {})}

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        found: dict[str, Any] = {
            "type": f"urn:spie:problem:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "reason": self.code,
            "detail": self.detail,
        }
        if self.errors:
            found["errors"] = [asdict(error) for error in self.errors]
        return found

    def response(self) -> JSONResponse:
        """As an HTTP answer."""
        return JSONResponse(self.document(), self.status, self.headers, MEDIA_TYPE)


_OTHER = Code(422, "The event was refused; nothing was kept.")


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("problems.toml").read_text(encoding="utf-8"))


@cache
def codes() -> Mapping[str, Code]:
    """Every code that a sender may see, with its status and sentence. A code "as" another one is shown as that one: some
    reasons would tell what is none of the sender's business. Raises ValueError when a refusal of routing has no status."""
    document, sentences = _document(), table().refusals
    found = {
        name: Code(entry["status"], entry["detail"])
        for name, entry in document["codes"].items()
        if "as" not in entry
    }
    for status, names in document["refusals"].items():
        found |= {name: Code(int(status), sentences[name]) for name in names}
    if missing := sentences.keys() - found.keys():
        raise ValueError(f"problems.toml: no status for {', '.join(sorted(missing))}")
    return found
