"""The protocol of connections: HTTP/1.1 of uvicorn and h11, with limits of time on both ends."""

from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def timed_protocol(seconds, max_connections):
    """Makes the class of connections that do not wait for slow clients.

    uvicorn itself has no limit to the time in which the head of a request comes, nor to that in
    which an answer is read. (The body of a request is read, and timed, by the application.)

    Args:
        seconds: for the head of a request, and for each pause of a client that reads an answer.
        max_connections: at a time; others are told to come again and closed.

    Returns:
        A class for uvicorn's `http`.
    """

    class TimedProtocol(H11Protocol):
        """Connection that is cut off where its client is too slow."""

        _head = _reading = None

        def connection_made(self, transport):
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                transport.write(_TOO_MANY)
                transport.close()
                return
            self._wait_for_head()

        def connection_lost(self, exc):
            super().connection_lost(exc)
            self._head = _cancelled(self._head)
            self._reading = _cancelled(self._reading)

        def handle_events(self):
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self._head = _cancelled(self._head)

        def on_response_complete(self):
            # Before the next request, which may be there already, is handled in it.
            self._wait_for_head()
            super().on_response_complete()

        def pause_writing(self):
            super().pause_writing()
            self._reading = _cancelled(self._reading)
            self._watch_reading()

        def resume_writing(self):
            super().resume_writing()
            self._reading = _cancelled(self._reading)

        def _watch_reading(self, before=None):
            left = self.transport.get_write_buffer_size()
            if left == before:
                self.transport.abort()
            else:
                self._reading = self.loop.call_later(seconds, self._watch_reading, left)

        def _no_head(self):
            if self.transport.get_write_buffer_size():
                # The answer before it is still being read.
                self._wait_for_head()
            else:
                self.transport.abort()

        def _wait_for_head(self):
            _cancelled(self._head)
            # A little later than uvicorn closes, in good order, one on which nothing comes.
            self._head = self.loop.call_later(seconds + 1, self._no_head)

    return TimedProtocol


def _cancelled(timer):
    if timer is not None:
        timer.cancel()
