"""A client of ManageSieve."""
import base64
import socket

from . import PATIENCE


class ManageSieve:
    """As much of RFC 5804 as an upload takes."""

    def __init__(self, port, user, password):
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.file = self.sock.makefile("rb")
        self.answer()
        plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.ask(f'AUTHENTICATE "PLAIN" "{plain}"')

    def answer(self):
        lines = []
        while True:
            line = self.file.readline().decode()
            assert line, "the server has gone"
            if line.startswith(("OK", "NO", "BYE")):
                assert line.startswith("OK"), (lines, line)
                return lines
            lines.append(line.strip())

    def ask(self, line):
        self.sock.sendall(line.encode() + b"\r\n")
        return self.answer()

    def put(self, name, text):
        self.ask(f'PUTSCRIPT "{name}" {{{len(text.encode())}+}}\r\n{text}')

    def close(self):
        self.file.close()
        self.sock.close()
