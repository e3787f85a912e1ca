"""What is read by a thread, one ahead."""

import threading

import pytest

from platform.training.data.ahead import Ahead


class Reads:
    """Counts what is read, and by whom; the numbers in `broken` fail the first time."""

    def __init__(self, *broken: int) -> None:
        self.numbers: list[int] = []
        self.threads: set[int] = set()
        self.began = {number: threading.Event() for number in range(20)}
        self.may_end = threading.Event()
        self.may_end.set()
        self._broken = {*broken}

    def __call__(self, number: int) -> int:
        self.numbers.append(number)
        self.threads.add(threading.get_ident())
        self.began[number].set()
        assert self.may_end.wait(60)
        if number in self._broken:
            self._broken.remove(number)
            raise OSError(f"number {number} is damaged")
        return 10 * number


def test_each_is_read_once_in_order_by_one_other_thread() -> None:
    reads = Reads()
    ahead = Ahead(reads, 6)
    assert [ahead.at(number) for number in range(6)] == [0, 10, 20, 30, 40, 50]
    assert reads.numbers == [*range(6)]
    assert len(reads.threads) == 1
    assert threading.get_ident() not in reads.threads


def test_the_next_is_read_while_one_is_used() -> None:
    reads = Reads()
    ahead = Ahead(reads, 9)
    ahead.at(3)
    assert reads.began[4].wait(60)
    assert not reads.began[5].is_set()


def test_whoever_goes_on_from_elsewhere_gets_what_is_there() -> None:
    reads = Reads()
    ahead = Ahead(reads, 20)
    assert [ahead.at(number) for number in (4, 5, 2, 2, 3, 19)] == [40, 50, 20, 20, 30, 190]


def test_nothing_is_read_beyond_the_end() -> None:
    reads = Reads()
    Ahead(reads, 3).at(2)
    assert reads.numbers == [2]


def test_what_reading_raises_is_raised_where_it_is_asked_for_and_read_again() -> None:
    reads = Reads(1)
    ahead = Ahead(reads, 3)
    assert ahead.at(0) == 0
    with pytest.raises(OSError, match="number 1 is damaged"):
        ahead.at(1)
    assert [ahead.at(1), ahead.at(2)] == [10, 20]


def test_only_time_that_is_waited_counts() -> None:
    reads = Reads()
    ahead = Ahead(reads, 9)
    ahead.at(0)
    assert reads.began[1].wait(60)
    before = ahead.waited
    reads.may_end.clear()
    timer = threading.Timer(0.2, reads.may_end.set)
    timer.start()
    ahead.at(2)
    assert ahead.waited - before >= 0.15
