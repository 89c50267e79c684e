"""France Travail's APIs as far as a decision needs them: tokens, search, orientation in force, decision; answers by body codes.

A decision acts on the current orientation and is applied each time it arrives: there is no key. The log shows doubles.
"""

from __future__ import annotations

import argparse
import hmac
import json
import random
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.sdk.codes import code_table
from hub.sdk.twin import Twin, main

CODES = Path(__file__).parent / "codes"
SCOPES = frozenset(
    {"api_rechercher-usagerv2", "rechercheusager", "profil_accedant", "api_informations-administrativesv1", "api_orientationusagerv1"}
)  # fmt: skip
_LIFE = 1499
_HEADERS = ("pa-identifiant-agent", "pa-nom-agent", "pa-prenom-agent")
_AGENT = re.compile(r"[A-Z0-9-]{3,20}", re.ASCII)


@dataclass
class _Usager:
    """One person. `orientation` None: none open yet. `searches`: how often it was looked for before it appeared."""

    number: str
    nir: str
    born: str
    orientation: dict[str, Any] | None = None
    no_address: bool = False
    twice: bool = False
    decisions: list[dict[str, Any]] = field(default_factory=list)


class FranceTravailTwin(Twin):
    """`auto`: a person searched for is there at once with this chance (drawn by the seed), else from the second search on,
    with a proposal; None: only who was registered by hand. `client_secret` None: any secret is good."""

    name = "france_travail"
    code_field = "codeRetour"
    honest = (
        "A fake of some of France Travail's APIs for the demo and the tests, after public descriptions of them. It "
        "proposes by a seed and knows nobody; where the descriptions are silent (answers of a decision, expired tokens) "
        "its behaviour is a guess, see README.md."
    )

    def __init__(
        self,
        state: Path,
        *,
        auto: float | None = None,
        client_secret: str | None = None,
        life: float = _LIFE,
        **more: Any,
    ) -> None:
        self.auto, self.client_secret, self.life = auto, client_secret, life
        self.tokens: dict[str, datetime] = {}
        self._key = secrets.token_bytes(16)
        super().__init__(state, **more)

    # ------------------------------------------------------------------ state
    def reset(self) -> None:
        self.usagers: dict[str, _Usager] = {}
        self.searched: dict[str, int] = {}

    def fold(self, effect: Mapping[str, Any]) -> None:
        match effect["effect"]:
            case "registered":
                self.usagers[effect["usager"]["number"]] = _Usager(**effect["usager"])
            case "searched":
                self.searched[effect["who"]] = self.searched.get(effect["who"], 0) + 1
            case "proposed":
                self.usagers[effect["number"]].orientation = dict(effect["orientation"])
            case "decided":
                self._decided(self.usagers[effect["number"]], effect["decision"])

    def _decided(self, usager: _Usager, decision: dict[str, Any]) -> None:
        """Both verbs lead to a decided orientation; a refusal of the proposal sets another one in its place."""
        current = dict(usager.orientation or {})
        if decision["etat_decision"] == "REFUSEE":
            current |= {"parcours": decision["parcours"], "organisme": decision["organisme"]}
        usager.orientation = current | {"statut": "DECIDE", "etat": "OUVERT", "decision": decision}
        usager.decisions.append(decision)

    def register(self, nir: str, born: str, number: str | None = None, **more: Any) -> str:
        """Make a person known; returns its number. `more`: orientation, no_address, twice."""
        number = number or f"{7600000000 + len(self.usagers) + 1:011d}"
        self.apply("registered", usager={"number": number, "nir": nir[:13], "born": born, **more})
        return number

    def propose(self, number: str, parcours: str, organisme: str) -> None:
        """What the engine recommends for a person."""
        self.apply("proposed", number=number, orientation=_proposal(parcours, organisme))

    # ------------------------------------------------------------------ API
    def routes(self) -> list[Route]:
        base = "/partenaire"
        return [
            Route("/connexion/oauth2/access_token", self._token, methods=["POST"]),
            Route(
                f"{base}/rechercher-usager/v2/usagers/par-datenaissance-et-nir",
                self._by_nir,
                methods=["POST"],
            ),
            Route(
                f"{base}/rechercher-usager/v2/usagers/par-numero-francetravail",
                self._by_number,
                methods=["POST"],
            ),
            Route(f"{base}/informations-administratives/v1/usager", self._administrative),
            Route(f"{base}/orientationusager/v1/lectureOrientation", self._read),
            Route(f"{base}/orientationusager/v1/decisionOrientation", self._decide, methods=["POST"]),
        ]

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        asked = set(form.get("scope", "").split(" "))
        if form.get("grant_type") != "client_credentials" or not request.query_params.get("realm"):
            return JSONResponse({"error": "invalid_request"}, 400)
        if not form.get("client_id") or self.client_secret not in (None, form.get("client_secret")):
            return JSONResponse({"error": "invalid_client"}, 400)
        if not asked <= SCOPES:
            return JSONResponse({"error": "invalid_scope"}, 400)
        token = secrets.token_urlsafe(16)
        self.tokens[token] = self.clock() + timedelta(seconds=self.life)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": self.life})

    async def _by_nir(self, request: Request) -> Response:
        body = await _body(request)
        nir, born = str(body.get("nir") or ""), str(body.get("dateNaissance") or "")
        if refusal := self._refused(request):
            return refusal
        if len(nir) not in (13, 15) or not _is_day(born):
            return _code("R997", 400)
        who = hmac.new(b"twin", f"{nir[:13]}/{born}".encode(), "sha256").hexdigest()[:12]
        found = next((u for u in self.usagers.values() if (u.nir, u.born) == (nir[:13], born)), None)
        if found is None and self.auto is not None:
            found = self._appear(who, nir, born)
        return self._found(found)

    async def _by_number(self, request: Request) -> Response:
        body = await _body(request)
        if refusal := self._refused(request):
            return refusal
        number = str(body.get("numeroFranceTravail") or "")
        return self._found(self.usagers.get(number)) if len(number) == 11 else _code("R997", 400)

    def _appear(self, who: str, nir: str, born: str) -> _Usager | None:
        """The registration by CAF and MSA arrives by itself, for some only later."""
        draw = random.Random(f"{self.seed}:{who}")
        self.apply("searched", who=who)
        if draw.random() >= (self.auto or 0) and self.searched[who] < 2:
            return None
        number = self.register(nir, born)
        self.propose(number, draw.choice(("PED", "PSP", "PSO")), draw.choice(("FT", "CD", "ML")))
        return self.usagers[number]

    def _found(self, usager: _Usager | None) -> Response:
        if usager is None:
            return _code("S002", 200)
        if usager.twice:
            return _code("S003", 200)
        if usager.no_address:
            return _code("R998", 500)
        return JSONResponse(
            {
                "codeRetour": "S001",
                "message": "trouvé",
                "topIdentiteCertifiee": "O",
                "jetonUsager": self._person_token(usager),
            }
        )

    async def _administrative(self, request: Request) -> Response:
        usager = self._usager(request)
        if isinstance(usager, Response):
            return usager
        return JSONResponse(
            {"numeroFranceTravail": usager.number, "etatCivil": {"dateNaissance": usager.born}}
        )

    async def _read(self, request: Request) -> Response:
        usager = self._usager(request)
        if isinstance(usager, Response):
            return usager
        if usager.orientation is None:
            return Response(status_code=204)
        return JSONResponse(usager.orientation)

    async def _decide(self, request: Request) -> Response:
        usager, decision = self._usager(request), await _body(request)
        if isinstance(usager, Response):
            return usager
        if usager.orientation is None or _decision_problem(decision, self.clock().date()):
            return _code("R997", 400)
        self.apply("decided", number=usager.number, decision=decision)
        return JSONResponse({}, 201)

    # ------------------------------------------------------------------ who asks, about whom
    def _refused(self, request: Request) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self.tokens.get(token, self.clock()) <= self.clock():
            return JSONResponse({"error": "invalid_token"}, 401)
        if not all(request.headers.get(name) for name in _HEADERS):
            return _code("R001", 403)
        return None

    def _person_token(self, usager: _Usager) -> str:
        until = int((self.clock() + timedelta(hours=24)).timestamp())
        text = f"{usager.number}.{until}"
        return f"{text}.{hmac.new(self._key, text.encode(), 'sha256').hexdigest()[:16]}"

    def _usager(self, request: Request) -> _Usager | Response:
        if refusal := self._refused(request):
            return refusal
        number, _, rest = request.headers.get("ft-jeton-usager", "").partition(".")
        until, _, seal = rest.partition(".")
        known = hmac.new(self._key, f"{number}.{until}".encode(), "sha256").hexdigest()[:16]
        good = hmac.compare_digest(seal.encode(), known.encode())
        if not good or int(until) < self.clock().timestamp():
            return _code("JETON_USAGER", 403)
        return self.usagers[number]


def _proposal(parcours: str, organisme: str) -> dict[str, Any]:
    return {
        "parcours": parcours,
        "organisme": organisme,
        "statut": "PRECONISE",
        "etat": "EN_ATTENTE",
        "origine": "INSCRIPTION_AUTO_CAF",
        "date_entree_parcours": None,
        "structure": None,
        "decision": None,
    }


def _decision_problem(decision: Mapping[str, Any], today: date) -> str | None:
    """Why a decision is refused, or None."""
    if decision.get("etat_decision") not in ("ACCEPTEE", "REFUSEE"):
        return "etat_decision"
    if decision.get("organisme_decision") not in ("CD", "DCD") or not _AGENT.fullmatch(
        str(decision.get("agent_decision"))
    ):
        return "organisme_decision"
    day = str(decision.get("date_decision"))
    if not _is_day(day) or date.fromisoformat(day) > today:
        return "date_decision"
    if decision["etat_decision"] == "ACCEPTEE":
        return None
    tables = {"motif_refus": "motifs_refus", "parcours": "parcours", "organisme": "organismes"}
    for name, table in tables.items():
        if not code_table(CODES / f"{table}.csv").to_hub(str(decision.get(name))).known:
            return name
    return None


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _code(code: str, status: int) -> Response:
    return JSONResponse({"codeRetour": code}, status)


def _make(arguments: argparse.Namespace) -> FranceTravailTwin:
    return FranceTravailTwin(arguments.state, seed=arguments.seed, auto=arguments.auto)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=FranceTravailTwin.honest)
    parser.add_argument(
        "--auto",
        type=float,
        default=0.8,
        help="chance that a person searched for is there at once (else the second time)",
    )
    main(_make, parser)
