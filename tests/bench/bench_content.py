"""What typing attachments and the filter process cost; a table for
docs/PERFORMANCE.md."""
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests"))
from harness.attachments import (CSV, HTML, JPEG, attach, example_policy,  # noqa: E402
                                 messages, ooxml, part, pdf, png, wrap, zipped)
from harness.site import new_directory  # noqa: E402

SIZE = 100_000
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def filled(data, size=SIZE):
    """Grown to the size by what no format minds behind its end."""
    return data + os.urandom(size - len(data))


def office():
    return ooxml("word", "document",
                 ("word/media/image1.png", filled(png(), SIZE - 2500)))


def cases(scratch):
    alternative = dict(m for m in messages(scratch) if m[0] in
                       ("alternative", "plain"))
    body = b"text of a letter, line after line\n" * 270
    yield "text alone, 10 KB", b"From: a@b.test\nSubject: x\n\n" + body
    yield "text and HTML", alternative["alternative"]
    three = [part("a.pdf", "application/pdf", filled(pdf())),
             part("b.jpg", "image/jpeg", filled(JPEG)),
             part("c.docx", WORD, office())]
    yield "3 x 100 KB: PDF, JPEG, docx", wrap(*three)
    yield "100 KB: PDF", wrap(three[0])
    yield "100 KB: docx", wrap(three[2])
    yield "100 KB: zip of one text", attach("a.zip", "application/zip", zipped(
        ("a.txt", os.urandom(SIZE).hex().encode()[:SIZE]),
        how=zipfile.ZIP_STORED))
    yield "100 KB: CSV", attach("a.csv", "text/csv", (CSV * 1000)[:SIZE])
    yield "100 KB: unknown bytes", attach(
        "a.bin", "application/octet-stream", os.urandom(SIZE))
    yield "5 KB: HTML page", attach("a.html", "text/html", HTML * 50)
    yield "7 MB: PDF", attach("a.pdf", "application/pdf",
                              filled(pdf(), 5_000_000))
    yield "10 MB: JPEG", attach("a.jpg", "image/jpeg", filled(JPEG, 10_000_000))


def main():
    bench = sys.argv[1]
    scratch = new_directory("vbox-bench-")
    rules = "\n".join(example_policy(TOP / "contrib" / "vbox.conf"))
    names, paths = [], []
    for i, (name, data) in enumerate(cases(scratch)):
        path = scratch / f"{i}.eml"
        path.write_bytes(data)
        names.append(name)
        paths.append(path)
    out = subprocess.run([bench, rules, *paths], check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo")
               if line.startswith("model name"))
    print(f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, "
          f"{os.cpu_count()} x {cpu}, load {os.getloadavg()[0]:.1f}, medians, "
          "microseconds")
    print("\n| message | KB | found | typing | policy, warm filter | "
          "script, warm filter | script, no boundary | boundary |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, line in zip(names, out.splitlines()):
        _, size, found, typing, judged, there, here = line.split()
        print(f"| {name} | {int(size) // 1000} | {found} | {typing} | {judged} | "
              f"{there} | {here} | {int(there) - int(here)} |")


main()
