"""The sampler with processes that are numbers: what is read when, and what the totals say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.stats.sampler import Sampler
from tests.fakes.readers import FakeClock, FakeReaders


class Table:
    """A sampler with its clock, its readers and the CPU seconds of the ended."""

    def __init__(self, *, slow_interval: float = 15.0, budget: float = 0.001) -> None:
        self.clock = FakeClock()
        self.readers = FakeReaders(self.clock)
        self.ended: dict[str, tuple[float, float]] = {}
        self.sampler = Sampler(
            self.clock,
            reader_factory=self.readers,
            ended_cpu=lambda name: self.ended.get(name, (0.0, 0.0)),
            slow_interval=slow_interval,
            budget=budget,
        )

    def add(self, wid: int, pid: int, watcher: str = "web") -> None:
        self.sampler.add(watcher, wid, pid, wid, self.clock.time())

    def sweep(self, watcher: str = "web", **options) -> int:
        """One whole sweep; how often it gave way."""
        turns = 0
        self.sampler.slice.begin()
        for _ in self.sampler.sweep(self.sampler.members(watcher), **options):
            turns += 1
            self.sampler.slice.begin()
        return turns

    def samples(self, watcher: str = "web"):
        return [member.sample for member in self.sampler.members(watcher)]

    def end(self, wid: int, user: float, system: float, watcher: str = "web") -> None:
        """The reaper's part: the exact CPU time of a process, and its end."""
        before = self.ended.get(watcher, (0.0, 0.0))
        self.ended[watcher] = (before[0] + user, before[1] + system)
        self.sampler.discard(watcher, wid)


@pytest.fixture
def table():
    return Table()


def test_a_sweep_fills_the_sample_of_each_process(table):
    table.add(1, 11)
    table.readers.made[11].user, table.readers.made[11].system = 1.5, 0.25
    table.sweep()
    (sample,) = table.samples()
    assert (sample.wid, sample.pid, sample.state) == (1, 11, "S")
    assert (sample.cpu_user_seconds, sample.cpu_system_seconds) == (1.5, 0.25)
    assert (sample.resident_bytes, sample.virtual_bytes, sample.threads) == (4096, 8192, 1)
    assert (sample.minor_faults, sample.major_faults) == (10, 1)


def test_a_process_that_was_never_read_is_not_counted(table):
    table.add(1, 11)
    assert table.sampler.totals("web").processes == 0
    assert table.samples()[0].state is None


def test_the_totals_of_an_unknown_watcher_are_zero(table):
    assert table.sampler.totals("nobody").cpu_user_seconds == 0.0


def test_the_loop_gets_its_turn_whenever_the_budget_is_spent():
    table = Table(budget=2.0**-10)
    for wid in range(1, 101):
        table.add(wid, wid)
        table.readers.made[wid].costs = 2.0**-13
    assert table.sweep() == 100 // 8


def test_a_long_walk_over_descendants_gives_way_too(table):
    table.add(1, 11)
    table.readers.made[11].below = list(range(100, 150))
    table.readers.made[11].costs = 0.0005
    assert table.sweep(slow=1) >= 20
    assert table.samples()[0].tree.processes == 51


def test_young_samples_are_left_as_they_are(table):
    table.add(1, 11)
    table.sweep()
    table.clock.now += 0.75
    table.sweep(max_age=1.0)
    assert table.readers.made[11].reads == 1
    table.clock.now += 0.25
    table.sweep(max_age=1.0)
    assert table.readers.made[11].reads == 2


def test_a_process_discarded_in_the_middle_of_a_sweep_is_not_read(table):
    for wid in (1, 2):
        table.add(wid, wid)
        table.readers.made[wid].costs = 1.0
    steps = table.sampler.sweep(table.sampler.members("web"))
    next(steps)
    table.sampler.discard("web", 2)
    assert list(steps) == []
    assert table.readers.made[2].reads == 0


# -- the slow tier


def test_the_first_reading_includes_the_slow_tier(table):
    table.add(1, 11)
    table.sweep(slow=0)
    (sample,) = table.samples()
    assert (sample.open_fds, sample.max_fds, sample.slow_time) == (4, 1024, table.clock.time())


def test_without_slow_only_the_fast_tier_is_read(table):
    table.add(1, 11)
    table.sweep()
    assert table.readers.made[11].slow_reads == 0
    assert table.samples()[0].slow_time is None


def test_processes_started_together_get_their_next_slow_reading_apart(table):
    for wid in range(1, 151):
        table.add(wid, wid)
    table.sweep(slow=0)
    worst = 0
    for _ in range(15):
        table.clock.now += 1.0
        for reader in table.readers.made.values():
            reader.user += 0.01
        before = sum(reader.slow_reads for reader in table.readers.made.values())
        table.sweep(slow=table.sampler.slow_share(1.0))
        worst = max(worst, sum(reader.slow_reads for reader in table.readers.made.values()) - before)
    assert sum(reader.slow_reads for reader in table.readers.made.values()) >= 280
    assert worst <= 11


def test_after_a_long_silence_one_sweep_does_not_pay_for_all_slow_readings(table):
    for wid in range(1, 151):
        table.add(wid, wid)
    table.sweep(slow=0)
    table.clock.now += 3600.0
    table.sweep(slow=10)
    assert sum(reader.slow_reads for reader in table.readers.made.values()) == 160


def test_a_process_that_did_nothing_is_visited_half_as_often(table):
    table.add(1, 11)
    table.add(2, 12)
    for _ in range(300):
        table.readers.made[12].user += 0.01
        table.sweep(slow=10)
        table.clock.now += 1.0
    asleep, busy = (table.readers.made[pid].slow_reads for pid in (11, 12))
    assert 19 <= busy <= 22
    assert 10 <= asleep <= 12


def test_slow_fields_keep_their_last_value_between_slow_readings(table):
    table.add(1, 11)
    table.sweep(slow=0)
    told = table.samples()[0].slow_time
    table.clock.now += 0.01
    table.sweep(slow=0)
    assert table.samples()[0].open_fds == 4
    assert table.samples()[0].slow_time == told


def test_a_slow_reading_that_is_denied_leaves_the_fast_fields(table):
    table.add(1, 11)
    table.readers.made[11].slow_error = PermissionError()
    table.sweep(slow=0)
    (sample,) = table.samples()
    assert sample.state == "S"
    assert sample.open_fds is None
    assert table.sampler.errors == {"vanished": 0, "denied": 1, "other": 0}


# -- failures


def test_a_process_that_vanished_is_counted_once_and_not_read_again(table):
    table.add(1, 11)
    table.sweep()
    table.readers.made[11].gone = True
    table.sweep()
    table.sweep()
    assert table.sampler.errors["vanished"] == 1
    assert table.sampler.totals("web").processes == 0


def test_cpu_of_a_vanished_process_stays_until_its_exact_number_comes(table):
    table.add(1, 11)
    table.readers.made[11].user = 2.0
    table.sweep()
    table.readers.made[11].gone = True
    table.sweep()
    assert table.sampler.totals("web").cpu_user_seconds == 2.0
    table.end(1, 2.25, 0.0)
    assert table.sampler.totals("web").cpu_user_seconds == 2.25


@pytest.mark.parametrize(
    ("error", "reason"), [(PermissionError(), "denied"), (OSError(24, "full"), "other"), (ValueError(), "other")]
)
def test_a_reading_that_fails_is_counted_and_the_last_sample_stays(table, error, reason):
    table.add(1, 11)
    table.add(2, 12)
    table.sweep()
    table.readers.made[11].error = error
    table.readers.made[12].user = 3.0
    table.sweep()
    assert table.sampler.errors[reason] == 1
    assert [sample.cpu_user_seconds for sample in table.samples()] == [0.0, 3.0]


# -- CPU


def test_percent_is_of_the_time_between_two_readings(table):
    table.add(1, 11)
    table.sweep()
    assert table.sampler.members("web")[0].percent == 0.0
    table.clock.now += 2.0
    table.readers.made[11].user += 1.0
    table.readers.made[11].system += 0.5
    table.sweep()
    assert table.sampler.members("web")[0].percent == pytest.approx(75.0)


def test_percent_of_readings_close_together_stays_that_of_the_last_real_distance(table):
    table.add(1, 11)
    table.sweep()
    table.clock.now += 1.0
    table.readers.made[11].user += 0.5
    table.sweep()
    table.clock.now += 0.01
    table.readers.made[11].user += 0.01
    table.sweep()
    assert table.sampler.members("web")[0].percent == pytest.approx(50.0)


def test_cpu_of_a_process_never_goes_down(table):
    table.add(1, 11)
    table.readers.made[11].user = 5.0
    table.sweep()
    table.readers.made[11].user = 4.99
    table.sweep()
    assert table.samples()[0].cpu_user_seconds == 5.0


def test_totals_hold_the_living_and_the_ended(table):
    table.add(1, 11)
    table.add(2, 12)
    table.readers.made[11].user, table.readers.made[12].user = 1.0, 2.0
    table.sweep()
    table.end(1, 1.004, 0.5)
    totals = table.sampler.totals("web")
    assert (totals.processes, totals.resident_bytes) == (1, 4096)
    assert totals.cpu_user_seconds == pytest.approx(3.004)
    assert totals.cpu_system_seconds == pytest.approx(0.5)


def test_totals_do_not_fall_when_a_process_ends_without_a_status(table):
    table.add(1, 11)
    table.readers.made[11].user = 7.0
    table.sweep()
    assert table.sampler.totals("web").cpu_user_seconds == 7.0
    table.end(1, 0.0, 0.0)
    assert table.sampler.totals("web").cpu_user_seconds == 7.0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.integers(1, 4), st.floats(0, 3), st.floats(0, 3)),
            st.tuples(st.just("end"), st.integers(1, 4), st.floats(0, 9), st.floats(0, 9)),
            st.tuples(st.just("vanish"), st.integers(1, 4), st.just(0.0), st.just(0.0)),
            st.tuples(st.just("sweep"), st.integers(1, 4), st.just(0.0), st.just(0.0)),
        ),
        max_size=40,
    )
)
def test_totals_never_go_down_whatever_happens(history):
    table = Table()
    pid = 100
    living: dict[int, int] = {}
    told = (0.0, 0.0)
    for what, wid, user, system in history:
        if what == "run" and wid not in living:
            pid += 1
            living[wid] = pid
            table.add(wid, pid)
        if what == "run":
            table.readers.made[living[wid]].user += user
            table.readers.made[living[wid]].system += system
        elif what == "vanish" and wid in living:
            table.readers.made[living[wid]].gone = True
        elif what == "end" and living.pop(wid, None):
            table.end(wid, user, system)
        elif what == "sweep":
            table.clock.now += 1.0
            table.sweep()
        totals = table.sampler.totals("web")
        now = (totals.cpu_user_seconds, totals.cpu_system_seconds)
        assert now[0] >= told[0]
        assert now[1] >= told[1]
        told = now


# -- the table


def test_watchers_are_known_in_order_also_without_processes(table):
    for name in ("zeta", "alpha"):
        table.sampler.add_watcher(name)
    assert table.sampler.watchers() == ["zeta", "alpha"]
    assert table.sampler.members("zeta") == []


def test_a_new_process_in_a_slot_takes_the_place_of_the_old_one(table):
    table.add(1, 11)
    table.add(1, 12)
    assert [sample.pid for sample in table.samples()] == [12]
    assert table.readers.made[11].closed == 1


def test_removing_a_watcher_forgets_its_processes_and_totals(table):
    table.add(1, 11)
    table.readers.made[11].user = 3.0
    table.sweep()
    table.sampler.totals("web")
    table.sampler.remove_watcher("web")
    assert table.sampler.watchers() == []
    assert table.readers.made[11].closed == 1
    assert table.sampler.totals("web").cpu_user_seconds == 0.0


def test_unknown_watchers_and_slots_are_forgotten_without_a_word(table):
    table.sampler.discard("web", 1)
    table.sampler.remove_watcher("web")
    assert len(table.sampler) == 0


def test_release_closes_what_readers_keep_open(table):
    table.add(1, 11)
    table.sweep()
    table.sampler.release()
    assert table.readers.made[11].closed == 1


def test_a_process_is_known_by_watcher_and_wid(table):
    table.add(1, 11)
    assert ("web", 1) in table.sampler
    assert ("web", 2) not in table.sampler
    assert ("other", 1) not in table.sampler
