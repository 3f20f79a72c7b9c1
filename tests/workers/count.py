"""Prints `PID N` with N from 0 on, and a long line now and then, in two pieces each; SIGTERM ends it after a line.

python count.py [PAUSE]
"""

import os
import signal
import sys
import time

ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
pause = float(sys.argv[1]) if len(sys.argv) > 1 else 0.002
pid, number = os.getpid(), 0
while not ended:
    os.write(1, f"{pid} ".encode())
    time.sleep(pause)
    os.write(1, f"{number}{' ' + 'x' * 3000 if number % 50 == 0 else ''}\n".encode())
    number += 1
