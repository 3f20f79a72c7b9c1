"""From a file to the spec of a daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from circus.config.build import check, load
from circus.exc import ConfigError
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from tests.unit.config.conftest import Ini


def refused(ini: Ini, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        ini.load(text)
    return [f"{mistake.line} {mistake.option}: {mistake.expected}" for mistake in error.value.mistakes]


def test_mistakes_and_what_would_be_left_out_are_told_at_once_and_as_by_check(ini: Ini) -> None:
    text = """
        [circus]
        check_delay = soon
        [watcher:a]
        cmd = sleep 1
        numprocesses = many
        [watcher:b]
        cmd = sleep 1
        uid = no-such-user
        [alert:flapping]
        window = 20q
        [notify:hook]
        type = webhok
        [exporter:prometheus]
        prt = 1
    """
    with pytest.raises(ConfigError) as error:
        ini.load(text)
    assert sorted(str(mistake.option) for mistake in error.value.mistakes) == [
        "check_delay", "numprocesses", "prt", "type", "uid", "window",
    ]  # fmt: skip
    assert list(error.value.mistakes) == check(ini.main)[0]


def test_an_empty_file_is_a_daemon_of_defaults(ini: Ini) -> None:
    spec = ini.load("")
    assert (spec.endpoint, spec.check_delay, spec.multicast_endpoint, spec.statsd) == (
        "tcp://127.0.0.1:5555",
        5.0,
        "",
        False,
    )
    assert (spec.watchers, spec.omitted, spec.warnings, spec.asked) == ((), (), (), frozenset())


def test_the_file_is_named_by_its_whole_path(ini: Ini, monkeypatch: pytest.MonkeyPatch) -> None:
    ini.write("")
    monkeypatch.chdir(ini.directory)
    assert load("circus.ini").config_file == str(ini.main)


def test_options_of_the_daemon_are_read_and_typed(ini: Ini) -> None:
    spec = ini.load(
        """
        [circus]
        check_delay = 1
        warmup_delay = 0.5
        umask = 022
        debug = yes
        pidfile = $(circus.env.RUN)/circus.pid
        journal_size = 5
        """,
        {"RUN": "/run"},
    )
    assert (spec.check_delay, spec.warmup_delay, spec.umask, spec.debug) == (1.0, 0.5, 0o22, True)
    assert (spec.pidfile, spec.journal_size) == ("/run/circus.pid", 5)


def test_the_endpoints_that_were_written_are_told(ini: Ini) -> None:
    spec = ini.load("[circus]\nendpoint = auto\nstats_endpoint = tcp://127.0.0.1:5557")
    assert spec.asked == {"endpoint", "stats_endpoint"}
    assert (spec.endpoint, spec.pubsub_endpoint) == ("auto", "tcp://127.0.0.1:5556")


def test_a_written_stats_endpoint_means_statsd(ini: Ini) -> None:
    assert ini.load("[circus]\nstats_endpoint = auto").statsd


def test_all_mistakes_are_reported_together_from_top_to_bottom(ini: Ini) -> None:
    with pytest.raises(ConfigError) as error:
        ini.load(
            """
            [circus]
            check_delay = abc
            bare
            umask = 9
            [watcher:x]
            numprocesses = -1
            stop_signal = SIGFOO
            rlimit_foo = 1
            [socket:s]
            port = 99999
            [plugin:p]
            priority = 1
            """
        )
    assert [(mistake.line, mistake.section, mistake.option) for mistake in error.value.mistakes] == [
        (3, "circus", "check_delay"),
        (4, "circus", None),
        (5, "circus", "umask"),
        (6, "watcher:x", None),  # it has no cmd
        (7, "watcher:x", "numprocesses"),
        (8, "watcher:x", "stop_signal"),
        (9, "watcher:x", "rlimit_foo"),
        (11, "socket:s", "port"),
        (12, "plugin:p", None),
    ]


def test_a_mistake_tells_file_line_section_option_value_and_what_was_expected(ini: Ini) -> None:
    with pytest.raises(ConfigError) as error:
        ini.load("[watcher:web]\ncmd = sh\nnumprocesses = two")
    assert (
        str(error.value)
        == f"{ini.main}:3: [watcher:web] numprocesses = 'two': expected a whole number from 0 to 100000"
    )


def test_a_mistake_tells_what_a_variable_became(ini: Ini) -> None:
    with pytest.raises(ConfigError, match=r"'\$\(circus.env.N\)': expected a whole number.*, and it expands to 'two'"):
        ini.load("[watcher:web]\ncmd = sh\nnumprocesses = $(circus.env.N)", {"N": "two"})


def test_a_mistake_in_default_is_reported_once(ini: Ini) -> None:
    text = "[DEFAULT]\nnumprocesses = x\n" + "".join(f"[watcher:{name}]\ncmd = sh\n" for name in "abc")
    assert len(refused(ini, text)) == 1


def test_sockets_are_read_in_lower_case_sorted(ini: Ini) -> None:
    spec = ini.load(
        """
        [socket:WEB]
        port = 0
        backlog = 5
        so_reuseport = yes
        [socket:Admin]
        path = /run/admin.sock
        umask = 077
        replace = yes
        """
    )
    assert spec.sockets == (
        SocketSpec(name="admin", path="/run/admin.sock", family="AF_UNIX", umask=0o77, replace=True),
        SocketSpec(name="web", port=0, backlog=5, so_reuseport=True),
    )


def test_the_words_of_a_socket_are_read_in_any_case(ini: Ini) -> None:
    (socket,) = ini.load("[socket:a]\nfamily = af_inet6\ntype = sock_dgram\nproto = udp").sockets
    assert (socket.family, socket.type, socket.proto) == ("AF_INET6", "SOCK_DGRAM", "udp")


@pytest.mark.parametrize(
    "option", ["family = AF_FOO", "type = SOCK_FOO", "proto = nope", "family = AF_UNIX"], ids=lambda option: option
)
def test_a_socket_that_cannot_be_is_left_out(ini: Ini, option: str) -> None:
    spec = ini.load(f"[socket:a]\n{option}\n[socket:b]\nport = 0")
    assert [socket.name for socket in spec.sockets] == ["b"]
    assert [(mistake.section, mistake.line) for mistake in spec.omitted] == [("socket:a", 2)]


def test_two_sockets_that_differ_in_case_only_are_a_mistake(ini: Ini) -> None:
    assert "is the same socket as [socket:a]" in refused(ini, "[socket:a]\nport=0\n[socket:A]\nport=0")[0]


def test_plugins_keep_their_whole_title_and_their_options_as_text(ini: Ini) -> None:
    spec = ini.load("[plugin:x]\nuse = a.B\npriority = 2\nkey = $(circus.env.V):::b", {"V": "a"})
    assert spec.plugins == (PluginSpec(name="plugin:x", use="a.B", options={"priority": "2", "key": "a:::b"}),)


def test_the_priority_of_a_plugin_is_a_number(ini: Ini) -> None:
    assert refused(ini, "[plugin:x]\nuse = a.B\npriority = high") == ["3 priority: expected a whole number"]


def test_an_exporter_needs_no_options(ini: Ini) -> None:
    assert ini.load("[exporter:prometheus]").exporters == (ExporterSpec(name="prometheus"),)


def test_the_options_of_an_exporter_stay_text(ini: Ini) -> None:
    spec = ini.load("[exporter:prometheus]\nport = $(circus.env.P)\nprocesses = off", {"P": "9000"})
    assert spec.exporters == (ExporterSpec(name="prometheus", options={"port": "9000", "processes": "off"}),)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("[exporter:promtheus]", "no such exporter; there is prometheus, otlp"),
        ("[exporter:prometheus]\nport = x", "expected a whole number from 0 to 65535"),
        ("[exporter:prometheus]\nweb_conifg = a", "no such option; did you mean web_config?"),
        ("[exporter:prometheus]\nweb_config = nowhere.yml", "there is no such file, or it may not be read"),
    ],
)
def test_an_exporter_with_a_mistake_is_left_out_and_the_rest_runs(ini: Ini, section: str, told: str) -> None:
    spec = ini.load(f"{section}\n[watcher:a]\ncmd = sleep 1")
    assert (spec.exporters, len(spec.watchers)) == ((), 1)
    assert [mistake.expected for mistake in spec.omitted] == [told]


def test_a_web_config_is_looked_for_beside_the_file_that_names_it(ini: Ini) -> None:
    path = ini.write("[exporter:prometheus]\nweb_config = web.yml")
    (path.parent / "web.yml").touch()
    assert load(path).exporters[0].options["web_config"] == str(path.parent / "web.yml")


def test_a_section_without_options_is_skipped_with_a_warning(ini: Ini) -> None:
    spec = ini.load("[watcher:a]\n[socket:b]\n[plugin:c]")
    assert (spec.watchers, spec.sockets, spec.plugins) == ((), (), ())
    assert [warning.section for warning in spec.warnings] == ["watcher:a", "socket:b", "plugin:c"]


@pytest.mark.parametrize("title", ["watcher:", "socket: ", "exporter:"])
def test_a_section_without_name_is_a_mistake(ini: Ini, title: str) -> None:
    assert "name" in refused(ini, f"[{title}]\ncmd = sh")[0]


def test_a_section_of_somebody_else_is_left_in_peace(ini: Ini) -> None:
    assert ini.load("[loggers]\nkeys = root\n[formatter_x]\na = b").warnings == ()


def test_check_tells_mistakes_and_what_would_be_left_out_and_warnings(ini: Ini) -> None:
    path = ini.write(
        "[circus]\npapa_endpoint = x\n[watcher:a]\ncmd = sh\nnumprocesses = x\n[watcher:b]\ncmd = sh\ncopy_path = yes"
    )
    wrong, warnings = check(path)
    assert [(mistake.section, mistake.option) for mistake in wrong] == [
        ("watcher:a", "numprocesses"),
        ("watcher:b", "copy_path"),
    ]
    assert [warning.option for warning in warnings] == ["papa_endpoint"]


def test_check_of_a_good_file_finds_nothing(ini: Ini) -> None:
    assert check(ini.write("[watcher:a]\ncmd = sleep 1")) == ([], [])


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("papa_endpoint = x", "papa was removed"),
        ("use_papa = 1", "papa was removed"),
        ("stream_backend = gevent", "has no effect"),
        ("ssh_server = x", "from Python only"),
        ("httpd = 1", "circusweb, which is not installed"),
        ("loglevel = loud", "info is used"),
        ("chekc_delay = 1", "did you mean check_delay?"),
        ("anything = 1", "unknown in [circus]; it has no effect"),
    ],
)
def test_what_has_no_effect_in_circus_is_said(ini: Ini, line: str, word: str) -> None:
    (warning,) = ini.load(f"[circus]\n{line}").warnings
    assert word in warning.expected


def test_loading_gives_the_same_twice(ini: Ini) -> None:
    text = "[watcher:b]\ncmd = sh\n[watcher:a]\ncmd = sh\n[socket:s]\nport = 0\n[env]\nA = 1"
    first: ArbiterSpec = ini.load(text)
    assert ini.load(text) == first


def test_a_file_is_not_asked_for_by_name_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "a\0b")


def test_the_web_console_gets_its_socket_where_its_package_is(ini: Ini, monkeypatch: pytest.MonkeyPatch) -> None:
    (ini.directory / "circusweb.py").touch()
    monkeypatch.syspath_prepend(str(ini.directory))
    spec = ini.load("[circus]\nhttpd = 1\nhttpd_port = 9000\n[socket:web]\nport = 1")
    assert [(sock.name, sock.host, sock.port) for sock in spec.sockets] == [
        ("web", "localhost", 1), ("circushttpd", "localhost", 9000),
    ]  # fmt: skip
    assert spec.warnings == ()
    own = ini.load("[circus]\nhttpd = 1\n[socket:circushttpd]\nport = 1")
    assert [(sock.name, sock.port) for sock in own.sockets] == [("circushttpd", 1)]
