"""A study on a cluster has ended as on one machine."""

import subprocess

from tests.support.cluster.ray_cluster import Cluster
from tests.support.faults import inspection
from tests.support.faults.small_study import Undisturbed
from tests.support.patience import PATIENCE

MLFLOW = "http://127.0.0.1:5000"


def inspect(cluster: Cluster, undisturbed: Undisturbed) -> None:
    """Records, decisions and files are those of one machine."""
    inspection.check_readable(cluster.results)
    inspection.check_journal(cluster.results, undisturbed)
    inspection.check_records(cluster.results, undisturbed)
    inspection.check_files(cluster.results, undisturbed)
    inspection.check_table(cluster.results, undisturbed.study)


def inspect_mlflow(cluster: Cluster, undisturbed: Undisturbed) -> None:
    """The MLflow on the head, as seen from there, has all that the records have."""
    with cluster.head.here():
        inspection.check_mlflow(cluster.results, undisturbed.study, MLFLOW)


def finish(study: "subprocess.Popen[str]") -> None:
    """Let a study's command end well."""
    output, _ = study.communicate(timeout=PATIENCE)
    assert study.returncode == 0, output
