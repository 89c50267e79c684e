"""How partners are reached: HTTP with a total deadline, files dropped into folders, polling with a cursor."""

from hub.sdk.transports.answers import Fault, Reply, outcome_of, retry_after
from hub.sdk.transports.http import HttpTransport
from hub.sdk.transports.polling import Page, pages
from hub.sdk.transports.tokens import ClientCredentials

__all__ = [
    "ClientCredentials",
    "Fault",
    "HttpTransport",
    "Page",
    "Reply",
    "outcome_of",
    "pages",
    "retry_after",
]
