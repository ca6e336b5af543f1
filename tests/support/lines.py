"""A line to a server that can be cut without either end noticing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


class Line:
    """Hands bytes to and fro between its own port and a server, as long as it is told to."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._open = ExitStack()
        self._listener = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._flow = threading.Event()
        self._flow.set()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence_all(self) -> None:
        """Hold back every byte, of new connections too, until ``speak``."""
        self._flow.clear()

    def silence_present(self) -> None:
        """Hold back every byte of the present connections for good; new ones work."""
        self._flow.clear()
        self._flow = threading.Event()
        self._flow.set()

    def speak(self) -> None:
        """Let what was held back by ``silence_all`` go on."""
        self._flow.set()

    def close(self) -> None:
        """Cut everything."""
        self._open.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.socket(socket.AF_UNIX)
                self._open.enter_context(here)
                self._open.enter_context(there)
                there.connect(self._server)
                for source, target in (here, there), (there, here):
                    threading.Thread(target=self._carry, args=(source, target, self._flow), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, flow: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                flow.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(server: str) -> Iterator[Line]:
    """A line to the Unix socket of a server."""
    line = Line(server)
    try:
        yield line
    finally:
        line.close()
