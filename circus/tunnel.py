"""The near end of an ssh tunnel to a control or stats channel.

Owns making it by pyzmq's means, and saying in one line why it could not be made; refuses to know what is sent through.
"""

from __future__ import annotations

from circus.exc import CallError


def tunnel(endpoint: str, ssh_server: str, ssh_keyfile: str | None = None) -> str:
    """The near end of an ssh tunnel to an endpoint; CallError says in one line why there is none."""
    if not endpoint.startswith("tcp://"):
        raise CallError(f"only tcp endpoints can be reached through ssh, and {endpoint} is none")
    import contextlib
    import io
    import signal
    import threading

    main = threading.current_thread() is threading.main_thread()
    # pyzmq's ssh goes into the background while its terminal is closed. The hang-up that this brings kills it as often
    # as not, unless it is ignored; only the main thread can say so.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN) if main else None
    try:
        from zmq.ssh.tunnel import open_tunnel

        # It prints what ssh said when it fails; passwords it asks for on the terminal itself.
        with contextlib.redirect_stdout(io.StringIO()):
            near, _ = open_tunnel(endpoint, ssh_server, keyfile=ssh_keyfile)
    except ImportError:
        raise CallError("ssh tunnels need pexpect, which is not installed: pip install 'circus[ssh]'") from None
    except Exception as error:  # pyzmq's tunnels raise errors of pexpect, paramiko, and plain ones
        raise CallError(f"no tunnel to {endpoint} through {ssh_server}: {error}") from error
    finally:
        if main:
            signal.signal(signal.SIGHUP, before)
    # pyzmq does not always learn that ssh failed; then nobody listens where the tunnel should begin.
    if not _connects(near):
        host, _, port = ssh_server.partition(":")
        by_hand = f"ssh -p {port} {host}" if port else f"ssh {host}"
        raise CallError(f"no tunnel to {endpoint} through {ssh_server}: ssh has failed, `{by_hand}` may say why")
    return near


def _connects(endpoint: str) -> bool:
    import socket

    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
