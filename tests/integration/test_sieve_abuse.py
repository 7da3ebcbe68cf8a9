"""Scripts and messages made to cost time or memory, through the whole program:
each ends within a second of CPU and 64 MB, and the mail is kept (issue 5)."""
import subprocess
import sys

import pytest

from harness import SANITIZED
from test_sieve import domain, folder, script  # noqa: F401

MB = 1 << 20
# A sanitizer multiplies both. The second is one of a processor that nobody shares;
# what is wrong takes minutes.
CPU = 30 if SANITIZED else 2.0
MEMORY = 4096 * MB if SANITIZED else 64 * MB

LETTER = b"From: a@b.test\nTo: fred@x.test\nSubject: project x\n\nhello\n"

LOOK = r"""require ["fileinto", "variables", "regex", "body", "mime", "foreverypart",
    "extracttext", "date", "index", "editheader", "relational",
    "comparator-i;ascii-numeric", "envelope", "duplicate"];
if anyof (header :contains "X-Nothing" "y",
          header :matches ["Subject", "X-A", "To"] "*q*z*q*z*q*z*",
          header :regex ["Subject", "X-A"] "(q+z*)+$",
          header :count "gt" :comparator "i;ascii-numeric" "X-A" "1000000",
          address :all :is ["From", "To", "Cc"] "nobody@nowhere.test",
          exists ["X-Missing", "X-A999999"],
          date :value "ge" "Date" "year" "3000",
          header :index 5 :last :is "Received" "q",
          body :text :contains "not in it",
          body :content "text" :matches "*q*z*q*z*q*z*",
          header :mime :anychild :contenttype "Content-Type" "image/none")
{
    discard;
}
foreverypart {
    if header :mime :param "name" :contains "Content-Type" "nobody" { discard; }
    extracttext :first 100 "t";
}
addheader "X-Seen" "${t}";
fileinto "Seen";
"""


# exec(2) hands the largest size of the process before it on: a small one has
# to be there, not this one.
MEASURE = """import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print("cost", usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def cost(site, domain, data):
    """(CPU seconds, largest resident size of one process) of a delivery."""
    path = site.dir / "letter"
    path.write_bytes(data)
    with open(path, "rb") as letter:
        r = subprocess.run(
            [sys.executable, "-S", "-E", "-c", MEASURE,
             *site.command("-f", "a@b.test", "--", domain, "fred")],
            stdin=letter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=site.environment(), check=False, timeout=600)
    path.unlink()
    assert r.returncode == 0, r.stdout
    _, cpu, memory = r.stdout.split()[-3:]
    return float(cpu), int(memory) * 1024


def kept(site, domain):
    """Copies in INBOX and in the folder of LOOK."""
    return (len(site.messages(domain, "fred")),
            len(folder(site, domain, "fred", "Seen")))


def head(fields):
    return b"From: a@b.test\nTo: fred@x.test\n" + fields + b"\nhello\n"


def deep_mime(n):
    out = [b"From: a@b.test\nMIME-Version: 1.0\n"]
    for i in range(n):
        out.append(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (i, i))
    out.append(b"Content-Type: text/plain\n\nhello\n")
    out += [b"--b%d--\n" % i for i in reversed(range(n))]
    return b"".join(out)


def wide_mime(n):
    return (b"From: a@b.test\nContent-Type: multipart/mixed; boundary=b\n\n" +
            b"--b\nContent-Type: text/html; name=x\n\n<p>hello\n" * n + b"--b--\n")


MESSAGES = {
    "100,000 fields": lambda: head(b"".join(
        b"X-%d: v\n" % i for i in range(100_000))),
    "100,000 equal fields": lambda: head(b"X-A: qz\n" * 100_000),
    "a line of 100 MB in the header": lambda: head(
        b"Subject: " + b"qz" * (50 * MB) + b"\n"),
    "a field of a million lines": lambda: head(
        b"X-A: q\n" + b" qzqz\n" * 1_000_000),
    "a million addresses": lambda: head(
        b"Cc: " + b"a@b.test,\n " * 1_000_000 + b"x@y.test\n"),
    "an address in a million comments": lambda: head(
        b"Cc: " + b"(" * 1_000_000 + b")" * 1_000_000 + b" x@y.test\n"),
    "encoded words": lambda: head(
        b"Subject: " + b"=?utf-8?b?cXpxenF6cXo=?=\n " * 200_000 + b"x\n"),
    "encoded words in encoded words": lambda: head(
        b"Subject: " + b"=?utf-8?q?=3D?=" * 300_000 + b"\n"),
    "charsets that nobody knows": lambda: head(b"".join(
        b"X-A: =?x-%d?q?qz?=\n" % i for i in range(20_000))),
    "MIME 10,000 deep": lambda: deep_mime(10_000),
    "100,000 parts": lambda: wide_mime(100_000),
    "20 MB of base64": lambda: (
        b"From: a@b.test\nContent-Type: text/plain\n"
        b"Content-Transfer-Encoding: base64\n\n" +
        (b"cXpx" * 19 + b"\n") * (20 * MB // 77)),
    "20 MB of HTML": lambda: (
        b"From: a@b.test\nContent-Type: text/html\n\n" +
        b"<div><!-- qz --><p class='qz'>&lt;&amp;&#113;\n" * (20 * MB // 47)),
    "parameters without end": lambda: (
        b"From: a@b.test\nContent-Type: text/plain" +
        b"".join(b"; x*%d*=utf-8''qz" % i for i in range(100_000)) + b"\n\nx\n"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(site, domain, name):
    if SANITIZED and "MB" in name:
        pytest.skip("a sanitizer makes minutes of it")
    data = MESSAGES[name]()
    without = cost(site, domain, data)
    script(site, domain, "fred", LOOK)
    cost(site, domain, LETTER)    # compiled now
    before = kept(site, domain)
    cpu, memory = cost(site, domain, data)
    after = kept(site, domain)
    print(f"{name}: {cpu - without[0]:.2f} s, {memory / MB:.0f} MB")
    assert sum(after) == sum(before) + 1
    if cpu - without[0] >= CPU:    # a neighbour on the same core?
        cpu = min(cpu, cost(site, domain, data)[0])
    assert cpu - without[0] < CPU
    # A message that is too large for memory is mapped, and counts as it lies;
    # so does the header that the script edits.
    assert memory < MEMORY + 2 * len(data)


def nested(n):
    return "if true { " * n + "keep;" + "}" * n


SCRIPTS = {
    "a megabyte of rules": 'require "fileinto";\n' + "".join(
        f'if header :is "X-N" "{i}" {{ fileinto "F{i}"; }}\n' for i in range(20_000)),
    "a megabyte of one string": 'if header :is "x" "' + "a" * 900_000 + '" { stop; }',
    "blocks 10,000 deep": nested(10_000),
    "tests 10,000 deep": "if " + "not " * 10_000 + "true { keep; }",
    "lists of tests 10,000 deep": "if " + "anyof (" * 10_000 + "true" +
                                  ")" * 10_000 + " { keep; }",
    "unfinished comment": "/* " + "*" * 900_000,
    "stars": 'if header :matches "X-A" "' + "*a" * 200 + '*b" { discard; }',
    "a regular expression": 'require "regex"; if header :regex "X-A" '
                            '"^(a|a|aa)+(a+)+(a+)+$" { discard; }',
    "a regular expression of many": 'require "regex"; if header :regex "X-A" "' +
                                    "(a?){50}" * 8 + "a" * 300 + 'b" { discard; }',
    "doubled variables": 'require "variables"; set "a" "xxxxxxxxxxxxxxxx";' +
                         'set "a" "${a}${a}";' * 10_000 + 'if string "${a}" "y" { discard; }',
    "loops of loops": 'require ["foreverypart", "mime", "variables"];' +
                      "foreverypart { " * 8 + 'set :upper "x" "${x}y";' + "}" * 8,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(site, domain, name):
    data = (b"From: a@b.test\nX-A: " + b"a" * 5000 + b"!\n"
            b"Content-Type: multipart/mixed; boundary=b\n\n" +
            b"--b\nContent-Type: text/plain\n\naaaa\n" * 500 + b"--b--\n")
    without = cost(site, domain, data)[0]
    script(site, domain, "fred", SCRIPTS[name])
    first, memory = cost(site, domain, data)    # and compiles it
    again, more = cost(site, domain, data)
    print(f"{name}: {first - without:.2f} s, {again - without:.2f} s, "
          f"{memory / MB:.0f} MB")
    assert len(site.messages(domain, "fred")) >= 3
    assert first - without < CPU and again - without < CPU
    assert max(memory, more) < MEMORY


def test_includes_in_a_circle(site, domain):
    for one, two in (("a", "b"), ("b", "c"), ("c", "a")):
        script(site, domain, "fred", f'require "include"; include "{two}";\n' +
               f'include :optional "none"; include "{two}";\n' * 3, f"sieve/{one}.sieve")
    script(site, domain, "fred", 'require "include"; include "a"; discard;')
    cpu, memory = cost(site, domain, LETTER)
    assert len(site.messages(domain, "fred")) == 1
    assert cpu < CPU and memory < MEMORY
    log = (site.home / domain / "fred" / ".dovecot.sieve.log").read_text()
    assert "include" in log
