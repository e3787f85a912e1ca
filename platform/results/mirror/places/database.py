"""The database of an MLflow that keeps its runs in one: asked before MLflow itself opens it."""

from pathlib import Path

import mlflow
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import create_sqlalchemy_engine

from platform.results.mirror.places.within import within

CONNECT_SECONDS = 8.0
"""Time that a database may take to let somebody in."""


class AnotherVersion(Exception):
    """The tables are not those of the MLflow that is installed here."""


def check(uri: str) -> None:
    """Raise what a database says that lets nobody in; raises AnotherVersion for tables of another MLflow.

    MLflow would ask ten times, for 104 seconds. Tables of an older version it would partly convert, without a word, and
    the server to which they belong could no longer use them.
    """
    within(CONNECT_SECONDS, lambda: _check_tables(uri))


def _check_tables(uri: str) -> None:
    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
    try:
        with engine.connect() as connection:
            theirs = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    ours = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations")).get_current_head()
    if theirs not in (None, ours):
        raise AnotherVersion(
            f"the tables are those of another MLflow version ({theirs}, and those of MLflow {mlflow.__version__} are "
            f"{ours}); install that version here, or back the database up and run: mlflow db upgrade URI"
        )
