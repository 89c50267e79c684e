"""Several structures in one process: each takes requests under an idempotency key and answers by its places and a seed.

``/s/<id>/orientations``, ``/s/<id>/notices``, ``/s/<id>/answers?after=``: the contract of README.md, with its refusals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.sdk.twin import Twin, main

FORBIDDEN = frozenset(
    {"nir", "numero_caf", "matricule", "numero_demande_rsa", "etat_dossier", "date_naissance"}
)
NATURES = frozenset(
    {"droit_rsa", "coordonnees", "etat_civil", "depart_du_departement", "orientation", "referent"}
)
MOST_BYTES = 64 * 1024


@dataclass
class _Structure:
    """`kept`: idempotency key → (digest of the body, answer given). `asked`: requests that are still to be answered."""

    places: int
    kept: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)


class StructureTwin(Twin):
    """`places` is what each structure has at first; a structure exists from its first request on. `share` are the chances
    of yes, no and later. `api_key` None: any bearer key is good."""

    name = "structure"
    honest = (
        "A fake of insertion structures for the demo and the tests. It applies each idempotency key once, keeps its "
        "effects in a log and decides by a seed; no real structure is behind it, and it decides about nobody."
    )
    every = 0.5

    def __init__(
        self,
        state: Path,
        *,
        places: int = 10,
        share: tuple[float, float, float] = (0.7, 0.2, 0.1),
        api_key: str | None = None,
        answers: bool = True,
        **more: Any,
    ) -> None:
        self.places, self.share, self.api_key, self.answers = places, share, api_key, answers
        super().__init__(state, **more)

    def reset(self) -> None:
        self.structures: dict[str, _Structure] = {}

    def fold(self, effect: Mapping[str, Any]) -> None:
        structure = self.structures.setdefault(effect["structure"], _Structure(self.places))
        if effect["effect"] == "answered":
            structure.answers.append(effect["answer"])
            structure.places -= effect["answer"]["statut"] == "VALIDÉE"
            measure = effect["answer"]["orientation_id"]
            if effect["answer"]["statut"] != "EN_ATTENTE" and measure in structure.asked:
                structure.asked.remove(measure)
            return
        structure.kept[effect["key"]] = (effect["digest"], {"recu": f"R{effect['n']}"})
        if effect["effect"] == "requested":
            measure = effect["body"]["orientation_id"]
            if measure not in structure.requests:
                structure.asked.append(measure)
            structure.requests[measure] = effect["body"]

    def routes(self) -> list[Route]:
        return [
            Route("/s/{structure}/orientations", self._orientations, methods=["POST"]),
            Route("/s/{structure}/notices", self._notices, methods=["POST"]),
            Route("/s/{structure}/answers", self._answers),
        ]

    def tick(self) -> int:
        """Answer what has not been answered: at first possibly "later", the next time for good."""
        if not self.answers:
            return 0
        done = 0
        for name, structure in list(self.structures.items()):
            for measure in list(structure.asked):
                self.apply("answered", structure=name, answer=self._decision(name, structure, measure))
                done += 1
        return done

    def answer(self, structure: str, measure: str, statut: str, on: date, **more: Any) -> None:
        """Give one answer by hand, also a second or a late one."""
        answer = {"orientation_id": measure, "statut": statut, "repondu_le": on.isoformat(), **more}
        self.apply("answered", structure=structure, answer={**answer, "emis_le": self.clock().isoformat()})

    def _decision(self, name: str, structure: _Structure, measure: str) -> dict[str, Any]:
        before = [answer for answer in structure.answers if answer["orientation_id"] == measure]
        draw = random.Random(f"{self.seed}:{name}:{measure}").random()
        yes, no, _ = self.share
        now = self.clock()
        answer: dict[str, Any] = {
            "orientation_id": measure,
            "repondu_le": now.date().isoformat(),
            "emis_le": now.isoformat(timespec="milliseconds"),
        }
        if draw >= yes + no and not before:
            return answer | {"statut": "EN_ATTENTE"}
        if structure.places <= 0:
            return answer | {"statut": "REFUSÉE", "motif_code": "CAPACITE", "places_restantes": 0}
        if yes <= draw < yes + no:
            return answer | {
                "statut": "REFUSÉE",
                "motif_code": "HORS_PUBLIC",
                "places_restantes": structure.places,
            }
        return answer | {"statut": "VALIDÉE", "places_restantes": structure.places - 1}

    async def _orientations(self, request: Request) -> Response:
        return await self._receive(request, "requested", _request_problem)

    async def _notices(self, request: Request) -> Response:
        return await self._receive(request, "noticed", _notice_problem)

    async def _receive(self, request: Request, effect: str, problem: Any) -> Response:
        if refusal := self._unauthorised(request):
            return refusal
        key, raw = request.headers.get("idempotency-key"), await request.body()
        if not key:
            return _refuse(400, "cle_absente")
        if len(raw) > MOST_BYTES:
            return _refuse(413, "trop_grand")
        try:
            body = json.loads(raw)
        except ValueError:
            return _refuse(400, "json_illisible")
        structure = request.path_params["structure"]
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        kept = self.structures.get(structure, _Structure(self.places)).kept.get(key)
        if kept is not None:
            if kept[0] != digest:
                return _refuse(409, "cle_reutilisee")
            return JSONResponse(kept[1], 201, {"idempotent-replayed": "true"})
        if code := problem(body, self.clock().date()):
            return _refuse(422, code)
        self.apply(effect, structure=structure, key=key, digest=digest, body=body)
        return JSONResponse(self.structures[structure].kept[key][1], 201)

    async def _answers(self, request: Request) -> Response:
        if refusal := self._unauthorised(request):
            return refusal
        structure = self.structures.get(request.path_params["structure"], _Structure(self.places))
        try:
            after = int(request.query_params.get("after") or "0")
            limit = min(100, int(request.query_params.get("limit") or "100"))
        except ValueError:
            return _refuse(400, "curseur_inconnu")
        page = structure.answers[after : after + limit]
        return JSONResponse({"answers": page, "cursor": str(after + len(page))})

    def _unauthorised(self, request: Request) -> Response | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key or self.api_key not in (None, key):
            return _refuse(401, "cle_api_refusee")
        return None


def _request_problem(body: Any, today: date) -> str | None:
    if not isinstance(body, dict) or not isinstance(body.get("beneficiaire"), dict):
        return "champ_manquant"
    if not body.get("mesure") or not body["beneficiaire"].get("reference"):
        return "champ_manquant"
    if not (body["beneficiaire"].get("nom_usage") or body["beneficiaire"].get("nom_naissance")):
        return "champ_manquant"
    if _names(body) & FORBIDDEN:
        return "donnee_interdite"
    try:
        UUID(str(body.get("orientation_id")))
        expires = date.fromisoformat(str(body.get("expire_le")))
    except ValueError:
        return "champ_illisible"
    return "date_depassee" if expires < today else None


def _notice_problem(body: Any, _: date) -> str | None:
    if not isinstance(body, dict) or body.get("nature") not in NATURES:
        return "nature_inconnue"
    if _names(body) & FORBIDDEN:
        return "donnee_interdite"
    return None if (body.get("beneficiaire") or {}).get("reference") else "champ_manquant"


def _names(value: Any) -> set[str]:
    """Every name of a field, at any depth."""
    if isinstance(value, dict):
        return set(value) | {name for inner in value.values() for name in _names(inner)}
    if isinstance(value, list):
        return {name for inner in value for name in _names(inner)}
    return set()


def _refuse(status: int, code: str) -> Response:
    return JSONResponse({"code": code}, status)


def _make(arguments: argparse.Namespace) -> StructureTwin:
    return StructureTwin(
        arguments.state, seed=arguments.seed, places=arguments.places, answers=not arguments.silent
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=StructureTwin.honest)
    parser.add_argument("--places", type=int, default=10, help="places of each structure")
    parser.add_argument("--silent", action="store_true", help="answer nothing by itself")
    main(_make, parser)
