"""The helpers of circus.util, with what they give and what they refuse."""

import os
import signal

from circus import util


def told(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return type(error).__mro__[-3].__name__ if isinstance(error, ImportError) else type(error).__name__


for value in (True, None, "yes", "No", "ON", "0", "maybe"):
    print("to_bool", value, told(util.to_bool, value))
for value in (15, "15", "TERM", "SIGTERM", "sigterm", "SIGRTMIN+2"):
    print("to_signum", value, int(told(util.to_signum, value)))
for value in (0, 100, 2000, 2558525, 1 << 30, 1 << 40):
    print("bytes2human", value, told(util.bytes2human, value))
for value in ("100 B", "1 K", "1.5M", "3 giga", "2 Ki", "many", "5k"):
    print("human2bytes", value, told(util.human2bytes, value))
print(
    util.to_str(b"x"),
    util.to_bytes("x"),
    util.to_uid("root"),
    util.to_uid(0),
    util.to_gid("root"),
    told(util.to_uid, "nobody-here"),
)
print(util.get_username_from_uid(0), util.get_default_gid("root"))
print(
    util.parse_env_str("A=1,B=2"),
    util.env_to_str({"B": "2", "A": "1"}),
    util.convert_opt("env", {"A": "1"}),
    util.convert_opt("x", None),
)
os.environ["SOMEWHERE"] = "/there"
print(util.parse_env_dict({" A ": " $SOMEWHERE/x "}))
print(
    util.resolve_name("os.path.join") is os.path.join,
    told(util.resolve_name, "os.nothing.here"),
    util.resolve_name("no.such", silent=True),
)
for text in ("$(circus.a)", "((circus.A))", "$(circus.env.b) $(circus.none)", "$(a)"):
    print("replace", text, util.replace_gnu_args(text, a=1, env={"B": "x"}))
differ = util.DictDiffer({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5})
print(differ.added(), differ.removed(), differ.changed(), differ.unchanged(), util.dict_differ({"a": 1}, {"a": 2}))
print(util.ObjectDict(a=1).a, sorted(util.LOG_LEVELS), util.MAXFD, util.REDIRECT_TO, util.IS_WINDOWS)
print(
    util.DEFAULT_ENDPOINT_DEALER,
    util.DEFAULT_ENDPOINT_SUB,
    util.DEFAULT_ENDPOINT_STATS,
    util.DEFAULT_ENDPOINT_MULTICAST,
)
print(told(util.create_udp_socket, "127.0.0.1", 1234), told(util.create_udp_socket, "nowhere", 1234))
info = util.get_info(os.getpid())
print(sorted(info), info["pid"] == os.getpid(), info["children"])
parser = util.StrictConfigParser()
parser.read_string('[a]\nx = 1 ; said\nX = 2\nx = 3\ny : z\nempty = ""\n  more\n')
print([item for item in parser.items("a") if item[0] != "__name__"])
print(util.to_signum("term") == signal.SIGTERM)
