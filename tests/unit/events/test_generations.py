"""Generations of removed watchers: counted on, carried to the next program, bounded."""

from circus.events.bus import Bus
from circus.events.generations import MOST_NAMES, Generations
from circus.runtime.clock import SystemClock


def test_one_that_comes_back_is_counted_on() -> None:
    generations = Generations()
    assert generations.before("web") == 0
    generations.keep("web", 7)
    generations.keep("idle", 0)
    assert generations.before("web") == 7
    assert generations.before("idle") == generations.before("other") == 0
    generations.keep("web", 3)  # another of that name went before it had got anywhere
    assert generations.before("web") == 7


def test_of_names_without_end_the_highest_is_kept_and_none_comes_twice() -> None:
    generations = Generations()
    generations.keep("first", 40)
    for number in range(3 * MOST_NAMES):
        generations.keep(f"w{number}", 2)
    assert len(generations.last) == MOST_NAMES
    assert generations.before("first") == 40
    assert generations.before("never seen") == 40


def test_the_next_program_counts_on() -> None:
    bus = Bus(SystemClock())
    bus.generations.keep("web", 7)
    bus.generations.floor = 2
    after = Bus.resumed(SystemClock(), bus.handed(), journal_size=10).generations
    assert (after.before("web"), after.before("other")) == (7, 2)
