"""A supervisord.conf becomes a circus.ini, and what does not is told with its line."""

from __future__ import annotations

import pathlib

import pytest

from circus.config.build import load
from circus.exc import ConfigError
from circus.importing.supervisor import Converted, convert_file
from circus.spec.arbiter import ArbiterSpec

PROGRAM = "[program:web]\ncommand = run\nautorestart = true\n"


class Conf:
    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory

    def convert(self, text: str, environ: dict[str, str] | None = None, name: str = "s.conf") -> Converted:
        path = self.directory / name
        path.write_text(text)
        return convert_file(str(path), environ or {}, "myhost")

    def spec(self, text: str, environ: dict[str, str] | None = None) -> ArbiterSpec:
        made = self.directory / "circus.ini"
        made.write_text(self.convert(text, environ).text)
        return load(made, environ=environ or {}, look_around=False)

    def notes(self, text: str) -> list[str]:
        return [str(note).replace(f"{self.directory}/", "") for note in self.convert(text).notes]

    def mistakes(self, text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.convert(text)
        return [str(mistake).replace(f"{self.directory}/", "") for mistake in caught.value.mistakes]


@pytest.fixture
def conf(tmp_path: pathlib.Path) -> Conf:
    return Conf(tmp_path)


def test_what_has_a_word_in_circus_is_whole(conf):
    assert conf.convert(PROGRAM).whole
    assert conf.notes(PROGRAM) == []


def test_a_small_file_becomes_a_small_file(conf):
    body = conf.convert(PROGRAM).text.partition("\n\n")[2]
    assert body == (
        "[circus]\nendpoint = auto\npubsub_endpoint = auto\nstats_endpoint = auto\n\n"
        "[watcher:web]\ncmd = run\ncopy_env = True\ngraceful_timeout = 10\ncapture = True"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("exitcodes = 0,2\nautorestart=unexpected", "s.conf:3: [program:web] exitcodes: not converted: "),
        ("stdout_syslog = true", "s.conf:3: [program:web] stdout_syslog: not converted: there is no stream to syslog"),
        ("stderr_logfile = syslog", "s.conf:3: [program:web] stderr_logfile: not converted: there is no stream to syslog"),
        ("stdout_events_enabled = 1", "s.conf:3: [program:web] stdout_events_enabled: not converted: lines are published"),
        ("stdout_capture_maxbytes = 1KB", "s.conf:3: [program:web] stdout_capture_maxbytes: not converted: "),
        ("serverurl = AUTO", "s.conf:3: [program:web] serverurl: not converted: there is no HTTP server"),
        ("stdout_logfile = /dev/stderr", "s.conf:3: [program:web] stdout_logfile: not converted: no stream leads"),
        ("nonsense = 1", "s.conf:3: [program:web] nonsense: not converted: supervisor has no such option either"),
        ('environment = A="$HOME"', "s.conf:3: [program:web] environment: not converted: circusd replaces what looks"),
        ('environment = A="%(ENV_home)s"', "s.conf:3: [program:web] environment: not converted: A needs home"),
        ("killasgroup = true", "s.conf:3: [program:web] killasgroup: note: the stop signal too"),
        ("startretries = 1", "s.conf:3: [program:web] startretries: note: counts what cannot be executed"),
    ],
)  # fmt: skip
def test_an_option_that_means_something_else_here_is_told(conf, line, told):
    text = f"[program:web]\ncommand = run\n{line}\n" + ("" if "autorestart" in line else "autorestart = true\n")
    assert any(note.startswith(told) for note in conf.notes(text)), conf.notes(text)
    assert conf.convert(text).whole == ("note:" in told)


@pytest.mark.parametrize(
    ("title", "lost"),
    [
        ("[eventlistener:x]\ncommand = y\nevents = TICK_5", True),
        ("[inet_http_server]\nport = 9001", True),
        ("[rpcinterface:other]\na = b", True),
        ("[ctlplugin:other]\na = b", True),
        ("[unheard]\na = b", True),
        ("[unix_http_server]\nfile = /x\nusername = u", True),
        ("[unix_http_server]\nfile = /x\nchmod = 0700", False),
        ("[group:all]\nprograms = web", False),
        ("[supervisord]\nchildlogdir = /x", False),
        ("[supervisord]\nuser = x", False),
    ],
)
def test_a_section_that_means_something_else_here_is_told_at_the_end(conf, title, lost):
    found = conf.convert(f"{PROGRAM}{title}\n")
    assert found.notes
    assert found.whole is not lost
    assert ("NOT CONVERTED" in found.text.partition("\n\n")[2]) == lost


@pytest.mark.parametrize(
    "title", ["[supervisorctl]\nserverurl = x", "[rpcinterface:supervisor]\na = b", "[supervisord]\nminfds = 1024"]
)
def test_what_supervisor_itself_needs_and_circus_does_not_is_passed_over(conf, title):
    assert conf.notes(f"{PROGRAM}{title}\n") == []


def test_a_program_that_does_not_say_whether_it_restarts_is_told_with_its_section_and_line(conf):
    text = "[program:a]\ncommand=x\n[program:c]\ncommand=z\nautorestart=true\n\n[program:b]\ncommand=y\n"
    assert [note.partition(": note: it is not set, so")[0] for note in conf.notes(text)] == [
        "s.conf:1: [program:a] autorestart",
        "s.conf:7: [program:b] autorestart",
    ]
    written = conf.convert(text).text
    assert written.count("; NOTE: autorestart (line ") == 2
    assert written.index("autorestart (line 7)") < written.index("[watcher:b]")


def test_a_note_of_many_processes_is_told_once(conf):
    text = (
        "[program:n]\ncommand = run %(process_num)d\nprocess_name = n%(process_num)d\nnumprocs = 3\nstdout_syslog = 1\n"
        "autorestart = true\n"
    )
    assert len(conf.notes(text)) == 2
    assert conf.convert(text).text.count("NOT CONVERTED: stdout_syslog") == 1


def test_all_mistakes_are_told_with_their_lines(conf):
    assert conf.mistakes(
        "[program:x]\nnumprocs = 2\ncommand = a %(nope)s\nautostart = perhaps\nstopsignal = NOPE\nstopasgroup = 1\n"
        "killasgroup = 0\nstdout_logfile_maxbytes = 5 apples\numask = 9\nenvironment = A\nexitcodes = 300\n"
        "[program:y]\nnumprocs = k\n[group:z]\nprograms = q\n[supervisord]\nloglevel = loud\n"
    ) == [
        "s.conf:1: [program:x] process_name: expected %(process_num)02d in it, as numprocs is more than 1",
        "s.conf:3: [program:x] command = 'a %(nope)s': expected names that supervisor has, not %(nope)s",
        "s.conf:4: [program:x] autostart = 'perhaps': expected true or false",
        "s.conf:5: [program:x] stopsignal = 'NOPE': expected the name or number of a signal",
        "s.conf:7: [program:x] killasgroup = '0': expected true, as stopasgroup is",
        "s.conf:8: [program:x] stdout_logfile_maxbytes = '5 apples': expected a size, as in 512, 64KB, 50MB or 1GB",
        "s.conf:9: [program:x] umask = '9': expected an octal number",
        's.conf:10: [program:x] environment = \'A\': expected KEY="value",OTHER="value"',
        "s.conf:11: [program:x] exitcodes = '300': expected exit statuses from 0 to 255, separated by commas",
        "s.conf:12: [program:y]: expected an option `command`",
        "s.conf:13: [program:y] numprocs = 'k': expected a whole number",
        "s.conf:15: [group:z] programs = 'q': there is no [program:q]",
        "s.conf:17: [supervisord] loglevel = 'loud': expected one of critical, error, warn, info, debug, trace, blather",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = b\n", "s.conf:1: 'a = b': a section such as [program:NAME] has to come first"),
        ("[program:x]\ncommand=a\nfoo bar\n", "s.conf:3: 'foo bar': an option is written NAME = VALUE"),
        ("[watcher:x]\ncmd=a\n", "s.conf: this is no file of supervisor: expected [supervisord] or a [program:NAME]"),
        ("[program:a b]\ncommand=x\n", "s.conf:1: [program:a b]: expected a name without ' '"),
        ("[program:x]\ncommand=100%\n", "s.conf:2: [program:x] command = '100%': expected a text for Python's % operator"),
        ("[fcgi-program:x]\ncommand=x\n", "s.conf:1: [fcgi-program:x]: expected socket = tcp://HOST:PORT or unix:///PATH"),
        ("[fcgi-program:x]\ncommand=x\nsocket=tcp://h:1\nsocket_mode=0700\n", "s.conf:4: [fcgi-program:x] socket_mode = "),
        ("[program:x]\ncommand=\n", "s.conf:2: [program:x] command: expected a program"),
        ("[program:x]\ncommand='a\n", "s.conf:2: [program:x] command = \"'a\": expected words as a shell has them: no clo"),
        ("[program:x]\ncommand=a\nprocess_name=a b\n", "s.conf:3: [program:x] process_name = 'a b': expected a name wi"),
        ("[include]\n[program:x]\ncommand=x\n", "s.conf:1: [include]: expected an option `files`"),
        ("[program:x]\ncommand=x\nnumprocs=%(ENV_N)s\n", "s.conf:3: [program:x] numprocs = '%(ENV_N)s': expected N in the"),
        ("[program:X]\ncommand=x\n[program:x]\ncommand=y\n", "s.conf:3: [program:x]: expected another name than in [pro"),
    ],
)  # fmt: skip
def test_what_supervisor_or_circus_would_refuse_is_a_mistake(conf, text, told):
    assert any(mistake.startswith(told) for mistake in conf.mistakes(text)), conf.mistakes(text)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.conf: cannot be read: No such file"):
        convert_file(str(tmp_path / "none.conf"), {}, "h")


def test_bytes_that_are_no_text_are_a_mistake(tmp_path):
    (tmp_path / "b.conf").write_bytes(b"[program:\xff]")
    with pytest.raises(ConfigError, match="UTF-8 text expected"):
        convert_file(str(tmp_path / "b.conf"), {}, "h")


def test_included_files_override_and_have_a_here_of_their_own(conf, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.conf").write_text("[program:web]\ncommand = other %(here)s\n[include]\nfiles = x\n")
    spec = conf.spec(f"{PROGRAM}[include]\nfiles = d/*.conf none/*.conf\n")
    assert [watcher.cmd for watcher in spec.watchers] == [f"other {tmp_path}/d"]
    assert conf.notes(f"{PROGRAM}[include]\nfiles = d/*.conf none/*.conf\n") == [
        "s.conf:5: [include] files: note: no file matches none/*.conf",
        "d/a.conf:3: [include]: not converted: supervisor follows [include] in the main file alone",
    ]


def test_the_environment_is_looked_up_when_circusd_starts(conf):
    text = (
        "[supervisord]\nenvironment = A=%(ENV_HOME)s\n[program:web]\ncommand = run %(ENV_HOME)s %(ENV_A)s\n"
        'environment = B="%(ENV_HOME)s/x"\n'
    )
    (watcher,) = conf.spec(text, {"HOME": "/elsewhere"}).watchers
    assert "$(circus.env.HOME)" in conf.convert(text).text
    assert watcher.env == {"A": "/elsewhere", "B": "/elsewhere/x"}


def test_a_value_that_an_ini_file_cannot_hold_is_told_and_left_out(conf):
    found = conf.convert('[program:web]\ncommand = run\nautorestart = true\nenvironment = A=";x",B="z"\n')
    assert not found.whole
    assert "A = " not in found.text.partition("[env:web]")[2]
    assert "B = z" in found.text
    assert "an ini file for circusd cannot hold this value: ;x" in found.text


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("stdout_logfile = NONE\nstderr_logfile = off", {"close_child_stdout", "close_child_stderr"}),
        ("stdout_logfile = /dev/stdout\nstdout_logfile_maxbytes = 0\nredirect_stderr = 1", {"stderr_stream"}),
        ("stdout_logfile = /dev/stdout\nstderr_logfile = /dev/stderr", set()),
        ("stdout_logfile = x.log", {"stdout_stream", "capture"}),
        ("stdout_logfile = x.log\nredirect_stderr = true", {"stdout_stream", "stderr_stream"}),
    ],
)
def test_outputs_go_where_they_went(conf, text, options):
    (watcher,) = conf.spec(f"{PROGRAM}{text}\n").watchers
    fields = ("stdout_stream", "stderr_stream", "close_child_stdout", "close_child_stderr", "capture")
    assert {name for name in fields if getattr(watcher, name)} == options


def test_a_file_of_the_user_is_where_his_home_is(conf, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert "filename = /home/me/x.log" in conf.convert(f"{PROGRAM}stdout_logfile = ~/x.log\n").text


def test_a_command_of_several_lines_is_one(conf):
    (watcher,) = conf.spec("[program:web]\ncommand = run --a 1\n\n    --b 2\nautorestart = true\n").watchers
    assert watcher.cmd == "run --a 1 --b 2"
    (watcher,) = conf.spec("[program:web]\ncommand = sh -c 'a\n    b'\nautorestart = true\n").watchers
    assert watcher.cmd == "sh -c 'a\nb'"


def test_default_applies_to_all_files(conf, tmp_path):
    (tmp_path / "more.conf").write_text("[program:b]\ncommand = b\n")
    spec = conf.spec(f"[DEFAULT]\nstopwaitsecs = 3\n{PROGRAM}[include]\nfiles = more.conf\n")
    assert {watcher.graceful_timeout for watcher in spec.watchers} == {3.0}
