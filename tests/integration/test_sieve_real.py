"""Filters as Roundcube, Thunderbird, Nextcloud and those who leave procmail
write them, put in force by vboxadm and run by vbox-deliver: where do letters
go, and who is written to?"""
import pytest

from harness.accounts import Vboxadm
from test_sieve import folder

ROUNDCUBE = r"""require ["body","copy","date","fileinto","imap4flags","regex","reject","relational","vacation","variables"];
# rule:[mailing lists]
if header :regex "List-Id" "<([a-z-]+)\\."
{
	set "list" "${1}";
	fileinto "Lists/${list}";
	stop;
}
# rule:[invoices]
if allof (header :contains ["Subject","From"] "invoice", not address :is :domain "From" "phish.example")
{
	addflag "\\Flagged";
	fileinto :copy "Invoices";
	redirect :copy "books@accounting.example";
}
# rule:[phish]
if address :is :domain "From" "phish.example"
{
	reject "We do not know you.";
	stop;
}
# rule:[switched off]
if false # header :contains "Subject" "*"
{
	discard;
}
# rule:[Vacation]
if currentdate :value "ge" "date" "2020-01-01"
{
	vacation :days 3 :addresses ["fred@d1.test","fred@d2.test"] :subject "Away" "I am away.";
}
"""

THUNDERBIRD = """require ["fileinto", "envelope", "reject"];

# Sieve filter, made with the Thunderbird extension
if anyof (address :is ["from"] ["boss@work.example"], header :contains "subject" "[urgent]") {
  keep;
} elsif envelope :all :is "from" "shop@mail.example" {
  fileinto "Shopping";
} elsif size :over 100K {
  fileinto "Large";
} else {
  fileinto "Rest";
}
"""

NEXTCLOUD = """### Nextcloud Mail: Filters ### DON'T EDIT ###
require ["imap4flags", "mailbox", "fileinto"];
### Nextcloud Mail: Filters ### DON'T EDIT ###

### Nextcloud Mail: Out-of-office ### DON'T EDIT ###
require "vacation";
require ["date", "relational", "variables"];
### Nextcloud Mail: Out-of-office ### DON'T EDIT ###

### Nextcloud Mail: Filters ### DON'T EDIT ###
# FILTER: [{"name":"Newsletters","enable":true,"operator":"anyof"}]
# Newsletters
if anyof (header :matches "Subject" ["*newsletter*", "*digest*"], header :is "Precedence" ["bulk"]) {
    fileinto :create "Newsletters";
    addflag ["$label1"];
    stop;
}
### Nextcloud Mail: Filters ### DON'T EDIT ###

### Nextcloud Mail: Out-of-office ### DON'T EDIT ###
# DATA: {"version":1,"enabled":true,"start":"2020-01-01"}
if allof(
    currentdate :value "ge" "iso8601" "2020-01-01T00:00:00Z",
    currentdate :value "le" "iso8601" "2999-12-31T23:59:59Z"
) {
    set "subject" "";
    if header :matches "subject" "*" { set "subject" "${1}"; }
    vacation :days 4 :subject "Out of office: ${subject}" :addresses ["fred@d1.test", "fred@d2.test"] "Back soon.";
}
### Nextcloud Mail: Out-of-office ### DON'T EDIT ###
"""

PROCMAIL = """require ["fileinto", "copy", "regex", "envelope", "variables", "include", "mailbox"];
# :0 c
# ! archive@vault.example
redirect :copy "archive@vault.example";
# :0
# * ^TO_sales
if anyof (address :regex ["To", "Cc", "Resent-To"] "(^|[^-a-z0-9_.])sales@") {
    fileinto :create "sales";
    stop;
}
# :0
# * < 2000
# * ^Subject:.*(cheap|winner)
# /dev/null
if allof (size :under 2000, header :regex "Subject" "(cheap|winner)") {
    discard;
    stop;
}
# :0
# * ^Sender: owner-\\/[^@]+
if header :matches "Sender" "owner-*@*" {
    fileinto :create "lists.${1}";
}
"""

VAULT = ["archive@vault.example"]
ANSWER = ["a@b.test"]

# script, fields of the letter, folders (empty: INBOX), who is written to
CASES = [
    (ROUNDCUBE, "List-Id: Dev <dev-list.example.org>\nTo: fred@{d}", ["Lists/dev-list"], []),
    (ROUNDCUBE, "Subject: Your invoice\nTo: fred@{d}", ["Invoices", ""],
     ["a@b.test", "books@accounting.example"]),
    (ROUNDCUBE, "Subject: hello\nTo: fred@{d}", [""], ANSWER),
    (ROUNDCUBE, "Subject: hello\nTo: others@x.test", [""], []),
    (ROUNDCUBE, "From: invoice@phish.example\nTo: fred@{d}", "refused", []),
    (THUNDERBIRD, "From: Boss <boss@work.example>", [""], []),
    (THUNDERBIRD, "Subject: Re: [URGENT] call", [""], []),
    (THUNDERBIRD, "Subject: nothing", ["Rest"], []),
    (THUNDERBIRD, "Subject: big\nX-Fill: " + "x" * 200_000, ["Large"], []),
    (NEXTCLOUD, "Subject: Weekly Digest 3\nTo: fred@{d}", ["Newsletters"], []),
    (NEXTCLOUD, "Subject: question\nTo: fred@{d}", [""], ANSWER),
    (PROCMAIL, "Subject: an offer\nCc: Sales <sales@d.test>", ["sales"], VAULT),
    (PROCMAIL, "Subject: an offer\nCc: wholesales@d.test", [""], VAULT),
    (PROCMAIL, "Subject: you are a winner", [], VAULT),
    (PROCMAIL, "Subject: winner\nX-Fill: " + "x" * 3000, [""], VAULT),
    (PROCMAIL, "Sender: owner-cooks@lists.test", ["lists.cooks"], VAULT),
]


@pytest.mark.parametrize("domain", ["d1.test", "d2.test"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_real(site, domain, number):
    text, fields, places, wanted = CASES[number]
    kept = site.own_dir(site.dir / "sent", 0o777)
    program = site.dir / "sendmail"
    program.write_text(f"#!/bin/sh\nn=$(mktemp {kept}/XXXXXX)\n"
                       "echo \"$@\" >$n; cat >/dev/null\n")
    program.chmod(0o755)
    site.configure(directory=[f"sqlite:{site.state}/vbox.db"], submit=program)
    adm = Vboxadm(site)
    adm("domain", "add", domain, "--format",
        "maildir" if domain == "d2.test" else "mbox")
    adm("user", "add", f"fred@{domain}")
    adm("sieve", "put", f"fred@{domain}", "mine", "-", data=text.encode())
    adm("sieve", "activate", f"fred@{domain}", "mine")
    fields = fields.format(d=domain)
    if "From:" not in fields:
        fields = "From: a@b.test\n" + fields
    r = site.deliver("-f", "a@b.test", "--", domain, "fred",
                     data=fields.encode() + b"\n\nhello\n")
    assert r.returncode == (77 if places == "refused" else 0), r
    if places == "refused":
        assert b"We do not know you." in r.stdout
        places = []
    found = {p: len(folder(site, domain, "fred", p)) for p in
             ("Lists/dev-list", "Invoices", "Shopping", "Large", "Rest",
              "Newsletters", "sales", "lists.cooks")}
    found[""] = len(site.messages(domain, "fred"))
    assert sorted(p for p, n in found.items() for _ in range(n)) == sorted(places)
    assert sorted(p.read_text().split()[-1] for p in kept.iterdir()) == wanted
    assert not (site.home / domain / "fred" / ".dovecot.sieve.log").exists()
