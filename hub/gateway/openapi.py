"""What /v1/openapi.json says about bodies that are read by hand (bounded, strictly) and not by the framework."""

from __future__ import annotations

from typing import Any

from hub.gateway.cloudevents import PUBLISHABLE, Envelope, data_model
from hub.gateway.problems import MEDIA_TYPE, codes
from hub.ledger.receipt import Receipt

_EVENT = "#/components/schemas/Event"

_RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "sequence", "accepted_at"],
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "The hub's id of the event."},
        "sequence": {"type": "integer", "description": "Increasing per person."},
        "accepted_at": {"type": "string", "format": "date-time"},
        "references": {
            "type": "object",
            "description": "Ids that the event was given, to be quoted as `subject` later.",
        },
    },
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "reason", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "reason": {"type": "string", "enum": sorted(codes())},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "rule": {"type": "string"}},
            },
        },
    },
}

_ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "integer"},
        "receipt": {"$ref": "#/components/schemas/Published"},
        "problem": {"$ref": "#/components/schemas/Problem"},
    },
}


def _json(media_type: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


_REFUSED = {
    str(status): _json(MEDIA_TYPE, {"$ref": "#/components/schemas/Problem"}, ", ".join(names))
    for status, names in sorted(
        {
            status: sorted(name for name, code in codes().items() if code.status == status)
            for status in {code.status for code in codes().values()}
        }.items()
    )
}

PUBLISH: dict[str, Any] = {
    "security": [{"key": []}],
    "requestBody": {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": {"$ref": _EVENT}},
            "application/cloudevents-batch+json": {
                "schema": {"type": "array", "items": {"$ref": _EVENT}, "minItems": 1, "maxItems": 500}
            },
        },
    },
    "responses": {
        "202": _json(
            "application/json",
            {
                "oneOf": [
                    {"$ref": "#/components/schemas/Published"},
                    {"type": "array", "items": {"$ref": "#/components/schemas/BatchItem"}},
                ]
            },
            "Durable. For a batch: one item per event, in order.",
        ),
        **_REFUSED,
    },
}

READ: dict[str, Any] = {
    "security": [{"key": []}],
    "parameters": [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    ],
    "responses": {
        "200": _json("application/json", {"$ref": "#/components/schemas/Receipt"}, "One's own event."),
        "401": _REFUSED["401"],
        "404": _REFUSED["404"],
    },
}


def components() -> dict[str, Any]:
    """The schemas: the envelope, the data of each record that partners may publish, receipt and problem."""
    template = "#/components/schemas/{model}"
    schemas: dict[str, Any] = {
        "Published": _RECEIPT,
        "Problem": _PROBLEM,
        "BatchItem": _ITEM,
    }
    models = {"Event": Envelope, "Receipt": Receipt} | {record: data_model(record) for record in PUBLISHABLE}
    for name, model in models.items():
        made = model.model_json_schema(ref_template=template)
        schemas |= made.pop("$defs", {})
        schemas[name] = made
    schemas["Event"]["properties"]["data"] = {
        "anyOf": [{"$ref": f"#/components/schemas/{record}"} for record in PUBLISHABLE]
    }
    return {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
