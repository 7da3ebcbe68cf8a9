#!/usr/bin/python3
"""Random scripts and letters, in the form that run_cases reads, for run_cases -2:
both engines must say the same.

    tests/sieve/random_cases.py SEED COUNT [odd] >FILE

With "odd" the letters have addresses that libsieve is not shown, so that the
engines may differ; then only a crash is of interest.
"""
import random
import sys

ADDRESSES = [
    "a@b.test", "Fred <fred+x@Example.org>", "x@y", "(c) a@b (d)",
    "=?utf-8?q?J=C3=BC?= <j@x.de>", "a.b.c@d.e.f",
    '"X, \\\\"Y\\\\"" <q@d.test>', "a" * 200 + "@b.test",
    "a@b.test\n\t, c@d.test"]
ODD = [
    "undisclosed: ;", "grp: a@b.c, d@e.f;", "<>", "broken", "a@", "@b", "a@[1.2.3.4]",
    '"o d"@x.test', "a..b@c", "a" * 255 + "@b.test", "x@" + "d" * 255 + ".test",
    "<@r,@s:a@b.c>", '\\\\"@x', '"a\\\\"b"@c.d', "a@b;c@d", '"unterminated', "(((",
    "a@b.test,", "\xe4@b.test", "a" * 255, '"' + "q" * 255 + '" <a@b.c>']
SUBJECTS = ["x", "", "hello world", "=?utf-8?q?gr=C3=BCn?=", "a" * 200,
            "aaa bbb ccc", "100", "-5", "*?\\\\[]", "tab\there", "=?x?q?bad?=",
            "Re: [list] *"]
KEYS = ["a", "b.test", "", "hello", "*", "a*b", "?", "*a*", "fred", "x", "100", "5",
        "grün", "(", "]", "^a", "x$"]
ACTIONS = ["keep;", "discard;", 'fileinto "A";', 'redirect "x@y.z";',
           'addflag "\\\\Seen";', 'removeflag "a";', 'setflag ["a","b"];', "stop;",
           'keep :flags "x";', 'fileinto :flags ["a","b"] "B";', 'reject "no";',
           'vacation "away";']


class Cases:
    def __init__(self, seed, addresses):
        self.random = random.Random(seed)
        self.addresses = addresses

    def key(self):
        return '"' + self.random.choice(KEYS) + '"'

    def test(self):
        pick = self.random.choice
        match = pick([":is", ":contains", ":matches"])
        kind = self.random.randrange(10)
        if kind < 3:
            keys = ",".join(self.key() for _ in range(self.random.randint(1, 3)))
            field = pick(["subject", "to", "from", "x-n"])
            return f'header {match} "{field}" [{keys}]'
        if kind < 6:
            part = pick(["", ":all", ":localpart", ":domain", ":user", ":detail"])
            field = pick(["from", "to", "cc"])
            return f'address {part} {match} "{field}" {self.key()}'
        if kind == 6:
            part = pick(["", ":localpart", ":domain"])
            return f'envelope {part} {match} "{pick(["from", "to"])}" {self.key()}'
        if kind == 7:
            return f"size :over {self.random.randrange(400)}"
        if kind == 8:
            return f'exists ["subject", "{pick(["to", "cc", "x"])}"]'
        return pick([f"not {self.test()}", f"anyof({self.test()}, {self.test()})",
                     f"allof({self.test()}, {self.test()})"])

    def block(self, depth=0):
        out = []
        for _ in range(self.random.randint(1, 3)):
            if depth == 3 or self.random.random() < .5:
                out.append(self.random.choice(ACTIONS))
                continue
            out.append(f"if {self.test()} {{\n{self.block(depth + 1)}}}")
            if self.random.random() < .4:
                out.append(f"elsif {self.test()} {{\n{self.block(depth + 1)}}}")
            if self.random.random() < .4:
                out.append(f"else {{\n{self.block(depth + 1)}}}")
        return "\n".join(out) + "\n"

    def case(self, name):
        lines = ["@message"]
        for field in ("From", "To", "Cc"):
            if self.random.random() < .8:
                some = [self.random.choice(self.addresses)
                        for _ in range(self.random.randint(1, 3))]
                lines.append(f"{field}: " + ", ".join(some))
        lines += ["Subject: " + self.random.choice(SUBJECTS), "X-N: 1", "", "body",
                  ".", f"== {name}", 'require ["fileinto", "envelope", '
                  '"subaddress", "imap4flags", "reject", "vacation"];']
        return "\n".join(lines) + "\n" + self.block() + "--\nx\n.\n"


def cases(seed, count, odd=False):
    c = Cases(seed, ADDRESSES + ODD if odd else ADDRESSES)
    return "".join(c.case(f"random {seed} {i}") for i in range(count))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(cases(int(sys.argv[1]), int(sys.argv[2]), "odd" in sys.argv))
