"""The signal that asks a process to end."""

import contextlib
import signal
import threading


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the process is to end, as after Ctrl-C.

    Attributes:
        exit_code: what a shell says of a process that SIGTERM ended.
    """

    exit_code = 128 + signal.SIGTERM


@contextlib.contextmanager
def terminating():
    """Context manager in which SIGTERM raises `Terminated`, so that files are left whole.

    Only the main thread of a process can have it so; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        # What follows is short; another such signal must not cut it off.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
