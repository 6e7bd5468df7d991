"""The guest's console in gdb's terminal: what it prints appears there; while the guest runs, what is typed goes to it.

A thread copies both ways. gdb does not read the terminal while the guest runs, so there is no one to share it with; each stop hands
the terminal back, before gdb shows its prompt. ^C stays gdb's.
"""

import os
import select
import socket
import sys
import termios
import threading

import gdb

connection = None
_running = threading.Event()
_handed_back = threading.Event()
_wake_read, _wake_write = os.pipe()
_saved = None


def send(text):
    if connection is None:
        raise gdb.GdbError("no console: this gdb was not started by make gdb")
    connection.sendall(text.encode())


def _copy():
    while True:
        typing = _running.is_set()
        sources = [connection, _wake_read] + ([0] if typing and _saved else [])
        ready, _, _ = select.select(sources, [], [])
        if _wake_read in ready:
            os.read(_wake_read, 64)
            if not _running.is_set():
                _handed_back.set()
            continue
        if connection in ready:
            data = connection.recv(4096)
            if not data:
                return
            os.write(1, data)
        if 0 in ready and _running.is_set():
            connection.sendall(os.read(0, 256))


def _resumed(_):
    global _saved
    if _running.is_set():
        return
    if os.isatty(0):
        _saved = termios.tcgetattr(0)
        mode = termios.tcgetattr(0)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[0] &= ~termios.ICRNL
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
    _running.set()
    os.write(_wake_write, b"r")


def _stopped(_):
    global _saved
    if not _running.is_set():
        return
    _handed_back.clear()
    _running.clear()
    os.write(_wake_write, b"s")
    _handed_back.wait(2)
    if _saved:
        termios.tcsetattr(0, termios.TCSADRAIN, _saved)
        _saved = None


def start():
    """Connects to the console that QUIRE_CONSOLE names."""
    global connection
    path = os.environ.get("QUIRE_CONSOLE")
    if not path:
        return
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    threading.Thread(target=_copy, daemon=True).start()
    gdb.events.cont.connect(_resumed)
    gdb.events.stop.connect(_stopped)
    gdb.events.exited.connect(_stopped)
    if sys.stdout.isatty():
        print("The guest's console is in this terminal: `continue` runs it, what you type then goes to it, ^C stops it.")
