"""A submission program that keeps what it is given."""


class Outbox:
    """One file a call, which has its name when it is whole: a number, in the
    order of their ends. (Times of files differ by a clock's tick at best.)"""

    def __init__(self, site):
        self.dir = site.own_dir(site.dir / "outbox")
        self.program = site.dir / "submit"
        self.program.write_text(
            "#!/bin/sh\n"
            f'out=$(mktemp {self.dir}/.new.XXXXXX) || exit 75\n'
            '{ printf "%s\\n" "$*"; cat; } >"$out"\n'
            f'[ ! -e {self.dir}/fail ] || {{ rm "$out"; exit 75; }}\n'
            f'n=1; until ln "$out" {self.dir}/mail.$n 2>/dev/null\n'
            'do n=$((n + 1)); [ $n -lt 1000 ] || exit 75; done; rm "$out"\n')
        self.program.chmod(0o755)
        site.configure(submit=self.program)

    def mails(self):
        """(arguments, message) of each call."""
        return [tuple(p.read_bytes().split(b"\n", 1))
                for p in sorted(self.dir.glob("mail.*"),
                                key=lambda p: int(p.suffix[1:]))]

    def fail(self, yes):
        flag = self.dir / "fail"
        flag.touch() if yes else flag.unlink(missing_ok=True)
