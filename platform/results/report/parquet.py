"""Every report of every trial of a study, as one Parquet file: what a reader needs to compute the table again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from platform.records.record import Ask, Record

LEADING = {
    "arm": pa.string(),
    "phase": pa.string(),
    "number": pa.int64(),
    "trial": pa.string(),
    "method": pa.string(),
    "seed": pa.int64(),
    "steps": pa.int64(),
    "state": pa.string(),
    "cause": pa.string(),
    "reason": pa.string(),
    "step": pa.int64(),
    "seconds": pa.float64(),
    "parts": pa.int64(),
}
"""The first columns, there even when there are no records."""


def render(asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]) -> bytes:
    """The bytes of a Parquet file with one line per (ask, report); `records` are by arm and trial id.

    A trial that has not reported has one line whose step is missing. Columns: `arm`, `phase`, `number`, `trial`,
    `method`, `seed`, `steps`, `state` (missing while it runs), `cause`, `reason`, `step`, `seconds`, `parts` (in how
    many a batch was taken), `device`, `precision`; then `energy/<meter>` in joules, of the whole machine,
    `time/<name>`, `hyperparameter/<name>`, `resolved/<name>/<meaning>`, `recipe/<name>`,
    `provenance/<name>`, `cost/<name>`, the metrics under their own names, and `confusion/<split>`, 400 counts:
    `np.reshape(value, (20, 20))[ground truth, prediction]`.
    """
    distinct = {(*ask.place, ask.trial.id): ask for ask in asks}
    lines = [
        line
        for (arm, *_, trial_id), ask in distinct.items()
        for line in _lines(ask, trial_id, records.get(arm, {}).get(trial_id))
    ]
    names = [*LEADING, *sorted({name for line in lines for name in line} - LEADING.keys())]
    columns = {name: _column([line.get(name) for line in lines], LEADING.get(name)) for name in names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _lines(ask: Ask, trial_id: str, record: Record | None) -> Iterator[dict[str, Any]]:
    trial, end = ask.trial, record.end if record else None
    constant = {
        "arm": ask.arm,
        "phase": ask.phase,
        "number": ask.number,
        "trial": trial_id,
        "method": trial.method,
        "seed": trial.seed,
        "steps": trial.steps,
        "after": " ".join(trial.after) or None,
        "state": end.state if end else None,
        "cause": end.cause if end else None,
        "reason": end.reason if end else None,
        **{f"hyperparameter/{name}": value for name, value in trial.hyperparameters.items()},
        **{f"recipe/{name}": value for name, value in trial.recipe.items()},
        **{
            f"resolved/{name}/{meaning}": value
            for name, meanings in trial.resolved.items()
            for meaning, value in meanings.items()
        },
        **{f"provenance/{name}": value for name, value in (record.provenance if record else {}).items()},
        **{f"cost/{name}": value for name, value in (record.cost if record else {}).items()},
    }
    if record is None or not record.reports:
        yield constant
        return
    for report in record.reports:
        confusions = {f"confusion/{split}": np.ravel(counts) for split, counts in report.confusions.items()}
        own = {"step": report.step, "seconds": report.seconds, "parts": report.parts}
        on = {"device": report.device or None, "precision": report.precision or None}
        energy = {f"energy/{meter}": joules for meter, joules in report.energy.items()}
        yield {**constant, **own, **on, **energy, **report.times, **report.metrics, **confusions}


def _column(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError):
        # Two methods may have fields of one name and different types, which one column cannot hold.
        return pa.array([None if value is None else json.dumps(value) for value in values])
