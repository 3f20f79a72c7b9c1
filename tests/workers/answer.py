"""Accepts on an inherited socket and answers each line with its pid, for ever: python answer.py FD."""

import os
import socket
import sys

listening = socket.socket(fileno=int(sys.argv[1]))
listening.setblocking(True)
told = f"{os.getpid()}\n".encode()
while True:
    connection, _ = listening.accept()
    with connection:
        if connection.recv(64):
            connection.sendall(told)
