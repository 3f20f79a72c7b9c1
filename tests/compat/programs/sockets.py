"""CircusSocket and CircusSockets, as programs that hand sockets to their own processes use them."""

import os
import socket
import sys

from circus.sockets import CircusSocket, CircusSockets

place = sys.argv[1]


def told(sock):
    return (
        sock.name,
        sock.is_unix,
        sock.path and os.path.basename(sock.path),
        sock.host,
        sock.backlog,
        sock.so_reuseport,
        sock.interface,
        sock.blocking,
        sock.family.name,
        sock.socktype.name,
        bool(sock.port),
    )


def talk(sock):
    """One line through a listening socket."""
    family = socket.AF_UNIX if sock.is_unix else sock.family
    with socket.socket(family) as client:
        client.connect(sock.path if sock.is_unix else (sock.host, sock.port))
        client.sendall(b"hello")
        sock.setblocking(True)
        connection, _ = sock.accept()
        with connection:
            return connection.recv(10)


web = CircusSocket("web", host="127.0.0.1", port=0, backlog=5)
print(told(web), web.location, str(web))
web.bind_and_listen()
print(told(web), web.location == f"127.0.0.1:{web.port}", talk(web))
print(web.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR), isinstance(web, socket.socket))
web.close()

path = os.path.join(place, "a.sock")
unix = CircusSocket("unix", path=path, umask=0o077)
unix.bind_and_listen()
# Of what has a path, host and port mean nothing: they are None there, and empty here.
print(told(unix)[:3], unix.location == repr(path), oct(os.stat(path).st_mode & 0o777), talk(unix))
try:
    CircusSocket("again", path=path).bind_and_listen()
except OSError as error:
    print("OSError", path in str(error))
replacing = CircusSocket("replacing", path=path, replace=True)
replacing.bind_and_listen()
print(talk(replacing))
replacing.close()
print(os.path.exists(path))

six = CircusSocket("six", host="::1", port=0, family=socket.AF_INET6)
six.bind_and_listen()
print(six.family.name, six.host, six.port > 0)
six.close()

datagram = CircusSocket("datagram", host="127.0.0.1", port=0, type=socket.SOCK_DGRAM)
datagram.bind_and_listen()
print(told(datagram)[8:], datagram.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
datagram.close()

made = CircusSocket.load_from_config(
    {"name": "made", "host": "localhost", "port": "0", "backlog": "7", "so_reuseport": "yes", "blocking": "1"}
)
print(told(made), sorted(made._cfg.items()))
made.close()

sockets = CircusSockets(backlog=3)
sockets.add("one", host="127.0.0.1", port=0)
sockets.add("two", host="127.0.0.1", port=0, backlog=9)
sockets.add("three", path=os.path.join(place, "b.sock"), umask=0)
print(sorted(sockets), [sockets[name].backlog for name in sorted(sockets)], isinstance(sockets, dict))
try:
    sockets.add("one", port=0)
except ValueError:
    print("ValueError")
sockets.bind_and_listen_all()
print([talk(sockets[name]) for name in sorted(sockets)])
sockets.close_all()
print([sock.fileno() for sock in sockets.values()], os.path.exists(os.path.join(place, "b.sock")))
given = CircusSockets([CircusSocket("given", host="127.0.0.1", port=0)])
print(list(given), given.backlog)
given.close_all()

try:
    CircusSocket("nowhere", host="no host at all", port=0)
except OSError:
    print("no such host")
try:
    CircusSocket.load_from_config({"name": "wrong", "family": "AF_NOWHERE"})
except Exception:
    print("no such family")
