"""The status page: read-only, one look at what came in, what left, what waits or needs a person, and why."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from hub.gateway.glance import Glance
from hub.gateway.language import LANGUAGES, Formats, choose, translations
from hub.ledger import sentences
from hub.ledger.overview import Overview, PartnerLine

HERE = Path(__file__).parent
ASSETS = {"hub.css": "text/css; charset=utf-8", "hub.svg": "image/svg+xml"}


def environment() -> Environment:
    """The templates; a name that is missing is an error, everything is escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    return made


def routes(glance: Glance) -> APIRouter:
    """The router of the page and what it is made of."""
    router = APIRouter(include_in_schema=False)
    pages = {language: _translated(language) for language in LANGUAGES}

    @router.get("/")
    async def status(request: Request) -> Response:
        asked = request.query_params.get("lang")
        language = choose(asked, request.headers.get("accept-language", ""))
        found = await glance.now()
        text = pages[language].get_template("status.html").render(**context(found, language))
        return HTMLResponse(text, headers={"Content-Language": language, "Vary": "Accept-Language"})

    @router.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            return Response(status_code=404)
        return FileResponse(
            HERE / "assets" / name, media_type=ASSETS[name], headers={"Cache-Control": "max-age=300"}
        )

    return router


def _translated(language: str) -> Environment:
    made = environment()
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    return made


def context(found: Overview, language: str) -> dict[str, object]:
    """What the template may use."""
    partners = [p for p in found.partners if not p.removed]
    return {
        "now": found,
        "language": language,
        "languages": LANGUAGES,
        "format": Formats(language),
        "partners": sorted(partners, key=lambda p: (-p.states.get("human", 0), -p.open, p.id)),
        "condition": condition,
        "light": light(found),
        "why": sentences.why,
        "what_to_do": sentences.what_to_do,
        "widest": max((r.count for r in found.reasons), default=1),
    }


def condition(partner: PartnerLine) -> str:
    """One word for a partner: paused, loading, human, late or well."""
    if partner.pauses:
        return "paused"
    if not partner.loaded:
        return "loading"
    if partner.states.get("human"):
        return "human"
    return "waiting" if partner.open else "well"


def light(found: Overview) -> str:
    """The reconciliation light: red when something is not accounted for, amber when something is late, else green."""
    if found.findings:
        return "red"
    late = max(found.unpublished.oldest_seconds, found.unrouted.oldest_seconds) > 60
    return "amber" if late else "green"
