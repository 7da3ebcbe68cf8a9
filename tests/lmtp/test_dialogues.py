"""The dialogues of *.lmtp on every transport; README says how they are
written."""
import re
from pathlib import Path

import pytest

from harness.mbox import body

from .conftest import TRANSPORTS, USERS

HERE = Path(__file__).parent
ESCAPES = {"r": b"\r", "n": b"\n", "0": b"\0", "t": b"\t", "\\": b"\\"}


class Dialogue:
    def __init__(self, file, name, number):
        self.id = f"{file}: {name}"
        self.number = number
        self.steps = []
        self.only = TRANSPORTS


def read_dialogues():
    found = []
    for path in sorted(HERE.glob("*.lmtp")):
        for line in path.read_text().splitlines():
            if line.startswith("== "):
                found.append(Dialogue(path.stem, line[3:], len(found)))
            elif line.startswith("only "):
                found[-1].only = line.split()[1:]
            elif line:
                found[-1].steps.append(line)
    assert 3 * len(found) <= 3 * USERS
    assert len({d.id for d in found}) == len(found)
    return found


DIALOGUES = read_dialogues()


def words(text, d, i=0):
    """Fills in {u} and its like and undoes escapes."""
    names = {"u": f"u{d.number}@d1.test", "v": f"v{d.number}@d1.test",
             "m": f"m{d.number}@d2.test", "u1": f"u{d.number}",
             "U1": f"U{d.number}", "i": str(i)}
    text = re.sub(r"\{(\w)\*(\d+)\}", lambda m: m[1] * int(m[2]), text)
    text = re.sub(r"\{(u1?|U1|v|m|i)\}", lambda m: names[m[1]], text)

    def escape(m):
        if m[1].startswith(b"x") and len(m[1]) == 3:
            return bytes([int(m[1][1:], 16)])
        return ESCAPES[m[1].decode()]
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|[rn0t\\])", escape, text.encode())


class Talk:
    def __init__(self, door, d):
        self.door, self.d = door, d
        self.c = door.connect()
        self.greeted = False

    def expect(self, start):
        line = self.c.line()
        self.greeted = True
        assert line.startswith(start), f"{line!r}, wanted {start!r}"

    def hello(self):
        if not self.greeted:
            self.expect("220 ")
        self.c.send(b"LHLO client.test\r\n")
        assert self.c.reply().startswith("250-")

    def go(self):
        self.hello()
        for line, want in ((b"MAIL FROM:<a@b.test>", "250 2.1.0"),
                           (words("RCPT TO:<{u}>", self.d), "250 2.1.5"),
                           (b"DATA", "354 ")):
            self.c.send(line + b"\r\n")
            self.expect(want)

    def messages(self, who):
        user, domain = words(who, self.d).decode().split("@")
        box = self.door.site.box(domain, user)
        return self.door.site.messages(domain, user) if box.exists() else []

    def step(self, line):
        verb, _, rest = line.partition(" ")
        verb, times, _ = re.fullmatch(r"([A-Za-z]+)(?:\*(\d+))?([:~]?)", verb).groups()
        n = int(times or 1)
        if verb == "C":
            self.c.send(b"".join(words(rest, self.d, i) + b"\r\n" for i in range(n)))
        elif verb == "c":
            self.c.send(words(rest, self.d))
        elif verb == "S" and "~" in line.split(" ")[0]:
            got = self.c.line()
            self.greeted = True
            assert re.fullmatch(rest, got), f"{got!r}, wanted {rest!r}"
        elif verb == "S":
            for _ in range(n):
                self.expect(rest)
        elif verb == "HELLO":
            self.hello()
        elif verb == "GO":
            self.go()
        elif verb == "END":
            assert self.c.line() == ""
        elif verb == "HALF":
            self.c.half_close()
        elif verb == "HANGUP":
            self.c.half_close()
            self.c.rest()	# until the server has noticed
        elif verb == "BOX":
            who, count = rest.split()
            assert len(self.messages(who)) == int(count)
        elif verb in ("IS", "HAS", "LACKS"):
            who, _, text = rest.partition(" ")
            last, text = self.messages(who)[-1], words(text, self.d)
            if verb == "IS":
                assert body(last) == text
            else:
                assert (text in last) == (verb == "HAS"), last
        else:
            raise ValueError(line)


def pairs():
    return [pytest.param(t, d, id=f"{t}-{d.id}")
            for t in TRANSPORTS for d in DIALOGUES if t in d.only]


def test_there_are_enough():
    assert len(DIALOGUES) >= 120


@pytest.mark.parametrize("door,d", pairs(), indirect=["door"])
def test_dialogue(door, d):
    talk = Talk(door, d)
    try:
        for n, line in enumerate(d.steps):
            try:
                talk.step(line)
            except AssertionError as e:
                raise AssertionError(f"step {n + 1}, {line!r}: {e}") from e
    finally:
        talk.c.close()
