"""The status page, health and metrics: counts and codes, in two languages, nothing about persons, nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from babel.messages.extract import extract

from hub.delivery.settle import pause_unavailable
from hub.gateway import health, pages
from hub.gateway.glance import Glance
from hub.gateway.language import choose, translations
from hub.ledger import sentences, states
from hub.rights.route import table
from hub.sdk.outbound import Outcome
from tests.gateway.doors import Doors, doors
from tests.hubs import decided, entrant, moved, request

TEMPLATES = Path(pages.__file__).parent / "templates"


async def busy(hub: Doors) -> None:
    """Something delivered, withheld, refused, waiting, needing a person; a partner paused."""
    world = hub.world
    await world.accept("caf", [entrant(n) for n in range(1, 6)])
    await world.accept("cd", [decided(1, world), request(2, "s1", world), request(3, "s1", world)])
    world.partner("s1").programme.extend([Outcome("refused", "COMPLET"), Outcome("retry", "busy")])
    world.partner("ft").programme.append(Outcome("several_matches"))
    await world.pump()
    await world.accept("caf", [moved(4, 1)])
    await pause_unavailable(world.app.database, world.ids["ml"], 3600)


def personal(hub: Doors) -> list[str]:
    """What no page or metric may hold: names, birth dates, numbers of the people of `busy`."""
    return ["INVENTE", "Personne", "1981-", "1982-", "0000001", "dossier"]


async def test_the_page_shows_counts_and_codes_and_nothing_about_persons(database):
    async with doors(database) as hub:
        await busy(hub)
        persons = [str(r.id) for r in await hub.world.sql("select id from person")]
        for language in ("fr", "en"):
            page = await hub.client.get("/", params={"lang": language})
            assert page.status_code == 200
            for secret in [*personal(hub), *persons]:
                assert secret not in page.text, secret
            for shown in (hub.world.ids["s1"], "several_matches", "own_event", "retry"):
                assert shown in page.text, shown


async def test_the_page_speaks_french_and_english(database):
    async with doors(database) as hub:
        await busy(hub)
        french = await hub.client.get("/", headers={"Accept-Language": "en;q=0.5, fr-FR"})
        english = await hub.client.get("/", headers={"Accept-Language": "en-GB,en;q=0.9,fr;q=0.5"})
        chosen = await hub.client.get("/?lang=en", headers={"Accept-Language": "fr"})
        assert '<html lang="fr">' in french.text
        assert "Ce qui demande une intervention" in french.text
        assert "Le système du partenaire trouve plusieurs personnes." in french.text
        assert '<html lang="en">' in english.text
        assert "What needs a person" in english.text
        assert chosen.headers["Content-Language"] == "en"
        assert french.headers["Vary"] == "Accept-Language"
        assert "What needs a person" not in french.text


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "fr"),
        (None, "de, en;q=0.8", "en"),
        (None, "fr;q=0.2, en;q=0.8", "en"),
        (None, "*", "fr"),
        (None, "en;q=x, ;;;", "fr"),
        (None, "en;q=0", "fr"),
        (None, "de", "fr"),
        ("en", "fr", "en"),
        ("../../etc", "en", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_best_accepted(asked, accepted, language):
    assert choose(asked, accepted) == language


async def test_an_empty_hub_has_a_page(database):
    from hub.store.database import run, transaction

    async with doors(database) as hub:
        async with transaction(hub.world.app.database) as connection:
            await run(connection, "update partner set removed_at = now()")
        page = await hub.client.get("/?lang=en")
        assert "No partner is configured yet." in page.text
        assert page.text.count("Nothing.") == 3


class _Outline(HTMLParser):
    """What a screen reader would meet."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


async def test_the_page_asks_for_nothing_from_elsewhere_and_runs_no_script(database):
    async with doors(database) as hub:
        await busy(hub)
        page = await hub.client.get("/")
        outline = _Outline()
        outline.feed(page.text)
        assert not outline.all("script")
        addresses = [a.get(k) for _, a in outline.tags for k in ("href", "src") if a.get(k)]
        assert addresses
        assert all(re.match(r"(/assets/|\?lang=|#)", address) for address in addresses), addresses
        assert not [a for _, a in outline.tags if "style" in a or any(name.startswith("on") for name in a)]
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        for name in set(addresses):
            if name.startswith("/assets/"):
                asset = await hub.client.get(name)
                assert asset.status_code == 200
                assert "http:" not in asset.text.replace("http://www.w3.org/2000/svg", "")
        assert (await hub.client.get("/assets/pages.py")).status_code == 404
        assert (await hub.client.get("/assets/..%2fpages.py")).status_code == 404


async def test_the_page_can_be_read_without_seeing_it(database):
    async with doors(database) as hub:
        await busy(hub)
        outline = _Outline()
        outline.feed((await hub.client.get("/?lang=en")).text)
        names = [tag for tag, _ in outline.tags]
        assert [names.count(t) for t in ("html", "main", "h1", "title", "header", "footer")] == [1] * 6
        headings = [int(t[1]) for t in names if re.fullmatch("h[1-6]", t)]
        assert all(after - before <= 1 for before, after in pairwise(headings))
        assert all(th.get("scope") in ("col", "row") for th in outline.all("th"))
        assert all("alt" in image for image in outline.all("img"))
        ids = [a["id"] for _, a in outline.tags if "id" in a]
        assert len(ids) == len(set(ids))
        referred = [a["aria-labelledby"] for _, a in outline.tags if "aria-labelledby" in a]
        assert set(referred) <= set(ids)
        assert ("a", {"class": "skip", "href": "#main"}) in outline.tags


def test_colours_can_be_told_apart():
    """WCAG 2.2 AA: 4.5 : 1 for every pair of text and ground that the style sheet uses, in light and dark."""
    css = (TEMPLATES.parent / "assets" / "hub.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(themes) == 2
    pairs = [
        ("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("link", "paper"), ("soft", "track"),
        ("on-brand", "brand"), ("green", "green-soft"), ("amber", "amber-soft"), ("red", "red-soft"), ("link", "blue-soft"),
        ("green", "card"), ("amber", "card"), ("red", "card"), ("ink", "red-soft"),
    ]  # fmt: skip
    for theme in themes:
        for text, ground in pairs:
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_has_its_french():
    french = translations("fr")
    with (TEMPLATES / "status.html").open("rb") as source:
        texts = [message for _, message, _, _ in extract("jinja2.ext:babel_extract", source)]
    known = french._catalog
    missing = [text for text in [*texts, *sentences.all_sentences()] if text not in known]
    assert not missing
    for text in texts:
        assert re.findall(r"%\(\w+\)s", text) == re.findall(r"%\(\w+\)s", french.gettext(text)), text


def test_every_reason_has_a_sentence_and_every_human_one_an_advice():
    for state in ("waiting", "human"):
        for reason in states.reasons(state):
            assert sentences.why(state, reason), reason
    for reason in states.reasons("human"):
        assert sentences.what_to_do(reason), reason
    assert all(sentences.why("withheld", reason) for reason in states.reasons("withheld"))
    assert states.reasons("withheld") == table().reasons.keys()
    assert all(sentences.state(name) for name in states.table()["states"])


async def test_metrics_count_by_partner_state_and_reason_and_name_nobody(database):
    async with doors(database) as hub:
        await busy(hub)
        await hub.client.get("/v1/events/1")
        text = (await hub.client.get("/metrics")).text
        s1 = hub.world.ids["s1"]
        for line in (
            "hub_up 1.0",
            "hub_events 9.0",
            "hub_events_unrouted 1.0",
            f'hub_deliveries{{partner="{s1}",state="refused"}} 1.0',
            f'hub_deliveries{{partner="{s1}",state="waiting"}} 1.0',
            'hub_deliveries_human{reason="several_matches"} 1.0',
            f'hub_partner_paused{{kind="unavailable",partner="{hub.world.ids["ml"]}"}} 1.0',
            "hub_findings_open 0.0",
            'hub_http_requests_total{route="/v1/events/{id}",status="401"} 1.0',
        ):
            assert line in text.splitlines(), line
        persons = [str(r.id) for r in await hub.world.sql("select id from person")]
        for secret in [*personal(hub), *persons]:
            assert secret not in text, secret


async def test_many_who_look_count_once(database):
    async with doors(database) as hub:
        at = 0.0
        glance = Glance(lambda: hub.world.app.database, fresh=5.0, clock=lambda: at)
        first = await glance.now()
        await hub.world.accept("caf", [entrant(1)])
        assert await glance.now() is first
        at = 5.0
        assert (await glance.now()).accepted.total == 1


async def test_the_light_is_green_amber_or_red(database):
    async with doors(database) as hub:
        await hub.world.accept("caf", [entrant(1)])
        found = await Glance(lambda: hub.world.app.database).now()
        assert pages.light(found) == "green"
        found.unrouted.oldest_seconds = 61
        assert pages.light(found) == "amber"
        found.findings = 1
        assert pages.light(found) == "red"


async def test_health_and_readiness_say_why_not(database, monkeypatch):
    async with doors(database) as hub:
        assert (await hub.client.get("/health")).json() == {"status": "up"}
        settings = hub.world.app.settings.model_copy(update={"kafka": "127.0.0.1:1"})
        monkeypatch.setattr(hub.world.app, "settings", settings)
        monkeypatch.setattr(health, "answers", lambda *_: True)
        ready = await hub.client.get("/ready")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
        monkeypatch.setattr(health, "answers", lambda *_: False)
        ready = await hub.client.get("/ready")
        assert ready.status_code == 503
        assert "broker" in ready.json()["reasons"][0]
        await hub.world.sql("update alembic_version set version_num = '0000' returning 1")
        ready = await hub.client.get("/ready")
        assert [r for r in ready.json()["reasons"] if "0000" in r]


async def test_a_database_that_is_away_leaves_health_and_metrics_answering(database, monkeypatch):
    from hub.store.database import engine

    async with doors(database) as hub:
        away = engine("postgresql+asyncpg://hub@127.0.0.1:1/none")
        monkeypatch.setitem(hub.world.app.__dict__, "database", away)
        assert (await hub.client.get("/health")).status_code == 200
        assert "hub_up 0.0" in (await hub.client.get("/metrics")).text
        ready = await hub.client.get("/ready")
        assert ready.status_code == 503
        assert "database" in ready.json()["reasons"][0]
        assert (await hub.client.get("/")).status_code == 503
        await away.dispose()


def test_a_broker_that_is_away_does_not_answer():
    from hub.log.ping import answers

    assert answers("127.0.0.1:1", 0.3) is False


async def test_unknown_addresses_are_problems_too(database):
    async with doors(database) as hub:
        missing = await hub.client.get("/v1/nothing")
        assert (missing.status_code, missing.json()["reason"]) == (404, "not_found")
        wrong = await hub.client.put("/v1/events")
        assert (wrong.status_code, wrong.json()["reason"]) == (405, "not_allowed")
        assert wrong.headers["content-type"] == "application/problem+json"


async def test_the_description_names_every_record_and_problem(database):
    async with doors(database) as hub:
        document = (await hub.client.get("/v1/openapi.json")).json()
        schemas = document["components"]["schemas"]
        assert {"OrientationDecided", "MeasureRequested", "Person", "Problem"} <= schemas.keys()
        assert "IdentityLinked" not in schemas
        references = set(re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')))
        assert references <= schemas.keys()
        assert {"202", "409", "422", "507"} <= document["paths"]["/v1/events"]["post"]["responses"].keys()
