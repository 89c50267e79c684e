"""The hub's settings: environment variables HUB_*, nothing else; what is not set falls back to the embedded parts."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is read from the variable HUB_<FIELD>; an outside part is one URL instead of an embedded part."""

    model_config = SettingsConfigDict(env_prefix="HUB_", frozen=True, hide_input_in_errors=True)

    home: Path = Field(Path(".hub"), description="Where this hub keeps its data, keys, logs and locks.")
    cache: Path | None = Field(
        None, description="Where downloaded parts are kept; default: the user's cache."
    )
    maven_mirror: str | None = Field(None, description="Maven repository to download Kafka from.")
    database_url: str | None = Field(
        None, repr=False, description="PostgreSQL ≥ 15, postgresql+asyncpg://…; none: the embedded one."
    )
    kafka: str | None = Field(None, description="Bootstrap servers host:port,…; none: the embedded one.")
    topic_prefix: str = Field(
        "", description="Put before the topics' names, when several hubs share one Kafka."
    )
    instance: str = Field("1", description="Name of this process among several with the same role.")
    inbound_every: float = Field(
        5.0, gt=0, description="Seconds between looks into drop folders and at polled partners."
    )
    api_host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    api_port: int = Field(0, ge=0, le=65535, description="Port of the gateway on loopback; 0: any free one.")
    allow_http: bool = Field(
        False, description="Speak clear-text HTTP to partners that are not on loopback (containers)."
    )
    allow_real_data: bool = Field(False, description="Accept people who are not invented.")

    @field_validator("home", "cache")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value else None

    @field_validator("database_url")
    @classmethod
    def _asyncpg(cls, value: str | None) -> str | None:
        if not value:
            return None
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
            raise ValueError(
                "HUB_DATABASE_URL must look like postgresql+asyncpg://user:password@host:port/name"
            )
        return f"postgresql+asyncpg://{rest}"

    @field_validator("kafka", "maven_mirror")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None
