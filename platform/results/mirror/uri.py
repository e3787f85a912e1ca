"""Tracking URIs, which name an MLflow, checked before anything is sent."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from platform.records.one_line import SCHEME, one_line, without_credentials

DATABASES = ("postgresql", "mysql", "mssql")


def default_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite store at the root, which `mlflow ui` opens by default."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def checked(uri: str) -> str:
    """The URI, with a SQLite file's path made absolute; raises ValueError when it can never work."""
    scheme = uri.partition(":")[0].partition("+")[0]
    authority, _, path = uri.partition("://")[2].partition("/")
    if authority.count("@") > 1 or (scheme in DATABASES and "@" in path):
        # What stands behind the sign would be taken for the host, and shown.
        raise refusal(uri, "must have @ and / in a user's name or password written as %40 and %2F")
    if scheme in ("http", "https"):
        with suppress(ValueError):
            address = urlsplit(uri)
            if address.hostname and (address.port is None or address.port > 0):
                return uri
    elif scheme == "sqlite":
        return _checked_sqlite(uri)
    elif scheme in DATABASES:
        return _checked_database(uri)
    raise refusal(uri, "must be http://HOST:PORT, sqlite:////PATH/mlflow.db or the URL of a PostgreSQL, MySQL or "
                        "SQL Server database (MLflow keeps no runs in folders any more)")  # fmt: skip


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, None for any other."""
    return Path(unquote(uri.removeprefix("sqlite:///"))) if uri.startswith("sqlite:///") else None


def _checked_sqlite(uri: str) -> str:
    file = sqlite_file(uri)
    if file is None or not file.name or file.name == ":memory:" or "?" in uri:
        raise refusal(uri, "must name a file as sqlite:///FILE or sqlite:////ABSOLUTE/FILE")
    file = file.absolute()
    if not file.parent.is_dir():
        raise refusal(uri, f"must name a file in a folder that exists, which {file.parent} does not")
    # SQLite keeps a journal beside the file.
    written = [file.parent, file] if file.exists() else [file.parent]
    if file.is_dir() or not all(os.access(path, os.W_OK) for path in written):
        raise refusal(uri, f"must name a file that can be written, in a folder that can, which {file} cannot")
    with suppress(OSError), file.open("rb") as content:
        if content.read(16) not in (b"", b"SQLite format 3\0"):
            raise refusal(uri, f"must name a SQLite database, which {file} is not")
    return f"sqlite:///{file}"


def _checked_database(uri: str) -> str:
    # Only what MLflow needs for these; the driver has no use for it.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except (SQLAlchemyError, ValueError) as error:
        raise refusal(uri, f"must be a database's URL ({one_line(error)})") from error
    except ImportError as error:
        raise refusal(uri, f"needs a database driver that is not installed ({error})") from error
    return uri


def refusal(uri: str, rule: str) -> ValueError:
    return ValueError(
        f"a tracking URI {without_secrets(rule, uri)}, got {without_secrets(uri, uri)!r}; correct MLFLOW_TRACKING_URI "
        "or --to, or leave it unset to use mlflow.db at the root"
    )


def without_secrets(text: str, uri: str) -> str:
    """A text that may name a URI, however that is misspelt, with neither user nor password in it."""
    if uri.startswith("sqlite:"):
        return text
    login = uri.rpartition("@")[0]
    secret = SCHEME.sub("", login, count=1)
    password = secret.partition(":")[2]
    text = text.replace(uri, without_credentials(uri))
    text = text.replace(f"{secret}@", "***@") if secret else text
    for piece in {password, unquote(password)}:
        # What is shorter may be a part of any word.
        text = text.replace(piece, "***") if len(piece) > 3 else text
    return text
