"""The database of an MLflow that keeps its runs in one: asked before MLflow itself opens it."""

from pathlib import Path

import mlflow
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import create_sqlalchemy_engine
from sqlalchemy.exc import DatabaseError

from platform.results.mirror.places.within import within
from platform.results.mirror.reasons import Unusable

DAMAGED = ("file is not a database", "malformed")
"""What SQLite says of a file that it cannot read."""
CONNECT_SECONDS = 8.0
"""Time that a database may take to let somebody in."""


def check(uri: str) -> None:
    """Raise what a database says that lets nobody in; raises Unusable for tables that are not this MLflow's.

    MLflow would ask ten times, for 104 seconds. Tables of an older version it would partly convert, without a word, and
    the server to which they belong could no longer use them.
    """
    within(CONNECT_SECONDS, lambda: _check_tables(uri))


def _check_tables(uri: str) -> None:
    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
    try:
        with engine.connect() as connection:
            theirs = MigrationContext.configure(connection).get_current_revision()
            begun = engine.dialect.has_table(connection, "experiments")
    except DatabaseError as error:
        if any(sign in str(error) for sign in DAMAGED):
            raise Unusable("its database is damaged, or none; move it away, and the records fill a new one") from None
        raise
    finally:
        engine.dispose()
    versions = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if theirs is None and begun:
        raise Unusable("its database holds another program's tables, or was not laid out to the end; name an empty one")
    if theirs in (None, versions.get_current_head()):
        return
    here = f"MLflow {mlflow.__version__}, which is installed here"
    if theirs in {version.revision for version in versions.walk_revisions()}:
        raise Unusable(f"its database is of an older version than {here}; back it up and run: mlflow db upgrade URI")
    raise Unusable(f"its database is of a newer version than {here}, or another program's; install that version here")
