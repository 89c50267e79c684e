"""Contracts as pydantic models, in their open form. Generated from schemas/ by `hub schema build`: do not edit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=1024)]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class Part(BaseModel):
    """Strict: unknown fields and near types are refused; error texts never hold the value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Event(Part):
    """A record that a producer may publish; from JSON use `model_validate_json`."""

    RECORD: ClassVar[str]
    VERSION: ClassVar[int]


class Source(Part):
    """Where the hub learned of the fact."""

    system: Text = Field(description="Connector that read it, e.g. caf, departement.")
    file: Text | None = Field(default=None, description="Name of the file, null when it was no file.")
    position: Int64 | None = Field(default=None, description="Ordinal of the record in the file or poll, from 1.")
    rule: Text | None = Field(default=None, description="Rule of the connector that made an event of it.")


class CorrectionKind(StrEnum):
    """Why an event corrects an earlier one. LATE: it happened before something already told. DATE_CORRECTED: same fact, other date. ENTERED_IN_ERROR: the earlier event never was true."""

    LATE = "LATE"
    DATE_CORRECTED = "DATE_CORRECTED"
    ENTERED_IN_ERROR = "ENTERED_IN_ERROR"


class Corrects(Part):
    """The earlier event that this one corrects."""

    event: UUID = Field(description="CloudEvents id of the earlier event.")
    kind: CorrectionKind = Field(description="Why it is corrected.")


class Sex(StrEnum):
    """Sex in civil status (CNAF SEXE, WebRSA civilité)."""

    F = "F"
    M = "M"


class Address(Part):
    """Postal address in France, as the source writes it (CNAF RGADR 01, the current one)."""

    lines: list[Text] = Field(max_length=6, description="Lines above the postal code, in order, at most 6, none empty.")
    postal_code: Text | None = Field(default=None, description="Code postal, 5 digits as text (leading zeros).")
    insee_code: Text | None = Field(default=None, description="Code officiel géographique of the commune (INSEE), 5 characters as text.")
    commune: Text | None = Field(default=None, description="Name of the commune.")


class PersonBlock(Part):
    """Sealed block: who the event is about, names, contacts and current address as known when the hub accepted it."""

    birth_name: Text = Field(description="Nom de naissance as the source writes it.")
    name: Text | None = Field(default=None, description="Nom d'usage; null when it is the birth name or not known.")
    first_names: list[Text] = Field(description="First names in civil order; the first is the usual one.")
    birth_date: Text = Field(pattern='^[0-9]{4}-[0-9]{2}-[0-9]{2}$', description="Birth date, ISO YYYY-MM-DD; when birth_day_known is false the day (or day and month) is conventional.")
    birth_day_known: bool = Field(default=True, description="False when the source does not know the day of birth (CNAF TYPEDTNAI J).")
    sex: Sex | None = Field(default=None, description="Sex in civil status, null when the source does not say.")
    phones: list[Text] = Field(max_length=4, description="Phone numbers, E.164 (+33…) where the source allows, mobile first, at most 4.")
    email: Text | None = Field(default=None, description="E-mail address.")
    address: Address | None = Field(default=None, description="Current address.")


class ContactChannel(StrEnum):
    """What kind of contact changed."""

    ADDRESS = "ADDRESS"
    PHONE = "PHONE"
    EMAIL = "EMAIL"


class Consent(Part):
    """Whether the person agrees to be contacted, per channel (CNAF AUTORUTITEL, AUTORUTIADRELEC: A yes, R no, I null)."""

    phone: bool | None = Field(default=None, description="May be called or sent messages; null = not asked.")
    email: bool | None = Field(default=None, description="May be written to by e-mail; null = not asked.")


class ContactChanged(Event):
    """An address, phone or e-mail of a known person changed. The new value is in the person block."""

    RECORD: ClassVar[str] = "ContactChanged"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept. It holds the new value.")
    channel: ContactChannel = Field(description="What changed.")
    modified_at: AwareDatetime | None = Field(default=None, description="When it was changed at the source, UTC; null when the source does not say.")
    consent: Consent = Field(default=Consent(phone=None, email=None), description="Agreement to be contacted, per channel.")


class TransferDirection(StrEnum):
    """IN: the person arrives in this territory. OUT: the person leaves it."""

    IN = "IN"
    OUT = "OUT"


class DepartmentTransferred(Event):
    """The RSA file arrives from or leaves for another département (CNAF OrganismeCedant, OrganismePrenant)."""

    RECORD: ClassVar[str] = "DepartmentTransferred"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    direction: TransferDirection = Field(description="In or out.")
    other_departement: Text = Field(description="Code of the other département, 2 or 3 characters, e.g. 27, 2A, 974.")
    transferred_on: date = Field(description="Day of the transfer (CNAF DDARRMUT, DDDEPAMUT).")


class IdentityLinked(Event):
    """An identifier was added to a known person. Internal: no partner's view. The identifier's value is nowhere on the log."""

    RECORD: ClassVar[str] = "IdentityLinked"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    identifier_kind: Text = Field(description="Kind of identifier: nir, matricule, numdemrsa, france_travail_id, milo_id, webrsa_id or another connector's own.")
    rule: Text = Field(description="Identity rule or answer that linked it.")
    decided_by: Text | None = Field(default=None, description="Account of the reviewer who decided, null when a rule did.")


class MeasureAnswer(StrEnum):
    """Answer of a provider: ACCEPTED, REFUSED, or PENDING when it will decide later."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    PENDING = "PENDING"


class AppointmentMode(StrEnum):
    """How the appointment takes place."""

    PHYSICAL = "PHYSICAL"
    PHONE = "PHONE"
    VIDEO = "VIDEO"


class Appointment(Part):
    """An appointment that a provider offers; the place stays with the provider."""

    starts_at: AwareDatetime = Field(description="When it starts, UTC.")
    mode: AppointmentMode | None = Field(default=None, description="How it takes place, null when not said.")


class MeasureAnswered(Event):
    """A provider answered a measure request."""

    RECORD: ClassVar[str] = "MeasureAnswered"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    measure_id: UUID = Field(description="The hub's id of the request.")
    answer: MeasureAnswer = Field(description="The answer.")
    answered_on: date = Field(description="Day of the answer, Europe/Paris.")
    reason_code: Text | None = Field(default=None, description="Why, a code of the provider's list as mapped by the connector; never text.")
    appointment: Appointment | None = Field(default=None, description="Appointment offered.")
    places_left: Int32 | None = Field(default=None, description="Places left at the provider after this answer.")
    amount_cents: Int64 | None = Field(default=None, description="Amount granted, euro cents.")
    late: bool = Field(default=False, description="True when the answer came after expires_on; set by accept.")


class MeasureRequestedSensitive(Part):
    """Sealed block of MeasureRequested: the kind of a measure whose kind alone tells about health."""

    sensitive_type: Text = Field(description="Code of the territory's measure_types.csv whose line says sensitive, e.g. ecoute_psychologique.")


class MeasureType(StrEnum):
    """Kind of measure (measure_types.csv of the territory) that is not sensitive; sensitive kinds are in the sensitive block only."""

    aci = "aci"
    ei = "ei"
    ai = "ai"
    etti = "etti"
    geiq = "geiq"
    cdie = "cdie"
    pmsmp = "pmsmp"
    clause_insertion = "clause_insertion"
    mediation_active = "mediation_active"
    accompagnement_independant = "accompagnement_independant"
    mobilite = "mobilite"
    garde_enfant = "garde_enfant"
    cumul_rsa_salaire = "cumul_rsa_salaire"
    prime_reprise = "prime_reprise"


class Period(Part):
    """A period in days, both included."""

    starts_on: date = Field(description="First day.")
    ends_on: date | None = Field(default=None, description="Last day, null when open.")


class MeasureRequested(Event):
    """A measure is requested for a person from one provider. Exactly one of type and the sensitive block is set."""

    RECORD: ClassVar[str] = "MeasureRequested"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    sensitive: MeasureRequestedSensitive | None = Field(default=None, description="Sealed block: kind of a sensitive measure; null for others.")
    measure_id: UUID = Field(description="The hub's id of the request.")
    type: MeasureType | None = Field(default=None, description="Kind of measure; null when it is sensitive.")
    addressee: Text = Field(description="Hub partner id of the provider asked.")
    prescriber: Text | None = Field(default=None, description="Hub partner id of the organisation that prescribes, null when the source does not say.")
    reason_code: Text | None = Field(default=None, description="Why, a code of the territory; never text.")
    expires_on: date = Field(description="Last day on which an answer is awaited, Europe/Paris.")
    person_informed_on: date | None = Field(default=None, description="Day the person was told of the request.")
    period: Period | None = Field(default=None, description="Period wanted.")
    funding_line: Text | None = Field(default=None, description="Funding line of the territory (actions.csv, measure_types.csv).")


class Payer(Part):
    """Organisme that pays the RSA."""

    fonorg: Text = Field(description="CNAF FONORG: CAF, MSA or OPF.")
    numorg: Text = Field(description="CNAF NUMORG, 3 digits as text.")


class EntrantRole(StrEnum):
    """Role in the RSA household (CNAF ROLEPERS): DEM applicant, CJT spouse or partner."""

    DEM = "DEM"
    CJT = "CJT"


class EntrantRule(StrEnum):
    """Rule by which a person counts as an entrant: FG event ENTDED in the period, TOP TOPPERSENTDRODEVORSA = 1, DIFF with rights now and not before."""

    FG = "FG"
    TOP = "TOP"
    DIFF = "DIFF"


class PriorityGroup(Part):
    """A public of the territory that the person belongs to, with who says so."""

    code: Text = Field(description="Code of the territory's list of publics.")
    source: Text = Field(description="Connector or rule that says so.")


class NewRsaEntrant(Event):
    """A person enters the RSA's rights and duties (CASF L.262-28): one event per person and entitlement period. Starts the six weeks of the orientation decision (CASF D.262-65-2)."""

    RECORD: ClassVar[str] = "NewRsaEntrant"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    information_received_on: date = Field(description="Day the département's services received the information, Europe/Paris; kept when it is repeated.")
    right_opened_on: date | None = Field(default=None, description="Day the RSA right opened (CNAF).")
    duties_since: date | None = Field(default=None, description="Day since which rights and duties apply (CNAF DDSOUDRODEV), where the file says so.")
    claim_on: date | None = Field(default=None, description="Day of the RSA claim (CNAF DTDEMRSA).")
    payer: Payer = Field(description="Organisme that pays.")
    role: EntrantRole = Field(description="Role in the household.")
    rules: list[EntrantRule] = Field(min_length=1, max_length=3, description="Rules that fired, at least one.")
    first_time: bool | None = Field(default=None, description="True only when no earlier period is known and the people in follow-up before the hub were imported; null = not known.")
    groups: list[PriorityGroup] = Field(default=[], max_length=32, description="Publics of the territory that the person belongs to.")


class Parcours(StrEnum):
    """Kind of accompaniment (CASF L.262-29; SI Plateforme PED, PSP, PSO; WebRSA EMPLOI, SOCIOPRO, SOCIAL; the crosswalk is the territory's)."""

    PRO = "PRO"
    SOCIO_PRO = "SOCIO_PRO"
    SOCIAL = "SOCIAL"


class Organism(StrEnum):
    """Organisme of an orientation, codes of the SI Plateforme: FT France Travail, CD Département, DCD delegate of the Département, ML mission locale, CE Cap emploi, IND not settled."""

    FT = "FT"
    CD = "CD"
    DCD = "DCD"
    ML = "ML"
    CE = "CE"
    IND = "IND"


class Decider(StrEnum):
    """Who decided: PCD président du conseil départemental, DELEGATE of the PCD, FT_DEFAULT France Travail when no decision came in time (CASF D.262-65-2)."""

    PCD = "PCD"
    DELEGATE = "DELEGATE"
    FT_DEFAULT = "FT_DEFAULT"


class ProposalOutcome(StrEnum):
    """What the decision did with the proposal: ACCEPTED as it was, REPLACED by another, NONE there was no proposal."""

    ACCEPTED = "ACCEPTED"
    REPLACED = "REPLACED"
    NONE = "NONE"


class DefaultReason(StrEnum):
    """Why an orientation was made by default: NO_DECISION_IN_TIME six weeks passed, NOT_MET the person could not be met."""

    NO_DECISION_IN_TIME = "NO_DECISION_IN_TIME"
    NOT_MET = "NOT_MET"


class PreviousOrientation(Part):
    """The orientation in force before."""

    parcours: Parcours | None = Field(default=None, description="Its parcours.")
    organism: Organism | None = Field(default=None, description="Its organisme.")
    decided_on: date | None = Field(default=None, description="Day it was decided.")


class OrientationDecided(Event):
    """An orientation was decided for a person (CASF L.262-29)."""

    RECORD: ClassVar[str] = "OrientationDecided"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    decision_id: UUID = Field(description="The hub's id of the decision.")
    parcours: Parcours = Field(description="Parcours decided.")
    organism: Organism = Field(description="Organisme that will accompany the person.")
    structure: Text | None = Field(default=None, description="Hub partner id of the structure that will accompany, null when not named.")
    decided_on: date = Field(description="Day of the decision, Europe/Paris.")
    decider: Decider = Field(description="Who decided.")
    proposal_outcome: ProposalOutcome = Field(description="What became of the proposal.")
    proposal_refused_reason: Text | None = Field(default=None, description="SI Plateforme motif_refus when the proposal was replaced: DECLARATION_INEXACTE, SITUATION_NON_COUVERTE, APPRECIATION_DIFFERENTE, MANQUE_CAPACITE_ACCUEIL, AUTRE.")
    rank: Int32 | None = Field(default=None, description="Rank of the orientation in the journey, 1 = first (WebRSA rgorient).")
    default_reason: DefaultReason | None = Field(default=None, description="Why it was made by default, null when it was not.")
    previous: PreviousOrientation | None = Field(default=None, description="The orientation in force before, filled by accept; null for the first.")


class CivilField(StrEnum):
    """Civil data that was corrected."""

    BIRTH_NAME = "BIRTH_NAME"
    NAME = "NAME"
    FIRST_NAMES = "FIRST_NAMES"
    BIRTH_DATE = "BIRTH_DATE"
    SEX = "SEX"


class PersonCorrected(Event):
    """Civil data of a known person were corrected; a birth date only after review. The corrected data are in the person block. Its matter is the person: the block is whole, so a newer correction replaces an older one."""

    RECORD: ClassVar[str] = "PersonCorrected"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept. It holds the corrected data.")
    corrected: list[CivilField] = Field(min_length=1, max_length=5, description="Which data were corrected, at least one.")


class Referent(Part):
    """Professional contact of a référent."""

    name: Text = Field(description="Name of the professional.")
    phone: Text | None = Field(default=None, description="Professional phone, E.164.")
    email: Text | None = Field(default=None, description="Professional e-mail.")


class ReferentDesignatedPerson(Part):
    """Sealed block of ReferentDesignated: the person as in PersonBlock, and the référent's professional contact."""

    birth_name: Text = Field(description="Nom de naissance as the source writes it.")
    name: Text | None = Field(default=None, description="Nom d'usage; null when it is the birth name or not known.")
    first_names: list[Text] = Field(description="First names in civil order; the first is the usual one.")
    birth_date: Text = Field(pattern='^[0-9]{4}-[0-9]{2}-[0-9]{2}$', description="Birth date, ISO YYYY-MM-DD; when birth_day_known is false the day (or day and month) is conventional.")
    birth_day_known: bool = Field(default=True, description="False when the source does not know the day of birth (CNAF TYPEDTNAI J).")
    sex: Sex | None = Field(default=None, description="Sex in civil status, null when the source does not say.")
    phones: list[Text] = Field(max_length=4, description="Phone numbers, E.164 (+33…) where the source allows, mobile first, at most 4.")
    email: Text | None = Field(default=None, description="E-mail address.")
    address: Address | None = Field(default=None, description="Current address.")
    referent: Referent | None = Field(default=None, description="The référent, null when only the structure is known.")


class ReferentScope(StrEnum):
    """What the référent is for: UNIQUE for everything, SOCIAL or PRO for that side."""

    UNIQUE = "UNIQUE"
    SOCIAL = "SOCIAL"
    PRO = "PRO"


class ReferentDesignated(Event):
    """A référent was designated (CASF L.262-30). At most one UNIQUE is open per person."""

    RECORD: ClassVar[str] = "ReferentDesignated"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: ReferentDesignatedPerson = Field(description="Sealed block: who the event is about, as known at accept. It also holds the référent's professional contact.")
    scope: ReferentScope = Field(description="What the référent is for.")
    structure: Text = Field(description="Hub partner id of the référent's structure.")
    starts_on: date = Field(description="First day.")
    ends_on: date | None = Field(default=None, description="Last day, null while it runs.")


class EntitlementState(StrEnum):
    """State of an RSA right (CNAF ETATDOSRSA): PENDING 0, REFUSED 1, OPEN 2, OPEN_SUSPENDED 3, PAYMENT_SUSPENDED 4, CLOSED 5 and 6."""

    PENDING = "PENDING"
    REFUSED = "REFUSED"
    OPEN = "OPEN"
    OPEN_SUSPENDED = "OPEN_SUSPENDED"
    PAYMENT_SUSPENDED = "PAYMENT_SUSPENDED"
    CLOSED = "CLOSED"


class EntitlementReason(StrEnum):
    """Group of reasons of a change of an RSA right; raw CNAF codes stay at the edge. RESOURCES: income. DECLARATION: quarterly declaration missing. CONDITIONS: age, residence, permit, household. TRANSFER: file moved to another payer. NO_RIGHT_LEFT: struck off. OTHER: all else; sanctions and health reasons are only ever OTHER."""

    RESOURCES = "RESOURCES"
    DECLARATION = "DECLARATION"
    CONDITIONS = "CONDITIONS"
    TRANSFER = "TRANSFER"
    NO_RIGHT_LEFT = "NO_RIGHT_LEFT"
    OTHER = "OTHER"


class RsaEntitlementChanged(Event):
    """The state of a known person's RSA right changed, in either direction, resumption included."""

    RECORD: ClassVar[str] = "RsaEntitlementChanged"
    VERSION: ClassVar[int] = 1

    territory: Text = Field(description="Territory (département as data controller) that the event belongs to, e.g. 76.")
    journey: UUID | None = Field(default=None, description="Entitlement period or reported journey, minted with NewRsaEntrant or JourneyEntryReported; null before one is known.")
    source: Source = Field(description="Where the hub learned of the fact.")
    observed_at: AwareDatetime = Field(description="When the source observed or wrote the fact, UTC.")
    corrects: Corrects | None = Field(default=None, description="The earlier event that this one corrects, null for a new fact.")
    person: PersonBlock = Field(description="Sealed block: who the event is about, as known at accept.")
    before: EntitlementState = Field(description="State before.")
    after: EntitlementState = Field(description="State now.")
    entitled: bool | None = Field(default=None, description="True while the right is open (after is OPEN, OPEN_SUSPENDED or PAYMENT_SUSPENDED), false otherwise; set by accept. All that recipients learn who may only know yes or no.")
    effective_on: date = Field(description="Day from which the new state holds.")
    reason_group: EntitlementReason | None = Field(default=None, description="Group of reasons; null when the source gives none.")


RECORDS: dict[str, type[Event]] = {
    "ContactChanged": ContactChanged,
    "DepartmentTransferred": DepartmentTransferred,
    "IdentityLinked": IdentityLinked,
    "MeasureAnswered": MeasureAnswered,
    "MeasureRequested": MeasureRequested,
    "NewRsaEntrant": NewRsaEntrant,
    "OrientationDecided": OrientationDecided,
    "PersonCorrected": PersonCorrected,
    "ReferentDesignated": ReferentDesignated,
    "RsaEntitlementChanged": RsaEntitlementChanged,
}
