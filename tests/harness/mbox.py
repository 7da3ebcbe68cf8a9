"""mbox and Maildir files as the standards describe them, read on our own:
the judge must not share its mistakes with the program."""
import re
from dataclasses import dataclass

FROM_ = re.compile(
    rb"From (\S+) +((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d "
    rb"\d\d:\d\d:\d\d \d{4})$")


@dataclass
class Message:
    sender: bytes       # of the From_ line
    date: bytes
    raw: bytes          # as in the file, without From_ and the blank line
    content: bytes      # mboxrd quoting undone


def split_mbox(data):
    """The messages of an mboxrd file. Every From_ line has to be well formed
    and stand behind a blank line; every message ends with a blank line."""
    messages = []
    if not data:
        return messages
    assert data.startswith(b"From "), data[:80]
    assert data.endswith(b"\n\n"), data[-80:]
    starts = [0] + [m.start() + 1 for m in re.finditer(rb"\nFrom ", data)]
    for begin, end in zip(starts, starts[1:] + [len(data)]):
        chunk = data[begin:end]
        line, _, rest = chunk.partition(b"\n")
        match = FROM_.match(line)
        assert match, f"From_ line: {line!r}"
        assert rest.endswith(b"\n\n"), f"no blank line at the end: {rest[-80:]!r}"
        raw = rest[:-1]
        messages.append(Message(match[1], match[2], raw, unquote(raw)))
    return messages


def unquote(raw):
    if b">From " not in raw:    # quickly said of 100 MB
        return raw
    return re.sub(rb"(?m)^>(>*From )", rb"\1", raw)


def fields(content, name):
    """The values of a header field, unfolded, in order."""
    head = header(content)
    want = name.lower().encode() + b":"
    values = []
    for line in re.sub(rb"\n([ \t])", rb"\1", head).split(b"\n"):
        if line.lower().startswith(want):
            values.append(line[len(want):].strip())
    return values


def header(content):
    if content.startswith(b"\n"):
        return b""
    return content.partition(b"\n\n")[0]


def body(content):
    if content.startswith(b"\n"):
        return content[1:]
    return content.partition(b"\n\n")[2]
