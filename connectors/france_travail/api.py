"""The calls of the SI Plateforme that a decision needs. Reads change nothing: whatever goes wrong in one, nothing was applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from hub.sdk.codes import code_table
from hub.sdk.outbound import Attempt, Kind, Learned, Outcome
from hub.sdk.transports import ClientCredentials, Fault, Reply, outcome_of
from hub.sdk.transports.answers import clean_code

CODES = Path(__file__).parent / "codes"
_NUMBER = re.compile(r"[0-9]{11}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """A person found: the token for calls about it (24 hours, kept nowhere) and what was learned."""

    token: str
    learned: tuple[Learned, ...] = ()


class Api:
    """One attempt's calls, all under its one deadline."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        settings = self.settings = attempt.recipient.settings
        self.base = str(settings["url"]).rstrip("/")
        self.auth = ClientCredentials(
            str(settings["token_url"]),
            str(settings["client_id"]),
            attempt.secrets.get("client_secret", ""),
            tuple(settings["scopes"]),
            str(settings["realm"]),
        )
        self.headers = {
            "pa-identifiant-agent": str(settings["pa_identifiant"]),
            "pa-nom-agent": str(settings["pa_nom"]),
            "pa-prenom-agent": str(settings["pa_prenom"]),
        }

    async def find(self, birth_date: str) -> Person | Outcome:
        """Search by NIR and birth date, then by France Travail's own number. Body codes decide: recherche.csv."""
        known = self.attempt.recipient
        searches = []
        if nir := known.released.get("nir"):
            searches.append(("par-datenaissance-et-nir", {"dateNaissance": birth_date, "nir": nir}))
        if known.their_id:
            searches.append(("par-numero-francetravail", {"numeroFranceTravail": known.their_id}))
        found: Person | Outcome = Outcome("unknown_person", "no_identifier")
        for name, keys in searches:
            found = await self._search(name, keys)
            if isinstance(found, Person) or found.kind != "unknown_person":
                break
        return found

    async def _search(self, name: str, keys: dict[str, str]) -> Person | Outcome:
        reply = await self._call("POST", f"{self.base}/rechercher-usager/v2/usagers/{name}", json=keys)
        body = _object(reply)
        code = clean_code(body.get("codeRetour"))
        meaning = code_table(CODES / "recherche.csv").to_hub(code or "").ours
        token = body.get("jetonUsager")
        if meaning == "found" and isinstance(token, str) and token:
            return Person(token, await self._number(token, body))
        failed = self._of_read(reply, code)
        if meaning not in get_args(Kind):
            return failed
        return Outcome(meaning, code, failed.after if meaning == "unavailable" else None)

    async def read(self, person: Person) -> dict[str, Any] | Outcome:
        """The open orientation. 204 = France Travail has none yet: like a person that it does not know yet."""
        reply = await self._call(
            "GET",
            f"{self.base}/orientationusager/v1/lectureOrientation",
            params={"etatOrientation": "OUVERT"},
            person=person,
        )
        if isinstance(reply, Reply) and reply.status == 204:
            return Outcome("unknown_person", "no_orientation")
        body = _object(reply)
        if isinstance(reply, Reply) and reply.status == 200 and body:
            return body
        return self._of_read(reply, clean_code(body.get("codeRetour")))

    async def decide(self, person: Person, decision: dict[str, Any]) -> Outcome:
        """The one call that changes something, and cannot be taken back."""
        reply = await self._call(
            "POST", f"{self.base}/orientationusager/v1/decisionOrientation", json=decision, person=person
        )
        code = clean_code(_object(reply).get("codeRetour"))
        return outcome_of(reply, now=self.attempt.http.clock(), code=code)

    async def _number(self, token: str, body: dict[str, Any]) -> tuple[Learned, ...]:
        """France Travail's own number of the person, where the hub does not know it; no answer is no harm."""
        if self.attempt.recipient.their_id:
            return ()
        number = body.get("numeroFranceTravail")
        if number is None:
            url = f"{self.base}/informations-administratives/v1/usager"
            number = _object(await self._call("GET", url, person=Person(token))).get("numeroFranceTravail")
        known = isinstance(number, str) and _NUMBER.fullmatch(number)
        return (Learned("france_travail_id", number),) if known else ()

    async def _call(
        self, method: str, url: str, *, person: Person | None = None, **sent: Any
    ) -> Reply | Fault:
        headers = {**self.headers, "ft-jeton-usager": person.token} if person else self.headers
        return await self.attempt.http.request(method, url, headers=headers, auth=self.auth, **sent)

    def _of_read(self, answer: Reply | Fault, code: str | None) -> Outcome:
        """A read that gave nothing usable: not applied for sure, and it counts for the partner's pause."""
        outcome = outcome_of(answer, now=self.attempt.http.clock(), code=code)
        if outcome.kind in ("unknown", "delivered"):
            return Outcome("unavailable", outcome.code or code or "unreadable", outcome.after)
        return outcome


def _object(reply: Reply | Fault) -> dict[str, Any]:
    body = reply.json() if isinstance(reply, Reply) else None
    return body if isinstance(body, dict) else {}
