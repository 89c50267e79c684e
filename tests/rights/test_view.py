"""A view is what connector, kind and agreement all allow, and a protected person's address is in none."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.log.codec import project
from hub.log.registry import FileRegistry
from hub.rights.agreement import KINDS, PROTECTED, Default, Kind, common, covers, defaults
from hub.rights.view import View, Withheld, present_view, view_fields, view_of
from tests.rights.world import PARTNERS, TODAY, agreement, configuration, facts, manifest

REGISTRY = FileRegistry(locked=False)
RECORDS = [record for record in REGISTRY.records() if record != "IdentityLinked"]
PLACES = {record: list(REGISTRY.get(record).fields) for record in RECORDS}
EVERYTHING = manifest(PLACES)
HIDDEN = re.compile(r"(person\.address|person\.phones|appointment\.place|place)(\..*)?")

records = st.sampled_from(RECORDS)
kinds = st.sampled_from(KINDS)


def paths(record: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(PLACES[record]), max_size=12, unique=True)


# ------------------------------------------------------------------------------------------------ the kinds' defaults


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_default_is_in_its_records_schema(kind: Kind) -> None:
    for record, default in defaults(kind).items():
        assert set(default.fields) <= set(PLACES[record]), record
        assert set(default.health) <= set(PLACES[record]), record
        assert len(default.fields) == len(set(default.fields)), record


@pytest.mark.parametrize("kind", KINDS)
def test_health_fields_stand_apart_and_nothing_else_does(kind: Kind) -> None:
    for record, default in defaults(kind).items():
        tagged = {path for path in PLACES[record] if "HEALTH" in REGISTRY.tags(record, path)}
        assert not {path for path in tagged if covers(default.fields, path)}, record
        assert set(default.health) <= tagged


@pytest.mark.parametrize("kind", KINDS)
def test_no_default_holds_ids_of_the_hub_or_where_it_learned_a_fact(kind: Kind) -> None:
    for record, default in defaults(kind).items():
        assert not {"territory", "journey", "source", "observed_at", "person", "sensitive"} & set(
            default.fields
        ), record


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_says_why_and_under_which_text(kind: Kind) -> None:
    for default in defaults(kind).values():
        assert len(default.purpose) > 10
        assert any(text in default.legal_basis for text in ("CASF", "RGPD", "Code du travail"))


#: By hand, from the need-to-know matrix: paths (or beginnings) that a kind must not have in any record.
NEVER = {
    "caf": ("person", "after", "measure_id"),
    "france_travail": ("before", "after", "reason_group", "person.phones", "person.email", "person.address", "payer",
                       "prescriber", "funding_line", "amount_cents", "sensitive"),
    "mission_locale": ("before", "after", "reason_group", "payer", "prescriber", "decider", "funding_line",
                       "amount_cents", "sensitive"),
    "structure": ("before", "after", "reason_group", "payer", "prescriber", "addressee", "decider", "organism", "previous",
                  "proposal_outcome", "structure", "funding_line", "person.sex", "corrected", "other_departement"),
    "employer": ("before", "after", "entitled", "reason_group", "reason_code", "payer", "prescriber", "scope",
                 "decision_id", "person.birth_date", "person.sex", "person.address", "person.referent", "sensitive"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "path"), [(kind, path) for kind, paths_ in NEVER.items() for path in paths_]
)
def test_what_a_kind_must_not_know_is_in_none_of_its_defaults(kind: Kind, path: str) -> None:
    for record, default in defaults(kind).items():
        assert not [
            f for f in (*default.fields, *default.health) if f == path or f.startswith(path + ".")
        ] or (kind == "structure" and record == "MeasureRequested" and path == "sensitive"), record


def test_a_structure_learns_birth_date_and_address_only_of_whom_it_accompanies() -> None:
    for record, default in defaults("structure").items():
        if record != "OrientationDecided":
            assert not {"person.birth_date", "person.address"} & set(default.fields), record


def test_yes_or_no_is_all_that_others_learn_of_a_right() -> None:
    for kind in ("france_travail", "mission_locale", "structure"):
        fields = set(defaults(kind)["RsaEntitlementChanged"].fields)
        assert {path for path in fields if not path.startswith("person.")} == {
            "corrects",
            "entitled",
            "effective_on",
        }


def test_a_default_that_names_a_whole_block_is_refused() -> None:
    for whole in ("person", "appointment"):
        with pytest.raises(ValueError, match="one by one"):
            Default(fields=(whole,), purpose="Because of a test", legal_basis="CASF")


# ------------------------------------------------------------------------------------------------ the intersection


@given(st.data())
def test_a_view_is_inside_each_of_its_three_sources(data: st.DataObject) -> None:
    record, kind = data.draw(records), data.draw(kinds)
    declared, narrowing = data.draw(paths(record)), data.draw(st.none() | paths(record))
    protected, health = data.draw(st.booleans()), data.draw(st.booleans())
    found = view_fields(manifest({record: declared}), kind, record, narrowing, protected, health)
    default = defaults(kind).get(record)
    wider = {*default.fields, *(default.health if health else ())} if default else set()
    for path in found:
        assert covers(declared, path)
        assert covers(wider, path)
        assert narrowing is None or covers(narrowing, path)
        assert not (protected and covers(PROTECTED, path))


@given(st.data())
def test_a_view_leaves_out_nothing_that_all_three_allow(data: st.DataObject) -> None:
    record, kind = data.draw(records), data.draw(kinds)
    declared, narrowing = data.draw(paths(record)), data.draw(paths(record))
    found = view_fields(manifest({record: declared}), kind, record, narrowing)
    for path in PLACES[record]:
        default = defaults(kind).get(record)
        if default and covers(declared, path) and covers(default.fields, path) and covers(narrowing, path):
            assert covers(found, path)


@given(st.data())
def test_intersecting_is_symmetric_and_idempotent(data: st.DataObject) -> None:
    record = data.draw(records)
    left, right = data.draw(paths(record)), data.draw(paths(record))
    assert common(left, right) == common(right, left)
    assert common(common(left, right), right) == common(left, right)


def test_a_connector_that_names_a_whole_block_gets_the_defaults_fields_of_it() -> None:
    found = view_fields(manifest({"ContactChanged": ["person", "channel"]}), "structure", "ContactChanged")
    assert found == {
        "person.birth_name",
        "person.name",
        "person.first_names",
        "person.phones",
        "person.email",
        "channel",
    }


def test_a_record_that_the_connector_does_not_speak_of_has_no_view() -> None:
    assert view_fields(manifest({}), "departement", "NewRsaEntrant") == frozenset()
    assert (
        view_fields(EVERYTHING.model_copy(update={"outbound": None}), "departement", "NewRsaEntrant")
        == frozenset()
    )


def test_health_fields_need_an_article_9_basis() -> None:
    assert "sensitive.sensitive_type" not in view_fields(EVERYTHING, "structure", "MeasureRequested")
    assert "sensitive.sensitive_type" in view_fields(EVERYTHING, "structure", "MeasureRequested", health=True)
    for kind in KINDS:
        if kind != "structure":
            assert "sensitive.sensitive_type" not in view_fields(
                EVERYTHING, kind, "MeasureRequested", health=True
            )


@pytest.mark.parametrize("kind", KINDS)
def test_a_protected_persons_address_and_phones_are_in_no_view(kind: Kind) -> None:
    for record in RECORDS:
        found = view_fields(EVERYTHING, kind, record, PLACES[record], protected=True, health=True)
        assert not [path for path in found if HIDDEN.fullmatch(path)]


# ------------------------------------------------------------------------------------------------ whole events


def invented_value(schema: Any, random_: random.Random) -> Any:
    """A full value of a schema; every text is a canary."""
    if isinstance(schema, list):
        return invented_value(schema[1], random_)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "record":
        return {field["name"]: invented_value(field["type"], random_) for field in schema["fields"]}
    if kind == "array":
        return [invented_value(schema["items"], random_) for _ in range(random_.randint(1, 2))]
    if kind == "enum":
        return random_.choice(schema["symbols"])
    return {"boolean": True, "int": 1, "long": 1, "bytes": b"sealed"}.get(kind, f"canary-{random_.random()}")


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path


def seen(view: View, record: str, event: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, Any]:
    """What a connector would get: the clear body projected, blocks opened only when the view names a field of them."""
    fields = dict(project(dict(event), view.clear))
    for name, wanted in (("person", view.person), ("sensitive", view.sensitive)):
        if wanted and name in blocks:
            fields[name] = project(blocks[name], wanted)
    return fields


def test_ten_thousand_random_events_show_no_field_outside_any_source() -> None:
    random_ = random.Random(76)
    shown = 0
    for _ in range(10_000):
        record, kind = random_.choice(RECORDS), random_.choice(KINDS)
        schema = REGISTRY.get(record)
        places = PLACES[record]
        declared = random_.sample(places, random_.randint(0, len(places)))
        narrowing = random_.choice([None, random_.sample(places, random_.randint(0, len(places)))])
        protected, health = random_.random() < 0.5, random_.random() < 0.5
        fields = view_fields(manifest({record: declared}), kind, record, narrowing, protected, health)
        event = invented_value(schema.definition, random_)
        blocks = {name: invented_value(block, random_) for name, block in schema.blocks.items()}
        default = defaults(kind).get(record)
        allowed = {*default.fields, *(default.health if health else ())} if default else set()
        for path in leaves(seen(View(record, fields), record, event, blocks)):
            shown += 1
            assert covers(declared, path), (record, kind, path)
            assert covers(allowed, path), (record, kind, path)
            assert narrowing is None or covers(narrowing, path), (record, kind, path)
            assert not (protected and HIDDEN.fullmatch(path)), (record, kind, path)
    assert shown > 10_000


def test_a_view_that_names_no_field_of_a_block_leaves_it_closed() -> None:
    view = View("MeasureAnswered", frozenset({"answer", "person.name"}))
    assert (view.clear, view.person, view.sensitive) == ({"answer"}, {"name"}, frozenset())


# ------------------------------------------------------------------------------------------------ at the claim


def test_less_than_what_was_sent_is_seen() -> None:
    view = View("ContactChanged", frozenset({"person.name", "channel", "person.address"}))
    assert not view.less_than({"person.name"})
    assert not view.less_than({"person.address.commune"})
    assert view.less_than({"person.name", "person.phones"})
    assert not view.less_than(view.fields)


def test_a_claims_view_follows_agreement_narrowing_and_protection() -> None:
    narrow = {"ContactChanged": ("person.phones", "person.address", "channel")}
    world = configuration(agreements=(agreement("cd", narrow=narrow),))
    place = ("ContactChanged", TODAY)
    assert view_of(world, EVERYTHING, "cd", *place, protected=False).fields == set(narrow["ContactChanged"])
    assert view_of(world, EVERYTHING, "cd", *place, protected=True).fields == {"channel"}
    assert view_of(world, EVERYTHING, "ml", *place, protected=False).fields == frozenset()


def test_the_view_of_this_moment_names_why_there_is_none() -> None:
    world = configuration()
    said = facts("ContactChanged", "caf")
    view = present_view(said, world, EVERYTHING, "cd", TODAY, protected=False)
    assert isinstance(view, View)
    assert "person.phones" in view.fields
    later = TODAY + timedelta(days=3650)
    assert present_view(said, world, EVERYTHING, "cd", later, False) == Withheld("no_agreement")
    assert present_view(replace(said, restricted=True), world, EVERYTHING, "cd", TODAY, False) == Withheld(
        "restricted"
    )
    assert present_view(said, world, manifest({}), "cd", TODAY, False) == Withheld("nothing_to_say")


def test_every_partner_kind_has_a_default_or_receives_nothing() -> None:
    assert {kind for kind in PARTNERS.values() if not defaults(kind)} == {"caf"}
