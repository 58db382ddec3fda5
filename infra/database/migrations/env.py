"""What Alembic runs to apply the steps, on the connection that schema.upgrade gives it.

To add a step, change a module of infra/database/tables, write the next numbered file under versions/, and let
tests/infra/database/test_schema.py tell whether the two agree.
"""

from __future__ import annotations

from alembic import context

from infra.database.tables.jobs import Job


def run() -> None:
    """Apply the missing steps inside the caller's transaction."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=Job.metadata)
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads this file; a plain import does nothing
    run()
