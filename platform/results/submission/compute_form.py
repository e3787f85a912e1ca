"""The fields of CVPR 2026's Compute Reporting Form (cvpr.thecvf.com/Conferences/2026/ComputeReporting), from records.

Sections 1 (hardware) and 5 (verification) are required; 2 to 4 (task and compute, development, logs) are optional. The
form is a PDF; its fields are those that public descriptions of it name.
"""

import math

from platform.results.fairness.hours import Hours
from platform.results.lines import p_value
from platform.results.report.sections.fairness import coverage, kwh
from platform.results.report.wording import level, number, plus_minus, seeds
from platform.results.submission.answers import Answer, Section
from platform.results.submission.data import NOT_SAID, licences, sizes
from platform.results.submission.facts import VERSIONS, Facts, Result

IMAGES = 1000
"""Images of a field about inference."""


def compute_form(known: Facts, size: int) -> list[Section]:
    """The form's sections, in its order; those about results once for each row. `size` is of the logs, in bytes."""
    return [
        Section("1 Hardware specifications (required)", [*_machines(known), *_gpus(known), *_infrastructure(known)]),
        Section("2 Task and data", _task(known)),
        *(Section(f"2 Compute and performance: {result.row.arm}", _result(known, result)) for result in known.results),
        Section("3 Development", _development(known)),
        Section("4 Logs", _logs(known, size)),
        Section("5 Verification and submission (required)", _verification()),
    ]


def hours(taken: Hours) -> str:
    """`0.25 GPU hours + 0.03 CPU hours`."""
    kinds = (("GPU hours", taken.gpu), ("CPU hours", taken.cpu))
    return " + ".join(f"{amount:.3g} {kind}" for kind, amount in kinds if amount) or "0 hours"


def threads(known: Facts) -> str:
    """`2 threads per trial`; empty where nothing was trained."""
    each = " or ".join(map(str, known.threads))
    return f"{each} thread{'s' * (each != '1')} per trial" if each else ""


def _machines(known: Facts) -> list[Answer]:
    machines = "; ".join(f"{count} x {machine}" if count > 1 else machine for machine, count in known.machines.items())
    memory = sorted({each.rpartition(", ")[2] for each in known.machines if each.endswith("GiB")})
    several = f"trials were trained on {known.nodes} machines" if known.nodes > 1 else ""
    driver = "of the machine that drove the study" if several else ""
    return [
        Answer("CPU model and cores", machines, "lscpu, on a machine that trained", driver),
        Answer("CPU threads used", threads(known), note=several),
        Answer("System memory", " or ".join(memory), "free -g, on a machine that trained", driver),
        Answer("Storage type", hint="SSD, hard disk, or a network share"),
    ]


def _gpus(known: Facts) -> list[Answer]:
    if not known.gpus:
        none = "none: all trials were trained on CPUs" if known.trials else ""
        return [Answer("GPU model", none), Answer("Number of GPUs", "0"), Answer("GPU memory", "none")]
    models = "; ".join(f"{model} ({count} trial{'s' * (count > 1)})" for model, count in known.gpus.items())
    shares = sorted({arm.gpus for arm in known.header.arms})
    return [
        Answer("GPU model", models),
        Answer(
            "Number of GPUs",
            f"{' or '.join(f'{share:g}' for share in shares)} per trial",
            note="how many the machines have is yours to add: nvidia-smi",
        ),
        Answer("GPU memory", hint="of one GPU: nvidia-smi"),
    ]


def _infrastructure(known: Facts) -> list[Answer]:
    versions = ", ".join(f"{VERSIONS[name]} {' or '.join(found)}" for name, found in known.versions.items())
    return [
        Answer("Infrastructure type", hint="own machines, a shared cluster, or a cloud"),
        Answer("Cloud provider and instance types", hint="none, where machines are not rented"),
        Answer("Framework", versions, "the versions of Python and PyTorch"),
        Answer("Mixed precision", _mixed(known), "bfloat16 or float16 on GPUs, float32 on CPUs"),
        Answer("Distributed training", "no: a trial is trained on one GPU, or on threads of one machine"),
    ]


def _mixed(known: Facts) -> str:
    said = ", ".join(known.precisions)
    return f"no, {said}" if said == "float32" else said


def _task(known: Facts) -> list[Answer]:
    header, splits = known.header, sizes(known.header)
    height, width = header.shift["size"]
    named = [f"{name}: {terms}" for name, terms in licences(header).items() if terms != NOT_SAID]
    count = "count the files of each split"
    return [
        Answer("Task category", "segmentation: unsupervised domain adaptation in semantic segmentation"),
        Answer(
            "Dataset name",
            f"{header.shift['name']}, images of {height} x {width}",
            note=f"licences: {'; '.join(named)}" if named else "licences are yours to say",
        ),
        Answer("Training set size", _images(splits, "source train", "target adapt"), count),
        Answer("Test set size", _images(splits, "target test"), count),
        Answer(
            "Performance metric",
            f"mIoU on the target's test split, mean over {seeds(known.table)}, by the Cityscapes convention",
        ),
        Answer(
            "Compute metric",
            "GPU + CPU hours, by the clock",
            note="GPU hours count by a trial's share of the GPU, CPU hours by the threads of trials without a GPU; "
            "whatever else ran on a machine makes both longer",
        ),
        Answer("Steps", f"{header.steps:,} optimiser steps a run", note=_epochs(known, splits.get("source train", 0))),
        Answer("Batch size", _batches(known), "no run that counts is on record", "of each domain"),
        Answer("Gradient accumulation", _parts(known), note="two parts only after memory had run out"),
    ]


def _result(known: Facts, result: Result) -> list[Answer]:
    row, reference = result.row, next(each.row for each in known.results if each.row.arm == known.header.reference)
    scored, none = row.scores.seeds > 0, "no run that counts has ended"
    whole = result.whole
    return [
        Answer(
            "Method performance",
            plus_minus(row.scores.miou, row.scores.miou_ci) if scored else "",
            none,
            f"{row.scores.seeds} of {row.scores.seeds + row.troubles.seeds_missing} seeds, "
            f"{level(known.header.times_looked)} Student-t interval",
        ),
        *([] if row is reference else _against(known, result, reference.scores.miou)),
        Answer("Model parameters", "" if math.isnan(row.cost.parameters) else f"{row.cost.parameters:,}"),
        Answer(
            "FLOPs of a forward pass",
            "" if math.isnan(row.cost.gflops) else f"{number(row.cost.gflops, '.4g')} GFLOPs at 512 x 1024",
            note="2 per multiply-accumulate, counted operation by operation by platform.networks.cost",
        ),
        Answer(
            "Compute of one result",
            hours(result.one) if scored else "",
            none,
            "training and evaluating one seed, and the runs that it begins from",
        ),
        Answer(
            "Compute of the row in total",
            hours(whole.total),
            note=f"{result.trials} trials: search {hours(whole.search)}, failed trials {hours(whole.failed)}"
            + _shared(result),
        ),
        Answer(f"Inference compute per {IMAGES:,} images", _inference(result), none, "one image at a time"),
    ]


def _shared(result: Result) -> str:
    """The compute that trials of other rows have in a row's score; empty where there are none."""
    shared = result.behind != result.whole.total
    return f"; {hours(result.behind)} with what other rows took that it begins from or is tuned as" if shared else ""


def _against(known: Facts, result: Result, reference: float) -> list[Answer]:
    difference, compute = result.row.comparison.to_reference, result.behind
    compared, none = difference.seeds > 0, "no seed is shared with the reference"
    points = 100 * difference.miou
    relative = f", {difference.miou / reference:+.1%} of the baseline" if reference else ""
    spread = "" if math.isnan(difference.miou_ci) else f" ± {100 * difference.miou_ci:.1f}"
    kinds = (("GPU hour", compute.gpu), ("CPU hour", compute.cpu))
    ratio = " or ".join(f"{points / taken:.3g} points of mIoU per {kind}" for kind, taken in kinds if taken)
    return [
        Answer(
            "Baseline method",
            known.header.reference,
            note="the study's reference; the strongest published one is yours",
        ),
        Answer("Baseline performance", number(reference, ".3f") if compared else "", none),
        Answer(
            "Improvement",
            f"{points:+.1f}{spread} points of mIoU{relative}" if compared else "",
            none,
            f"paired over {difference.seeds} seeds, Student-t; p {p_value(difference.p)} by Holm's method, "
            f"{'marked' if difference.told else 'not marked'} in the table",
        ),
        Answer(
            "Efficiency ratio",
            ratio if compared else "",
            none,
            "of all compute behind the row, its search or another row's included",
        ),
    ]


def _ablations(known: Facts) -> str:
    """The compute of each ablation's rows; empty where the study says of none that it is one."""
    by_name: dict[str, Hours] = {}
    for arm, result in zip(known.header.arms, known.results, strict=True):
        if arm.ablation:
            by_name[arm.ablation] = by_name.get(arm.ablation, Hours()) + result.whole.total
    return "; ".join(f"{name}: {hours(taken)}" for name, taken in by_name.items())


def _development(known: Facts) -> list[Answer]:
    energy = [f"GPUs: {kwh(known.used.gpus.total)}"] if known.gpus else []
    energy.append(f"processors: {kwh(known.used.processors.total)}")
    return [
        *_purposes(known),
        Answer("Energy in kWh", "; ".join(energy), note=coverage(known.used)),
        Answer(
            "Development began", known.header.began[:10], note="when this study first ran; what came before is yours"
        ),
        Answer("Development ended", known.until, "the day of the last run", "the study's last report"),
        Answer("Calendar months", hint="from the first idea to the last run, of which this study is a part"),
        Answer("Compute before this study", hint="other studies, what --fresh set aside, what lost workers took"),
    ]


def _purposes(known: Facts) -> list[Answer]:
    """What the hours of development went to."""
    taken = known.spent
    tuned = [result for result in known.results if result.row.after]
    return [
        Answer("Total development compute", hours(taken.total), note=f"{known.trials} trials, each once"),
        Answer("Training of reported results", f"{hours(taken.confirm)} ({_percent(taken.confirm, taken.total)})"),
        Answer(
            "Fine-tuning and distillation",
            "; ".join(f"{result.row.arm}: {hours(result.whole.total)}" for result in tuned) or "none",
            note="rows that begin from others, among the hours of this section",
        ),
        Answer(
            "Hyperparameter search",
            f"{hours(taken.search)} ({_percent(taken.search, taken.total)})",
            note=f"{known.configurations} configurations",
        ),
        Answer(
            "Failed runs",
            f"{hours(taken.failed)} ({_percent(taken.failed, taken.total)})",
            note=f"{known.failed} trials",
        ),
        Answer(
            "Ablation studies",
            _ablations(known),
            hint="which of the rows are ablations; each row's compute stands in section 2",
            note="among the hours of this section",
        ),
        Answer("Inference", f"{known.evaluating:.3g} hours of evaluations", note="among the hours of this section"),
        Answer(
            "Other",
            f"{known.besides:.3g} hours in which trials were taken up and checkpoints left",
            note="not in the total",
        ),
    ]


def _logs(known: Facts, size: int) -> list[Answer]:
    return [
        Answer("Log files", f"results/ and records.parquet of this kit: every report of {known.trials} trials"),
        Answer("Log file size", f"{size / 1e6:.2f} MB"),
        Answer(
            "Experiment date range",
            f"{known.header.began[:10]} to {known.until}" if known.until else "",
            f"from {known.header.began[:10]} on, when the study first ran",
        ),
        Answer(
            "Logs are anonymised", "hosts, addresses, users, paths, e-mail and repositories are replaced: see README.md"
        ),
        Answer("Logs are reviewed", hint="read them, above all the study file and the reasons of failures"),
        Answer("Consent to publish logs"),
        Answer("Weights & Biases", "no such logs: the runs were logged to MLflow, and are in records.parquet"),
    ]


def _verification() -> list[Answer]:
    return [
        Answer("Paper title and ID"),
        Answer("The report is accurate", hint="hours, seeds and failures above are counted from records, none by hand"),
        Answer("Name, contact and date", hint="on the form alone, not in the kit"),
        Answer("Additional notes", hint="table.md says what each row was given and took, and what went wrong"),
    ]


def _inference(result: Result) -> str:
    latency = result.row.latency
    if math.isnan(latency.milliseconds):
        return ""
    return f"{latency.milliseconds * IMAGES / 1000:.3g} s, on {'; '.join(latency.timed_on)}"


def _images(splits: dict[str, int], *names: str) -> str:
    return ", ".join(f"{splits[name]:,} images ({name})" for name in names if name in splits)


def _epochs(known: Facts, images: int) -> str:
    if not images or len(known.batches) != 1:
        return ""
    return f"{known.header.steps * known.batches[0] / images:.3g} epochs of the source"


def _batches(known: Facts) -> str:
    return " or ".join(map(str, known.batches))


def _parts(known: Facts) -> str:
    return f"{known.halved} trials in two parts" if known.halved else "none"


def _percent(part: Hours, whole: Hours) -> str:
    """Of GPU hours where there are any, else of CPU hours."""
    of, taken = (whole.gpu, part.gpu) if whole.gpu else (whole.cpu, part.cpu)
    return f"{taken / of:.0%}" if of else "0%"
