"""Review lines: where a rule could not be sure who is who, and a person decides. Ids and rules only; nothing is opened."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.store.database import rows, transaction

REASONS = {
    "birth_date_differs": "The same key of the source, with another birth date.",
    "nir_differs": "The same person by the source's key, with another NIR.",
    "nir_other_birth_date": "The same NIR, with another birth date.",
    "id_other_birth_date": "The same partner identifier, with another birth date.",
    "id_other_nir": "The same partner identifier, with another NIR.",
    "matricule_other_nir": "The same household and birth date, with another NIR.",
    "birth_day_unknown": "The day of birth is not known, so the match is not sure.",
    "same_name_and_contact": "Same name, birth date and contact: perhaps the same person.",
    "also_matches": "A weaker key leads to somebody else: perhaps a duplicate.",
}
"""One sentence per reason of `hub.people.matching.ReviewReason`."""


class ReviewLine(BaseModel):
    """One question. `person` and `against` are pseudonymous ids; `rule` led to it; `source` is the partner that said it."""

    id: int
    territory: str
    at: datetime
    reason: str
    rule: str | None
    source: str
    person: UUID
    against: UUID | None
    decided_at: datetime | None
    decision: str | None
    who: str | None


async def reviews(
    database: AsyncEngine, *, territory: str | None = None, decided: bool = False, limit: int = 200
) -> list[ReviewLine]:
    """Open questions, oldest first; with `decided` the decided ones too."""
    async with transaction(database) as connection:
        return [
            ReviewLine.model_validate(r, from_attributes=True)
            for r in await rows(
                connection,
                "select id, territory, at, reason, rule, source, person, against, decided_at, decision, who from review "
                "where (cast(:t as text) is null or territory = :t) and (:decided or decided_at is null) order by id limit :n",
                t=territory,
                decided=decided,
                n=limit,
            )
        ]
