"""Servers of accounts: vboxadm, a PostgreSQL of our own, Dovecot with the
configuration of contrib."""
import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from . import GID, PATIENCE, TOP, UID, free_port, until
from .proc import children, status
from .site import sane


class Vboxadm:
    def __init__(self, site):
        self.site = site

    def run(self, *args, data=b"", code=0, user=None):
        r = subprocess.run(
            [str(self.site.bin / "vboxadm"), "-c", str(self.site.conf), *args],
            input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.site.environment(), check=False, timeout=300,
            preexec_fn=user)
        sane(r)
        assert code is None or r.returncode == code, (args, r)
        return r

    def __call__(self, *args, **how):
        return self.run(*args, **how).stdout.decode()

    def json(self, *args, **how):
        return json.loads(self.run("--json", *args, **how).stdout)

    def lines(self):
        """A process that answers address after address."""
        return Lines(subprocess.Popen(
            [str(self.site.bin / "vboxadm"), "-c", str(self.site.conf),
             "--json", "resolve", "-"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=self.site.environment()))


class Lines:
    def __init__(self, child):
        self.child = child

    def ask(self, address):
        self.child.stdin.write(address.encode() + b"\n")
        self.child.stdin.flush()
        assert select.select([self.child.stdout], [], [], PATIENCE)[0]
        return json.loads(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        return self.child.wait(PATIENCE)


def tool(name):
    """A program of PostgreSQL's: Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class Postgres:
    """A cluster in a directory of its own, run by nobody, on a unix socket.
    `template`: one that was never started, to begin with."""

    def __init__(self, directory, template=None):
        self.dir = Path(directory) / "pg"
        self.data = self.dir / "data"
        nobody = pwd.getpwnam("nobody")

        def become():
            os.setgroups([])
            os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
            os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)

        self.become = become
        self.dir.mkdir()
        os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
        self.dir.chmod(0o755)
        if template:
            subprocess.run(["cp", "-a", template.data, self.data], check=True)
        else:
            self.command("initdb", "-A", "trust", "-U", "vbox", "-E", "UTF8",
                         "--no-locale", "--no-sync")
        self.conninfo = Path(directory) / "pgsql.conf"
        self.conninfo.write_text(
            "# the directory of this test\n"
            f"host={self.dir} dbname=postgres user=vbox\n"
            "client_encoding=UTF8\n")
        self.conninfo.chmod(0o644)

    def command(self, name, *args):
        r = subprocess.run([tool(name), "-D", str(self.data), *args],
                           preexec_fn=self.become, cwd="/", check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        assert r.returncode == 0, r.stdout.decode()

    def start(self):
        self.command("pg_ctl", "-w", "-t", "300", "-l", str(self.dir / "log"), "-o",
                     f"-c listen_addresses='' -c fsync=off "
                     f"-c unix_socket_directories={self.dir}", "start")
        return self

    def sql(self, text):
        subprocess.run(["psql", "-q", "-h", str(self.dir), "-U", "vbox",
                        "-v", "ON_ERROR_STOP=1", "-c", text, "postgres"],
                       check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def stop(self):
        self.command("pg_ctl", "-w", "-t", "300", "-m", "immediate", "stop")

    def processes(self):
        top = int((self.data / "postmaster.pid").read_text().split()[0])
        return [top] + children(top)

    def freeze(self):
        """First the one that makes others."""
        self.still(self.processes()[0])
        for pid in self.processes()[1:]:
            self.still(pid)

    @staticmethod
    def still(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        until(lambda: status(pid).get("State", "T")[0] in "TZX",
              of="PostgreSQL to stand still")

    def thaw(self):
        for pid in self.processes():
            # One whose client is gone may end in between.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


OVERRIDES = """
base_dir = {run}
state_dir = {run}
log_path = {run}/log
instance_name = vbox-test
protocols = imap sieve
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
mail_uid = {uid}
mail_gid = {gid}
default_vsz_limit = 1G
# A wrong password is answered at once, however many there were.
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {sieve_port}
  }}
}}
service stats {{
  chroot =
}}
"""


class DovecotServer:
    """contrib/dovecot/2.3 with this site's paths: a master, auth, IMAP,
    ManageSieve, each where nobody else is."""

    # Quota of an mbox: the size of the file, or of the messages in it?
    counts_files = True

    def __init__(self, site, which="sqlite", connect=None):
        self.run = site.dir / "dovecot-run"
        self.run.mkdir(mode=0o755)
        self.port, self.sieve_port = free_port(), free_port()
        conf = site.dir / "dovecot.conf"
        shipped = TOP / "contrib" / "dovecot" / "2.3"
        name = f"vbox-{which}.conf.ext"
        text = (shipped / "dovecot.conf").read_text()
        text = text.replace("/etc/dovecot/vbox-sqlite.conf.ext",
                            str(site.dir / name))
        conf.write_text(self.paths(site, text) + OVERRIDES.format(
            run=self.run, uid=UID, gid=GID, port=self.port,
            sieve_port=self.sieve_port))
        sql = self.paths(site, (shipped / name).read_text())
        if connect:
            lines = [f"connect = {connect}" if line.startswith("connect")
                     else line for line in sql.splitlines()]
            sql = "\n".join(lines) + "\n"
        (site.dir / name).write_text(sql)
        shutil.copy(shipped / "quota.conf", site.dir / "quota.conf")
        self.child = subprocess.Popen(["dovecot", "-F", "-c", str(conf)],
                                      stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        until(self.answers, of="Dovecot")

    @staticmethod
    def paths(site, text):
        return (text.replace("/var/spool/vbox", str(site.spool))
                .replace("/home/vmail-users", str(site.home))
                .replace("/var/lib/vbox", str(site.state)))

    def answers(self):
        assert self.child.poll() is None, self.log()
        try:
            with socket.create_connection(("127.0.0.1", self.port),
                                          PATIENCE) as s:
                return s.recv(100).startswith(b"* OK")
        except OSError:
            return False

    def log(self):
        path = self.run / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        self.child.terminate()
        self.child.wait(PATIENCE)
