"""The gateway: one ASGI app with the partner API, the status page, health and metrics."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hub.gateway import api, health, pages
from hub.gateway.edge import Edge
from hub.gateway.glance import Glance
from hub.gateway.metrics import Requests
from hub.gateway.openapi import components
from hub.gateway.parts import Parts
from hub.gateway.problems import Problem

_BY_STATUS = {404: "not_found", 405: "not_allowed"}


def make_gateway(app: Parts) -> FastAPI:
    """The ASGI app over one process's parts. Nothing is connected before the first request."""
    gateway = FastAPI(
        title="SPIE hub: partner API",
        version="1",
        description="Publish events of the parcours of integration and employment, and learn what became of them.",
        docs_url=None,  # the framework's page would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    glance, requests = Glance(lambda: app.database), Requests()
    gateway.include_router(api.routes(app))
    gateway.include_router(health.routes(app, glance, requests))
    gateway.include_router(pages.routes(glance))
    gateway.add_exception_handler(Problem, _problem)
    gateway.add_exception_handler(HTTPException, _http)
    gateway.add_middleware(Edge, requests=requests)
    framework = gateway.openapi

    def described() -> dict[str, Any]:
        document = framework()
        document["components"] = components()
        return document

    gateway.openapi = described  # type: ignore[method-assign]
    return gateway


async def _problem(_: Request, problem: Exception) -> Response:
    return problem.response() if isinstance(problem, Problem) else Problem("failed").response()


async def _http(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Problem(_BY_STATUS.get(status, "failed" if status >= 500 else "malformed")).response()
