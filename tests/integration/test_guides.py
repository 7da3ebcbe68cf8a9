"""The commands of docs/NEW-SITE.md and docs/MIGRATION.md, as they stand, each
guide on a machine of its own. Then a stranger sends mail."""
import pytest

from harness import SANITIZED, TOP
from harness.machine import Machine, blocks

pytestmark = pytest.mark.skipif(
    SANITIZED, reason="the guides build and install what they name")

# What somebody outside is told, and what arrives.
STRANGER = """
python3 - <<'PY'
import smtplib, subprocess, sys, time
for _ in range(600):
    try:
        smtp = smtplib.SMTP("127.0.0.1", 25, "client.test", timeout=60,
                            source_address=("127.0.0.2", 0))
        break
    except OSError:
        time.sleep(0.1)
smtp.ehlo()
def asked(address):
    assert smtp.mail("")[0] == 250
    code, text = smtp.rcpt(address)
    smtp.rset()
    return code, text.decode()
for address, code, status in EXPECTED:
    said = asked(address)
    assert said[0] == code and (code == 250 or said[1].split()[0] == status), \\
        (address, said)
# For now or for good: who has no name in the DNS may not even be told.
assert asked("x@elsewhere.test")[0] >= 400
subprocess.run(["vboxadm", "user", "add", "later@example.com"], check=True)
for _ in range(600):
    if asked("later@example.com")[0] == 250:
        break
    time.sleep(0.1)
else:
    sys.exit("later@example.com is not known")
smtp.sendmail("", ["fred@example.net", "later@example.com"],
              "Subject: hello\\r\\n\\r\\nhello\\r\\n")
for user in "fred", "later":
    path = f"/var/spool/vbox/example.com/{user}"
    for _ in range(600):
        try:
            if b"Subject: hello" in open(path, "rb").read():
                break
        except FileNotFoundError:
            pass
        time.sleep(0.1)
    else:
        sys.exit(f"no mail for {user}")
print("ALL ARRIVED")
PY
"""
EXPECTED = [("fred@example.com", 250, ""), ("office@example.net", 250, ""),
            ("fred+x@example.com", 250, ""),
            ("ghost@example.com", 550, "5.1.1")]
STRANGER = STRANGER.replace("EXPECTED", repr(EXPECTED))

VBOX = "mkdir -p /etc/systemd/system"


@pytest.fixture
def machine(site):
    """roots and services are the MTA's; vbox-lmtpd is everybody's."""
    def make(roots, services):
        return Machine(site.dir, roots, {"vbox-lmtpd": "vbox-lmtpd", **services})
    return make


def run(machine, *parts):
    r = machine.shell("\n".join(parts))
    said = r.stdout.decode(errors="replace")
    assert r.returncode == 0 and "ALL ARRIVED" in said, said[-6000:]
    return said


SENDMAIL = """
ln -sf ../libexec/sendmail/sendmail /usr/sbin/sendmail
ln -sf ../libexec/sendmail/makemap /usr/sbin/makemap
ln -sf sendmail /usr/sbin/newaliases
mkdir -p /etc/mail /var/spool/mqueue /var/run/sendmail/mta
chmod 700 /var/spool/mqueue
: > /etc/mail/local-host-names
# This machine has no DNS.
printf 'hosts files\\naliases files\\n' > /etc/mail/service.switch
"""


def test_new_site_with_sendmail(machine):
    m = machine(["sendmail"], {"sendmail": "sendmail -bd -q15m"})
    said = run(m, VBOX, SENDMAIL, blocks("NEW-SITE.md", "The agent"),
               blocks("NEW-SITE.md", "sendmail"), STRANGER,
               "test -z \"$(find /etc/mail -name '*.db' ! -name aliases.db)\"",
               # sendmail trusts our sockets as they are.
               "! grep '^O DontBlameSendmail' /etc/mail/sendmail.cf")
    flat = " ".join(said.split())
    # The answers that the guide promises.
    assert "(fred@example.com) returns OK" in flat
    assert "$# error $@ 5 . 1 . 1" in flat
    assert "returns: $# vbox $@ example . com" in flat


MAIN = """
cat > /etc/postfix/main.cf <<'EOF'
compatibility_level = 3.6
myhostname = mx.test
mydestination = localhost, mx.test
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
alias_maps =
alias_database =
recipient_delimiter = +
maillog_file = /var/log/postfix.log
smtp_dns_support_level = disabled
EOF
"""

POSTFIX = """
groupadd -f postdrop
id postfix 2>/dev/null || useradd -r -d /var/spool/postfix -s /bin/false postfix
""" + MAIN + """
test -e /etc/postfix/master.cf || cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
postconf -F '*/*/chroot = n'
chown postfix /var/lib/postfix
chgrp postdrop /usr/sbin/postqueue /usr/sbin/postdrop
chmod 2755 /usr/sbin/postqueue /usr/sbin/postdrop
postfix start || { cat /var/log/postfix.log; exit 1; }
"""


def test_new_site_with_postfix(machine):
    m = machine(["postfix"], {})
    said = run(m, VBOX, POSTFIX, blocks("NEW-SITE.md", "The agent"),
               blocks("NEW-SITE.md", "Postfix"), STRANGER)
    assert "\nexample.com\n" in said
    assert "550 5.1.1 User unknown" in said


EXIM = """
id Debian-exim 2>/dev/null || useradd -r -d /var/spool/exim4 -s /bin/false Debian-exim
chmod 4755 /usr/sbin/exim4
install -d -o Debian-exim -g Debian-exim -m 750 /var/spool/exim4 /var/log/exim4
mkdir -p /var/lib/exim4
cat > /etc/exim4/update-exim4.conf.conf <<'EOF'
dc_eximconfig_configtype='internet'
dc_other_hostnames='mx.test'
dc_local_interfaces=''
dc_use_split_config='true'
dc_localdelivery='mail_spool'
CFILEMODE='644'
EOF
printf 'disable_ipv6 = true\\n' > /etc/exim4/conf.d/main/00_test
"""


def test_new_site_with_exim(machine):
    m = machine(["exim"], {"exim4": "exim4 -bd -q15m"})
    said = run(m, VBOX, EXIM, blocks("NEW-SITE.md", "The agent"),
               blocks("NEW-SITE.md", "Exim"), STRANGER)
    assert "router = vbox" in said


# A user reads, and is stopped where his quota ends.
READER = """
printf 'Subject: hello\\n\\nhello\\n' | vbox-deliver -f me@here.test example.net office
python3 - <<'PY'
import imaplib, socket
imap = imaplib.IMAP4("127.0.0.1", 143, 60)
imap.login("Fred@Example.com", "correct horse")
assert imap.select("INBOX") == ("OK", [b"1"])
assert b"Subject: hello" in imap.fetch("1", "(BODY[])")[1][0][1]
assert b"STORAGE 1 1048576" in imap.getquotaroot("INBOX")[1][1][0]
sieve = socket.create_connection(("127.0.0.1", 4190), 60).makefile("rb")
assert sieve.readline().startswith(b'"IMPLEMENTATION"')
assert sieve.readline().startswith(b'"SIEVE"')
print("ALL ARRIVED")
PY
"""


def test_new_site_with_dovecot(machine):
    m = machine([], {"dovecot": "dovecot"})
    said = run(m, VBOX, blocks("NEW-SITE.md", "The agent"),
               blocks("NEW-SITE.md", "Dovecot"), READER)
    assert "passdb: fred@example.com auth succeeded" in said
    assert "quota_rule\t*:bytes=1073741824" in said
    assert "User quota" in said


def test_every_block_is_run():
    """A section that is added to a guide needs a test here."""
    def sections(guide):
        text = (TOP / "docs" / guide).read_text()
        return [p.split("\n", 1)[0] for p in text.split("\n## ")[1:]
                if "```sh" in p]
    assert sections("NEW-SITE.md") == ["The agent", "sendmail", "Postfix", "Exim",
                                       "Dovecot"]
    assert [s.split(":")[0] for s in sections("MIGRATION.md")] == \
        ["Step 1", "Step 2", "Step 3", "Step 4"]


# A site of the recipe, made as its sections 10.1 and 10.2 say.
RECIPE = SENDMAIL + """
adduser --system --group --home /nonexistent --no-create-home vmail
make install >/dev/null
sed 's|/usr/local/lib/vbox/vbox-deliver, U=vmail|/usr/bin/procmail, U=vmail|' \\
    contrib/sendmail/paper/sendmail_out.mc > /etc/mail/sendmail_out.mc
grep -q '/usr/bin/procmail, U=vmail' /etc/mail/sendmail_out.mc
printf 'example.com\\nexample.com.virtuser\\nexample.com.virtuser.\\n' > /etc/mail/virtuserdomains
echo example.com > /etc/mail/local-host-names
printf 'fred@example.com\\tfred@example.com.virtuser.\\noffice@example.com\\tfred@example.com.virtuser.\\n' > /etc/mail/virtusertable
printf 'root: fred@example.com\\n' > /etc/mail/aliases
m4 /usr/share/sendmail/cf/m4/cf.m4 /etc/mail/sendmail_out.mc > /etc/mail/sendmail_out.cf
makemap -C /etc/mail/sendmail_out.cf hash /etc/mail/virtusertable < /etc/mail/virtusertable
makemap -C /etc/mail/sendmail_out.cf hash /etc/mail/access_out < /dev/null
ln -s sendmail_out.cf /etc/mail/sendmail.cf
newaliases
mkdir -p /var/spool/vbox/example.com /home/vmail-users/example.com/fred
touch /var/spool/vbox/example.com/fred
chown -R vmail:vmail /var/spool/vbox /home/vmail-users
systemctl restart sendmail
"""

RESTART = """for pid in /var/run/sendmail.pid /var/run/sendmail/mta/sendmail.pid; do
	test -e $pid || continue
	old=$(head -n 1 $pid)
	kill $old
	while kill -0 $old 2>/dev/null; do sleep 0.05; done
	rm -f $pid
done
sendmail -bd -q15m"""

# One more mail for fred, whose mailbox is where it always was.
ONE_MORE = """
python3 - <<'PY'
import smtplib, sys, time
def count():
    return open("/var/spool/vbox/example.com/fred", "rb").read().count(b"Subject: step")
before = count()
for _ in range(600):
    try:
        smtp = smtplib.SMTP("127.0.0.1", 25, "client.test", timeout=60)
        break
    except OSError:
        time.sleep(0.1)
smtp.sendmail("", ["office@example.com"], "Subject: step\\r\\n\\r\\nhello\\r\\n")
for _ in range(600):
    if count() == before + 1:
        break
    time.sleep(0.1)
else:
    import subprocess
    subprocess.run("sendmail -bp; cat /var/spool/mqueue/qf*", shell=True)
    sys.exit("it did not come")
PY
"""


def test_migration(machine):
    guide = "MIGRATION.md"
    m = machine(["sendmail"], {"sendmail": RESTART})
    said = run(m, RECIPE,
               blocks(guide, "Step 1: another agent, nothing else"), ONE_MORE,
               blocks(guide, "Step 2: accounts in a directory"), ONE_MORE,
               "rm /etc/mail/sendmail.cf",
               blocks(guide, "Step 3: no tables"), ONE_MORE,
               "vboxadm domain add example.net --alias-of example.com",
               STRANGER.replace("time.sleep(0.1)", "time.sleep(0.2)"),
               blocks(guide, "Step 4: filters, readers and webmail"))
    assert "keep" in said.split("ALL ARRIVED")[1]
