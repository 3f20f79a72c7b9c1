"""The gate: one reader per socket, told once, gone when nobody waits."""

from circus.gate import Gate, sockets_used


class Loop:
    def __init__(self):
        self.readers = {}

    def add_reader(self, fd, callback, *args):
        assert fd not in self.readers
        self.readers[fd] = lambda: callback(*args)

    def remove_reader(self, fd):
        del self.readers[fd]


def test_a_connection_is_told_once():
    loop, told = Loop(), []
    gate = Gate(loop)
    gate.watch("web", [5], lambda: told.append("web"))
    loop.readers[5]()
    assert told == ["web"]
    assert loop.readers == {}


def test_two_watchers_of_one_socket_share_a_reader():
    loop, told = Loop(), []
    gate = Gate(loop)
    gate.watch("a", [5, 6], lambda: told.append("a"))
    gate.watch("b", [5], lambda: told.append("b"))
    loop.readers[6]()
    assert told == ["a"]
    assert set(loop.readers) == {5}


def test_who_stops_waiting_is_not_told():
    loop = Loop()
    gate = Gate(loop)
    gate.watch("web", [5], lambda: None)
    gate.unwatch("web")
    gate.unwatch("web")
    assert loop.readers == {}


def test_a_watcher_that_names_no_socket_waits_for_all():
    assert sockets_used([], {"a": 3, "b": 4}) == [3, 4]
    assert sockets_used(["b", "gone"], {"a": 3, "b": 4}) == [4]
