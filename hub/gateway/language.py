"""French and English by gettext: the catalogue is ``locale/fr.po``, read once; the source texts are English."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, dates, negotiate_locale, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("fr", "en")
PARIS = ZoneInfo("Europe/Paris")


@cache
def translations(language: str) -> NullTranslations:
    """The catalogue of a language of LANGUAGES."""
    if language == "en":
        return NullTranslations()
    path = Path(__file__).parent / "locale" / f"{language}.po"
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)


def choose(asked: str | None, accepted: str) -> str:
    """The language asked for by `?lang=`, else the best one of an Accept-Language header, else French."""
    if asked in LANGUAGES:
        return asked
    weighed: list[tuple[float, str]] = []
    for part in accepted[:200].split(","):
        name, _, parameters = part.strip().partition(";")
        quality = parameters.replace(" ", "").removeprefix("q=")
        try:
            weighed.append((-float(quality) if quality else -1.0, name))
        except ValueError:
            continue
    wanted = [name for weight, name in sorted(weighed, key=lambda w: w[0]) if weight < 0 and name]
    return negotiate_locale(wanted, LANGUAGES, sep="-") or "fr"


class Formats:
    """Numbers, times and durations as a language writes them. Times are shown in Europe/Paris, with the zone."""

    def __init__(self, language: str) -> None:
        self._locale = Locale.parse(language)

    def number(self, value: int) -> str:
        """12 345."""
        return numbers.format_decimal(value, locale=self._locale)

    def time(self, value: datetime) -> str:
        """A moment in Europe/Paris, with zone."""
        return self._zoned(value, "d MMM y, HH:mm:ss")

    def minute(self, value: datetime) -> str:
        """A moment to the minute, in Europe/Paris, with zone."""
        return self._zoned(value, "d MMM, HH:mm")

    def _zoned(self, value: datetime, pattern: str) -> str:
        written = dates.format_datetime(value, pattern, tzinfo=PARIS, locale=self._locale)
        return f"{written} {value.astimezone(PARIS):%Z}"

    def age(self, seconds: int) -> str:
        """How long, in its largest unit."""
        return dates.format_timedelta(seconds, granularity="second", threshold=1.5, locale=self._locale)
