"""A private Roundcube: Debian's files from build/roots/roundcube, PHP's own web
server, contrib's configuration; and a Chromium without a screen."""
import os
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

from . import GID, PATIENCE, ROOTS, TOP, UID, as_vmail, free_port, until

ROOT = ROOTS / "roundcube" / "usr" / "share"

# What Debian's index.php says, for another place.
PATHS = """<?php
define('INSTALL_PATH', '{share}/roundcube/');
define('RCMAIL_CONFIG_DIR', '{dir}/etc');
define('RCUBE_LOCALIZATION_DIR', INSTALL_PATH . 'program/localization/');
"""

# What the package writes for a machine, and below it contrib's file.
MACHINE = """<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{dir}/roundcube.db?mode=0640';
$config['des_key'] = 'rcmail-!24ByteDESkey*Str';
$config['log_dir'] = '{dir}/log';
$config['temp_dir'] = '{dir}/temp';
$config['skin'] = 'elastic';
$config['language'] = 'en_GB';
include '{dir}/etc/vbox.inc.php';
{more}
"""


class Roundcube:
    def __init__(self, directory, dovecot, smtp_port, more=""):
        self.dir = Path(directory)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        etc, share = self.dir / "etc", self.dir / "share"
        for d in (etc, share, self.dir / "log", self.dir / "temp"):
            d.mkdir(mode=0o755)
        shutil.copytree(ROOT / "roundcube", share / "roundcube", symlinks=True)
        # Relative links of the package lead to its libraries' scripts.
        (share / "javascript").symlink_to("/usr/share/javascript")
        (self.dir / "paths.php").write_text(
            PATHS.format(dir=self.dir, share=share))
        theirs = TOP / "contrib" / "roundcube" / "config.inc.php"
        text = theirs.read_text()
        for old, new in (("localhost:143", f"127.0.0.1:{dovecot.port}"),
                         ("localhost:4190", f"127.0.0.1:{dovecot.sieve_port}"),
                         ("localhost:587", f"127.0.0.1:{smtp_port}")):
            assert f"'{old}'" in text
            text = text.replace(f"'{old}'", f"'{new}'")
        # What is an offer there is taken here.
        head, offer, tail = text.partition("//$config['plugins'][]")
        assert offer
        text = head + (offer + tail).replace("//$config", "$config")
        shutil.copy(theirs.parent / "password/vbox.php",
                    share / "roundcube/plugins/password/drivers")
        (etc / "vbox.inc.php").write_text(text)
        (etc / "config.inc.php").write_text(
            MACHINE.format(dir=self.dir, more=more))
        for name in ("defaults.inc.php", "mimetypes.php"):
            shutil.copy(ROOTS / "roundcube/etc/roundcube" / name, etc / name)
        db = sqlite3.connect(self.dir / "roundcube.db")
        db.executescript((ROOT / "roundcube/SQL/sqlite.initial.sql").read_text())
        db.close()
        for path in [self.dir, *self.dir.iterdir()]:
            os.chown(path, UID, GID, follow_symlinks=False)
        include = f".:{ROOT}/php:/usr/share/php"
        self.out = open(self.dir / "php.out", "wb")
        self.process = subprocess.Popen(
            ["php", "-d", f"include_path={include}",
             "-d", f"auto_prepend_file={self.dir}/paths.php",
             "-d", f"session.save_path={self.dir}/temp",
             "-d", f"error_log={self.dir}/log/php", "-d", "log_errors=1",
             "-S", f"127.0.0.1:{self.port}", "-t", share / "roundcube"],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out,
            # A page asks for several things at once.
            env={"PATH": "/usr/bin:/bin", "PHP_CLI_SERVER_WORKERS": "4"},
            preexec_fn=as_vmail, start_new_session=True, cwd="/")
        until(self.answers, of="PHP's web server")

    def answers(self):
        assert self.process.poll() is None, self.said()
        try:
            socket.create_connection(("127.0.0.1", self.port),
                                     PATIENCE).close()
            return True
        except OSError:
            return False

    def said(self):
        return "\n".join(p.read_text(errors="replace") for p in
                         [*sorted((self.dir / "log").glob("*")),
                          self.dir / "php.out"])

    def stop(self):
        try:
            # Its workers are its process group.
            os.killpg(self.process.pid, 15)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)
        self.out.close()
