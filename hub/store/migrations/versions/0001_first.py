"""First schema: events, deliveries, people, configuration."""

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL beside this file; it is plain DDL so that constraints and triggers can be read as they are."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    await_only(
        op.get_bind().connection.driver_connection.execute(script)
    )  # many statements at once need asyncpg's own call


def downgrade() -> None:
    """There is nothing before the first schema; restore a backup instead."""
    raise RuntimeError("the first migration cannot be undone")
