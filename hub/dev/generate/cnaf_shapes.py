"""The shapes of households that a reader of CNAF files meets: ordinary, awkward, damaged and hostile ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta

from hub.dev.generate.cnaf import Family, Population

Shape = Callable[[Population, date], Family]
SHAPES: dict[str, Shape] = {}


def shape(make: Shape) -> Shape:
    """Register a shape under its function's name."""
    SHAPES[make.__name__] = make
    return make


def all_shapes(population: Population, dtref: date) -> list[Family]:
    """One household of each shape, in the order in which they are defined."""
    return [_named(name, population, dtref) for name in SHAPES]


def mixed(population: Population, dtref: date, count: int, ordinary: float = 0.9) -> Iterator[Family]:
    """`count` households, mostly ordinary stock, the rest of any shape."""
    choose, open_ended = population.random, False
    for _ in range(count):
        usual = choose.random() < ordinary
        name = choose.choice(("stock", "couple")) if usual else choose.choice(list(SHAPES))
        if open_ended and name == "without_start":
            name = "stock"  # one without an end and one without a start are one household to any reader
        open_ended = name in ("without_end", "half")
        yield _named(name, population, dtref)


def _named(name: str, population: Population, dtref: date) -> Family:
    family = SHAPES[name](population, dtref)
    family.shape = name
    return family


# ---------------------------------------------------------------- who is an entrant


@shape
def stock(pop: Population, dtref: date) -> Family:
    return pop.family()


@shape
def couple(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(), pop.person("CJT"), pop.person("ENF"))


@shape
def top(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"))


@shape
def top_denied(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="0"), events=[("ADR", dtref)])


@shape
def event(pop: Population, dtref: date) -> Family:
    return pop.family(events=[("DEMRSA", dtref), ("ENTDED", dtref)])


@shape
def event_twice(pop: Population, dtref: date) -> Family:
    return pop.family(events=[("ENTDED", dtref), ("ENTDED", dtref)])


@shape
def event_long_ago(pop: Population, dtref: date) -> Family:
    return pop.family(events=[("ENTDED", dtref - timedelta(days=400))])


@shape
def event_and_top(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), pop.person("CJT", entered="0"), events=[("ENTDED", dtref)])


@shape
def new_wrapper(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1", new_wrapper=True), pop.person("CJT", new_wrapper=True))


@shape
def benefits_turned(pop: Population, dtref: date) -> Family:
    return pop.family(
        "", pop.person(entered="1", benefits_turned=True), pop.person("AUT", benefits_turned=True)
    )


@shape
def one_without_duties(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), pop.person("CJT", top="0"), pop.person("RDO"))


@shape
def no_wrapper(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(top=None))


# ---------------------------------------------------------------- states


@shape
def pending(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="0")


@shape
def refused(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="1", reasons=[("F09", dtref)])


@shape
def suspended_right(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="3", reasons=[("DC", dtref)])


@shape
def suspended_keeping(pop: Population, dtref: date) -> Family:
    reasons = [(pop.random.choice(("01", "05", "06", "35", "36", "44", "70")), dtref)]
    return pop.family("", pop.person(entered="1"), state="4", reasons=reasons)


@shape
def sanctioned(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="4", reasons=[("CG", dtref)])


@shape
def suspended_twice(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="4", reasons=[("06", dtref), ("CG", dtref)])


@shape
def suspended_losing(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="4", reasons=[("06", dtref), ("02", dtref)])


@shape
def suspended_without_reason(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), state="4")


@shape
def closed(pop: Population, dtref: date) -> Family:
    return pop.family(state="5", reasons=[("RFD", dtref)])


@shape
def closed_before(pop: Population, dtref: date) -> Family:
    return pop.family(state="6", reasons=[("ECH", dtref)])


@shape
def moved_in(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), arrived=("CAF", "591", dtref))


@shape
def moved_out(pop: Population, dtref: date) -> Family:
    return pop.family(state="5", reasons=[("MUT", dtref)], left=("CAF", "271", dtref))


@shape
def stock_that_moved(pop: Population, dtref: date) -> Family:
    return pop.family(arrived=("CAF", "591", dtref), left=("CAF", "271", dtref))


@shape
def came_and_goes(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), arrived=("CAF", "591", dtref), left=("CAF", "271", dtref))


# ---------------------------------------------------------------- awkward but right


@shape
def nir_with_key(pop: Population, dtref: date) -> Family:
    person = pop.person(entered="1")
    person.nir = pop.nir(person.sex, person.born, key=True)
    return pop.family("", person)


@shape
def nir_of_corsica(pop: Population, dtref: date) -> Family:
    person = pop.person(entered="1")
    person.nir = pop.nir(person.sex, person.born, pop.random.choice(("2A990", "2B990")), key=True)
    return pop.family("", person)


@shape
def nir_missing(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1", nir=None))


@shape
def nir_wrong(pop: Population, dtref: date) -> Family:
    person = pop.person(entered="1")
    good = pop.nir(person.sex, person.born, key=True)
    person.nir = good[:13] + ("01" if good[13:] != "01" else "02")
    return pop.family("", person)


@shape
def msa(pop: Population, dtref: date) -> Family:
    family = pop.family("", pop.person(entered="1"), fonorg="MSA", numorg="033")
    family.matricule_text = pop.nir("1", date(1980, 5, 1), key=True)
    return family


@shape
def day_of_birth_unknown(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1", born_kind="J"))


@shape
def matricule_through_a_number(pop: Population, dtref: date) -> Family:
    family = pop.family("", pop.person(entered="1"))
    family.matricule_text = (family.matricule + "00000000").lstrip("0")
    return family


@shape
def overseas(pop: Population, dtref: date) -> Family:
    return pop.family(
        "", pop.person(entered="1"), address=("3", "DES LILAS", "97411", "97400", "SAINT-DENIS")
    )


@shape
def no_address(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), address=None)


@shape
def sensitive_parts(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), sensitive=True)


@shape
def twice_in_the_file(pop: Population, dtref: date) -> Family:
    return pop.family("", pop.person(entered="1"), pop.person("CJT"), copies=2)


@shape
def tags_in_a_comment(pop: Population, dtref: date) -> Family:
    quoted = "<Evenement><!-- </InfosFoyerRSA><InfosFoyerRSA> --></Evenement>"
    return pop.family("", pop.person(entered="1"), raw=_before("</InfosFoyerRSA>", quoted))


@shape
def tags_in_cdata(pop: Population, dtref: date) -> Family:
    person = pop.person(entered="1", name="X<InfosFoyerRSA>")
    return pop.family(
        "", person, raw=lambda text: text.replace("X&lt;InfosFoyerRSA>", "<![CDATA[X<InfosFoyerRSA>]]>")
    )


@shape
def name_in_pieces(pop: Population, dtref: date) -> Family:
    person = pop.person(entered="1", name="DUPONT")
    return pop.family(
        "", person, raw=lambda text: text.replace("DUPONT", "  DU<!-- -->PO<?fictif ?>N&#84;\t")
    )


@shape
def broken_lines(pop: Population, dtref: date) -> Family:
    return pop.family(
        "", pop.person(entered="1"), raw=lambda text: text.replace("><", ">\n\t <").replace("<FG", "<FG ")
    )


@shape
def unknown_parts(pop: Population, dtref: date) -> Family:
    return pop.family(
        "", pop.person(entered="1"), raw=_before("<PrestationRSA>", '<Nouveau a="1"><NIR>1</NIR></Nouveau>')
    )


# ---------------------------------------------------------------- cannot be taken


def _before(tag: str, what: str) -> Callable[[str], str]:
    return lambda text: text.replace(tag, what + tag, 1)


def _without(name: str) -> Callable[[str], str]:
    """The first element of that name is left out."""

    def change(text: str) -> str:
        start = text.index(f"<{name}>")
        end = text.index(f"</{name}>", start) + len(name) + 3
        return text[:start] + text[end:]

    return change


def _with(name: str, value: str) -> Callable[[str], str]:
    """The first element of that name has another value."""

    def change(text: str) -> str:
        start = text.index(f"<{name}>") + len(name) + 2
        return text[:start] + value + text[text.index("</", start) :]

    return change


def _spoiled(name: str, field: str, raw: Callable[[str], str]) -> None:
    def make(pop: Population, dtref: date) -> Family:
        return pop.family("", pop.person(entered="1"), events=[("ENTDED", dtref)], raw=raw, rejected=field)

    SHAPES[name] = make


for _name in (
    "NUMDEMRSA",
    "DTDEMRSA",
    "FONORG",
    "NUMORG",
    "MATRICULE",
    "NOM",
    "NOMNAI",
    "PRENOM",
    "DTNAI",
    "ETATDOSRSA",
):
    _spoiled(f"without_{_name.lower()}", _name, _without(_name))
for _name, _value in (
    ("DTNAI", "12/04/1985"),
    ("DTNAI", "1985-02-30"),
    ("DTNAI", "2190-01-01"),
    ("DTDEMRSA", "2026-3-1"),
    ("ETATDOSRSA", "Z"),
    ("ETATDOSRSA", "22"),
    ("TOPPERSDRODEVORSA", "X"),
    ("TOPPERSENTDRODEVORSA", "oui"),
    ("FONORG", "XYZ"),
    ("MATRICULE", "03 46"),
    ("NUMDEMRSA", "0109990000112"),
    ("DTLIQ", "hier"),
    ("NOM", "N" * 5000),
):
    _spoiled(f"wrong_{_name.lower()}_{len(SHAPES)}", _name, _with(_name, _value))
_spoiled("without_role", "ROLEPERS", lambda text: text.replace("<ROLEPERS>DEM</ROLEPERS>", ""))
_spoiled("wrong_role", "ROLEPERS", lambda text: text.replace(">DEM<", ">MOI<"))
_spoiled("name_twice", "NOM", _before("<NOMNAI>", "<NOM>AUTRE</NOM>"))
_spoiled("without_identification", "IdentificationRSA", _without("IdentificationRSA"))
_spoiled("stray_ampersand", "", lambda text: text.replace("</NOM>", " & FILS</NOM>"))
_spoiled("entity", "", lambda text: text.replace("</NOM>", "&fictif;</NOM>"))
_spoiled("crossed_tags", "", lambda text: text.replace("</NOM><NOMNAI>", "<NOMNAI></NOM>"))
_spoiled("control_character", "", lambda text: text.replace("</NOM>", "\x01</NOM>"))
_spoiled("deep", "", _before("</InfosFoyerRSA>", "<a>" * 400 + "</a>" * 400))
_spoiled("without_start", "", lambda text: text.removeprefix("<InfosFoyerRSA>"))
_spoiled("without_end", "", lambda text: text.removesuffix("</InfosFoyerRSA>"))
_spoiled("half", "", lambda text: text[: len(text) // 2])
