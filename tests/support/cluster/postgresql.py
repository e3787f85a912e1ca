"""A PostgreSQL server on a host, from Debian's packages."""

from pathlib import Path

from tests.support.cluster.hosts import Host, install

PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian puts the server's programs, by version."""
START = """
set -e
mkdir --mode 700 /tmp/store
chown postgres /tmp/store
echo secret > /tmp/password
runuser -u postgres -- {programs}/initdb --auth=scram-sha-256 --username=mlflow --pwfile=/tmp/password /tmp/store
echo 'host all mlflow 10.0.0.0/24 scram-sha-256' >> /tmp/store/pg_hba.conf
runuser -u postgres -- {programs}/pg_ctl start --wait --pgdata=/tmp/store --log=/tmp/store/log \\
    --options='-c listen_addresses=* -c unix_socket_directories=/tmp'
"""


def obstacle() -> str | None:
    """Why there can be no server here, if so; it is installed where that can be done."""
    if not _programs():
        install("postgresql")
    return None if _programs() else "this needs the package postgresql"


def serve(host: Host) -> str:
    """Start a server there; the URI of an empty database."""
    host.run(START.format(programs=_programs()[-1]))
    return f"postgresql://mlflow:secret@{host.address}/postgres"


def _programs() -> list[Path]:
    return sorted(initdb.parent for initdb in PROGRAMS.glob("*/bin/initdb"))
