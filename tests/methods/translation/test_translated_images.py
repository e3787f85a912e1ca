"""Source images from a folder, in the place of the source's own: in batches, in studies, and where they are missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from platform.commands.before.refusals import check_files, check_source_images
from platform.methods import FDA, Labelled, Method, SourceOnly, TargetSupervised, TranslatedImages
from platform.methods.composition import Composition
from platform.records.record import Report
from platform.records.storage.storage import leave_mark
from platform.shifts import gta5_to_cityscapes, town
from platform.shifts.shift import DATA_VARIABLE, Arrays, CacheDamaged, DataError, Images, LabelledImages
from platform.study import ASHA, Arm, Budget, OneOf, Study
from platform.training.attempt import take_step
from platform.training.data.batches import trained_on
from tests.support import small_data_sets
from tests.support.arrays import all_of
from tests.support.attempts import TOWN, assignment, attempt, failure_of, process_as_it_was
from tests.support.reach import ways
from tests.support.shelf import TRANSLATED
from tests.support.tiny_splits import assert_same, composition, splits, state, training_run, with_sealed_oracle
from tests.support.trained_study import study_file, train


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


def translations(folder: Path, source: LabelledImages, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """A folder of the source's images, changed."""
    folder.mkdir()
    for name, image in zip(source.images.names, all_of(source.images.pixels), strict=True):
        own = name.rpartition("/")[2].removesuffix(".png")
        Image.fromarray(change(image)).save(folder / f"{own}.png")
    return str(folder)


def same(image: np.ndarray) -> np.ndarray:
    return image


def inverted(image: np.ndarray) -> np.ndarray:
    return 255 - image


# In batches


def test_batches_have_the_folders_images_and_the_sources_labels() -> None:
    run, expected = (
        training_run(each, augmentation="none") for each in (TranslatedImages(folder=TRANSLATED), SourceOnly())
    )
    for step in range(4):
        batch, own = run.batches.at(step)["source"], expected.batches.at(step)["source"]
        assert isinstance(batch, Labelled)
        assert isinstance(own, Labelled)
        assert torch.equal(batch.labels, own.labels)
        assert torch.equal(batch.indices, own.indices)
        for image, index in zip(batch.images, batch.indices.tolist(), strict=True):
            with Image.open(f"{TRANSLATED}/{index}.png") as file:
                resized = np.asarray(file.resize((64, 32), Image.Resampling.BILINEAR))
            assert np.array_equal(image.permute(1, 2, 0).numpy(), resized)


@pytest.mark.parametrize("method", [TranslatedImages(folder=""), None], ids=["no folder", "the source's own images"])
def test_the_sources_own_images_train_as_source_only_does(method: Method | None, tmp_path: Path) -> None:
    own = translations(tmp_path / "same", splits().source_train, same)
    run, expected = training_run(method or TranslatedImages(folder=own)), training_run(SourceOnly())
    assert run.advance(4) == expected.advance(4)
    assert_same(state(run), state(expected))


def test_other_translations_change_what_the_folder_holds(tmp_path: Path) -> None:
    """Whichever stands first in the arm."""
    source = splits().source_train
    method = TranslatedImages(folder=translations(tmp_path / "inverted", source, inverted))
    pixels = inverted(all_of(source.images.pixels))
    data = replace(splits(), source_train=replace(source, images=Images(pixels, source.images.names)))
    expected = training_run(FDA(beta=0.1), data).advance(3)
    for methods in ((method, FDA(beta=0.1)), (FDA(beta=0.1), method)):
        assert training_run(Composition(methods)).advance(3) == expected


def test_nothing_but_the_sources_training_images_is_replaced() -> None:
    data = splits()
    seen = trained_on(composition(TranslatedImages(folder=TRANSLATED)), data)
    assert seen.source_train.images.names == data.source_train.images.names
    assert replace(seen, source_train=data.source_train) == data
    assert trained_on(composition(SourceOnly()), data) is data


def test_it_is_not_asked_where_no_source_is_read() -> None:
    data = with_sealed_oracle(splits())
    assert trained_on(composition(TargetSupervised()), data) is data


def test_it_is_given_neither_target_nor_the_place_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = town(size=(32, 64), source_images=(4, 2), target_images=(4, 2, 2)).open()
    given: list[LabelledImages] = []
    monkeypatch.setattr(SourceOnly, "source_images", lambda method, labelled: given.append(labelled))
    training_run(SourceOnly(), data)
    assert len(given) == 1
    assert not ways(data, given)


def test_an_image_that_is_damaged_on_the_disk_is_named_and_can_be_decoded_again(tmp_path: Path) -> None:
    run = training_run(TranslatedImages(folder=TRANSLATED))
    (file,) = tmp_path.glob("cache/*/translated-*/*.npy")
    with file.open("r+b") as there:
        there.seek(200)
        there.write(bytes(64 * 32 * 3 * 12))
    with pytest.raises(CacheDamaged, match=r"translated\.images\.npy is damaged: the checksum"):
        run.advance(4)


@dataclass(frozen=True, kw_only=True)
class Replacing(SourceOnly):
    """Replaces the source's images by others in memory."""

    def source_images(self, labelled: LabelledImages) -> Arrays | None:
        return np.zeros((len(labelled), 8, 8, 3), np.uint8)


def test_images_of_another_shape_and_two_that_replace_them_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Replacing\.source_images must be uint8 arrays .* \(7, 32, 64, 3\), got shape \(7, 8, 8, 3\)"
    ):
        training_run(Replacing())
    with pytest.raises(
        ValueError, match="one method of an arm may replace the source's images, got TranslatedImages and"
    ):
        training_run(Composition((TranslatedImages(folder=TRANSLATED), Replacing())))


# In studies


def study(folder: str | OneOf) -> Study:
    return Study(
        shift=TOWN,
        arms={"source only": Arm(SourceOnly), "translated": Arm(TranslatedImages, folder=folder)},
        reference="source only",
        budget=Budget(steps=4, evaluations=2),
        search=ASHA(trials=2, grace=1.0),
    )


def test_contents_are_part_of_a_trials_id_and_the_place_is_its_folder(tmp_path: Path) -> None:
    data = TOWN.open()
    first, second = (translations(tmp_path / name, data.source_train, same) for name in ("one", "two"))
    other = translations(tmp_path / "other", data.source_train, inverted)
    digests = [study(each).row("translated").trial({}, 1, TOWN.identity()).data for each in (first, second, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_relative_folder_is_the_same_trial_wherever_the_data_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        translations(tmp_path / place / "cyclegan", TOWN.open().source_train, same)
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / place))
        ids.append(study("cyclegan").row("translated").trial({}, 1, TOWN.identity()).id)
    assert ids[0] == ids[1]


def test_a_smoke_run_reads_no_folder() -> None:
    for folder in ("/nowhere/at/all", OneOf("/nowhere", "/neither")):
        small = study(folder).smoke()
        check_files(small)
        data = small.shift.open()
        check_source_images(small, data)
        methods, recipe = small.row("translated").filled({})
        assert methods.methods == (TranslatedImages(folder=""),)
        assert trained_on(methods, data) is data
        assert recipe == small.recipe


def test_a_folder_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=f"^a folder of translated images must be there, and hold them, got {tmp_path}/none"
    ):
        check_files(study(f"{tmp_path}/none"))


def test_images_that_are_missing_are_told_before_any_trial_begins(tmp_path: Path) -> None:
    data = TOWN.open()
    folder = Path(translations(tmp_path / "some", data.source_train, same))
    (folder / "00003.png").unlink()
    check_files(study(str(folder)))
    with pytest.raises(DataError, match=f"^{folder} must hold an image of the same name .* got none for 00003: "):
        check_source_images(study(str(folder)), data)


@pytest.mark.parametrize("marked", [False, True], ids=["one machine", "cluster"])
def test_a_node_without_the_images_is_told_from_a_trial_that_fails(marked: bool, tmp_path: Path) -> None:
    method = TranslatedImages(folder=TRANSLATED)  # which lacks the town's names
    assigned = assignment(tmp_path / "results", method)
    assigned = replace(
        assigned, ask=replace(assigned.ask, trial=replace(assigned.ask.trial, data=composition(method).data()))
    )
    if marked:
        assigned = replace(assigned, mark=leave_mark(assigned.storage, "study"))
    with process_as_it_was():
        result = take_step(attempt(assigned))
    if marked:
        assert type(result).__name__ == "UnfitNode"
        assert "must hold an image of the same name" in result.reason  # type: ignore[union-attr]
    else:
        failure = failure_of(result)
        assert failure.cause == "data"
        assert failure.reason.startswith(f"{TRANSLATED} must hold an image of the same name")


def test_on_published_layouts_frames_are_found_by_their_numbers(tmp_path: Path) -> None:
    small_data_sets.lay_out(tmp_path / "data")
    frames = tmp_path / "data" / "gta5" / "images"
    folder = tmp_path / "data" / "cyclegan"
    folder.mkdir()
    for frame in frames.iterdir():
        with Image.open(frame) as image:
            Image.fromarray(inverted(np.asarray(image))).save(folder / f"{frame.stem}.jpg", quality=100, subsampling=0)
    shift = gta5_to_cityscapes(tmp_path / "data", size=(32, 64))
    data = shift.open()
    seen = trained_on(composition(TranslatedImages(folder=str(folder))), data)
    own, translated = (all_of(each.source_train.images.pixels).astype(int) for each in (data, seen))
    assert len(translated) == 21
    assert np.abs(255 - own - translated).mean() < 4
    training_run(Composition((TranslatedImages(folder=str(folder)), FDA(beta=0.1))), data).advance(2)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Report]]]:
    """Those of whole trials of one seed."""
    place = tmp_path_factory.mktemp("translated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        source = town(size=(32, 64), source_images=(12, 4), target_images=(12, 4, 4)).open().source_train
        arms = '"source only": Arm(SourceOnly),'
        for name, change in (("same", same), ("inverted", inverted)):
            arms += f'"{name}": Arm(TranslatedImages, folder={translations(place / name, source, change)!r}),'
        ledger = train(study_file(place / "study", '"source/miou"', seeds=1, arms=arms), place / "results")
        yield {ask.arm: list(ledger.record(ask).reports) for ask in ledger.asks}


def test_a_trial_on_the_sources_own_images_is_that_of_source_only(reports: dict[str, list[Report]]) -> None:
    for own, expected in zip(reports["same"], reports["source only"], strict=True):
        assert own.metrics == expected.metrics
        assert own.confusions == expected.confusions


def test_a_trial_on_other_images_is_another(reports: dict[str, list[Report]]) -> None:
    for other, own in zip(reports["inverted"], reports["source only"], strict=True):
        assert other.metrics["loss/cross_entropy"] != own.metrics["loss/cross_entropy"]
