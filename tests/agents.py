"""Delivery agents as the fault and speed tests call them: ours and the peers.

An Agent owns a private site below `root` and says how one message is handed
over: argv, environment, uid. Messages carry their token and are made again
from it, so that what a box holds can be compared byte by byte.
"""

import hashlib
import mailbox
import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
DOMAIN, USER = "d1.test", "fred"
NOBODY = 65534
SENDER = "sender@example.org"


def vbox_deliver():
    """The program under test: that of the build VBOX_BUILD."""
    return os.path.join(TOP, os.environ.get("VBOX_BUILD", "build/gcc"),
                        "vbox-deliver")


# --- messages ----------------------------------------------------------------

def body_of(token, size):
    """Deterministic text of `size` bytes, no line of which looks like mail."""
    line = (hashlib.sha256(token.encode()).hexdigest() + "\n").encode()
    text = line * (size // len(line) + 1)
    return text[:max(size - 4, 0)] + b"end\n"


def message(token, size=10000):
    head = (f"From: Sender <{SENDER}>\nTo: {USER}@{DOMAIN}\n"
            f"Subject: fault test {token}\n"
            f"Message-ID: <{token}@example.org>\nX-Token: {token} {size}\n\n")
    return head.encode() + body_of(token, size)


def read_message(raw):
    """(token, whole) of a stored message; token None when it has none."""
    head, sep, body = raw.partition(b"\n\n")
    for line in head.split(b"\n"):
        if line.startswith(b"X-Token: "):
            words = line.split()
            if len(words) != 3:
                return words[1].decode() if len(words) > 1 else None, False
            token, size = words[1].decode(), int(words[2])
            want = body_of(token, size)
            return token, bool(sep) and body.rstrip(b"\n") == want.rstrip(b"\n")
    return None, False


class Box:
    """What a mailbox holds: tokens in order, and which are not whole."""

    def __init__(self):
        self.tokens, self.broken = [], []

    def add(self, raw):
        token, whole = read_message(raw)
        self.tokens.append(token)
        if not whole:
            self.broken.append(token)


def read_mbox(path):
    box = Box()
    if os.path.exists(path) and os.path.getsize(path):
        with open(path, "rb") as f:
            if f.read(5) != b"From ":
                box.broken.append("no From_ line at the start")
        m = mailbox.mbox(path, create=False)
        for key in m.keys():
            box.add(m.get_bytes(key))
        m.close()
    return box


def read_maildir(path):
    box = Box()
    for sub in ("cur", "new"):
        directory = os.path.join(path, sub)
        if not os.path.isdir(directory):
            continue
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), "rb") as f:
                box.add(f.read())
    return box


def mbox_bytes(token, size=10000):
    """A mail as it lies in an mbox of ours or of anybody's."""
    return (f"From {SENDER} Sat Nov 21 03:00:00 2026\n".encode()
            + message(token, size) + b"\n")


# --- agents --------------------------------------------------------------------

class Agent:
    name = ""
    format = "mbox"
    uid = None              # run as; None: as we are
    temporary = None        # exit codes of "try again"; None: any but 0
    needs = ()
    rewrites = False        # puts fields of its own into old mail

    def __init__(self, root):
        self.root = root
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C",
                    "HOME": root, "USER": USER, "LOGNAME": USER}
        os.makedirs(root, exist_ok=True)
        os.chmod(root, 0o755)
        if self.uid is not None:
            os.chown(root, self.uid, NOBODY)
        self.configure()

    @classmethod
    def available(cls):
        return all(shutil.which(n) or os.path.exists(n) for n in cls.needs)

    # where the mail lies
    def directory(self, user=USER):
        return os.path.join(self.root, "spool", DOMAIN)

    def box(self, user=USER):
        if self.format == "mbox":
            return os.path.join(self.directory(user), user)
        return os.path.join(self.root, "home", DOMAIN, user, "Maildir")

    def read(self, user=USER):
        if self.format == "mbox":
            return read_mbox(self.box(user))
        return read_maildir(self.box(user))

    def configure(self):
        """Writes the agent's configuration below root, once."""

    def owner(self):
        return self.uid if self.uid is not None else os.geteuid()

    def reset(self, old=(), user=USER, size=10000):
        """A site whose box holds the `old` tokens; None: there is no box."""
        owner = self.owner()
        for sub in ("spool", "home"):
            base = os.path.join(self.root, sub)
            shutil.rmtree(base, ignore_errors=True)
            os.makedirs(os.path.join(base, DOMAIN))
            for d in (base, os.path.join(base, DOMAIN)):
                os.chown(d, owner, owner and NOBODY)
                os.chmod(d, 0o755)
        if old is not None:
            self.fill(old, user, size)

    def fill(self, old, user=USER, size=10000):
        owner = self.owner()
        if self.format == "mbox":
            with open(self.box(user), "wb") as f:
                for token in old:
                    f.write(mbox_bytes(token, size))
            made = [self.box(user)]
        else:
            box = self.box(user)
            made = [os.path.dirname(box), box]
            for sub in ("tmp", "new", "cur"):
                os.makedirs(os.path.join(box, sub))
                made.append(os.path.join(box, sub))
            for i, token in enumerate(old or ()):
                path = os.path.join(box, "new", f"160000000{i}.M0P1.old")
                with open(path, "wb") as f:
                    f.write(message(token, size))
                made.append(path)
        for path in made:
            os.chown(path, owner, owner and NOBODY)
            os.chmod(path, 0o700 if os.path.isdir(path) else 0o600)
            # procmail waits for a second when the box was just read
            os.utime(path, (1600000000, 1600000100))

    def argv(self, user=USER):
        raise NotImplementedError


class Vbox(Agent):
    name = "vbox-deliver"
    uid = None
    temporary = (75,)
    locks = ("fcntl", "dotlock")
    undo = "auto"
    listed = False          # users in a file, so that boxes may be made
    lock_timeout = "3s"
    extra = ""

    def owner(self):
        return NOBODY

    def configure(self):
        self.conf = os.path.join(self.root, "vbox.conf")
        self.program = vbox_deliver()
        locks = ", ".join(f'"{x}"' for x in self.locks)
        directory = "fs"
        if self.listed:
            directory = f"file:{self.root}/users"
            with open(os.path.join(self.root, "users"), "w",
                      encoding="ascii") as f:
                f.write(f"@{DOMAIN}\n{USER}@{DOMAIN}\n")
        state = os.path.join(self.root, "state")
        os.makedirs(state, exist_ok=True)
        os.chmod(state, 0o700)
        if os.getuid() == 0:
            os.chown(state, NOBODY, NOBODY)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f'user = "{NOBODY}"\ngroup = "{NOBODY}"\n'
                    f'directory = {{"{directory}"}}\n'
                    f'format = "{self.format}"\n'
                    f'mbox_path = "{self.root}/spool/%d/%n"\n'
                    f'home = "{self.root}/home/%d/%n"\n'
                    'maildir_path = "%h/Maildir"\n'
                    f'locks = {{{locks}}}\nlock_timeout = "{self.lock_timeout}"\n'
                    f'mbox_undo = "{self.undo}"\n'
                    f'spool_dir = "{self.root}"\nstate_dir = "{self.root}/state"\n'
                    'log_target = "file:/dev/null"\n' + self.extra)
        os.chmod(self.conf, 0o644)

    def argv(self, user=USER):
        return [self.program, "-c", self.conf, "-f", SENDER, "--", DOMAIN, user]


class VboxMaildir(Vbox):
    name = "vbox-deliver Maildir"
    format = "maildir"


class Procmail(Agent):
    """The paper's rc file (/etc/procmailrc there), its patterns made whole:
    the printed text lost the slashes of procmail's match operator."""
    name = "procmail"
    needs = ("procmail",)
    sleep = 8

    def configure(self):
        self.rc = os.path.join(self.root, "procmailrc")
        last = ("${ROOTINBOXDIR}/${DOMAINNOBRACKET}/${USER}"
                if self.format == "mbox" else
                "${ROOTHOMEDIR}/${DOMAINNOBRACKET}/${USER}/Maildir/")
        lock = ":" if self.format == "mbox" else ""
        with open(self.rc, "w", encoding="ascii") as f:
            f.write(f'DOMAIN="<>$1>"\nRECIPIENT="<>$2>"\n'
                    f'LOCKSLEEP={self.sleep}\n'
                    f'ROOTHOMEDIR={self.root}/home\n'
                    f'ROOTINBOXDIR={self.root}/spool\n\n'
                    ':0\n* RECIPIENT ?? ^<>\\/[^>]+@\n'
                    '* MATCH ?? ^\\/[^@]+\n{\n    USER=$MATCH\n}\n\n'
                    ':0 a\n* DOMAIN ?? ^<>\\/[^>]+\n'
                    '{\n    DOMAINNOBRACKET=$MATCH\n}\n\n'
                    f':0 a{lock}\n{last}\n')

    def argv(self, user=USER):
        return ["procmail", "-t", "-Y", "-f", SENDER, "-a", DOMAIN,
                "-a", f"{user}@hub.test", self.rc]


class ProcmailMaildir(Procmail):
    name = "procmail Maildir"
    format = "maildir"


class Maildrop(Agent):
    name = "maildrop"
    needs = ("maildrop",)

    def configure(self):
        self.rc = os.path.join(self.root, "mailfilter")
        with open(self.rc, "w", encoding="ascii") as f:
            where = (f"{self.root}/spool/{DOMAIN}/$WHO" if self.format == "mbox"
                     else f"{self.root}/home/{DOMAIN}/$WHO/Maildir")
            f.write(f'WHO="$1"\nto "{where}"\n')
        os.chmod(self.rc, 0o600)

    def argv(self, user=USER):
        return ["maildrop", "-f", SENDER, self.rc, user]


class MaildropMaildir(Maildrop):
    name = "maildrop Maildir"
    format = "maildir"


class DovecotLda(Agent):
    name = "dovecot-lda"
    needs = ("/usr/lib/dovecot/dovecot-lda",)
    uid = NOBODY
    rewrites = True

    def configure(self):
        self.conf = os.path.join(self.root, "dovecot.conf")
        self.control = os.path.join(self.root, "control")
        os.makedirs(self.control, exist_ok=True)
        os.chown(self.control, NOBODY, NOBODY)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write("log_path = /dev/null\n"
                    "mail_plugins =\nmail_fsync = optimized\n"
                    "lda_mailbox_autocreate = no\n"
                    "mbox_write_locks = fcntl dotlock\n"
                    "first_valid_uid = 1\n"
                    "protocols =\npostmaster_address = root@d1.test\n"
                    f"base_dir = {self.root}/run\n")
        os.chmod(self.conf, 0o644)

    def argv(self, user=USER):
        if self.format == "mbox":
            where = (f"mbox:{self.control}/{user}:INBOX={self.box(user)}"
                     ":INDEX=MEMORY")
        else:
            where = f"maildir:{self.box(user)}:INDEX=MEMORY"
        return ["/usr/lib/dovecot/dovecot-lda", "-c", self.conf,
                "-o", f"mail_location={where}", "-f", SENDER]


class DovecotLdaMaildir(DovecotLda):
    name = "dovecot-lda Maildir"
    format = "maildir"


PEERS = (Procmail, ProcmailMaildir, Maildrop, MaildropMaildir, DovecotLda,
         DovecotLdaMaildir)
