"""Charsets whose tables are files, in a filter process that sees no files."""
import pytest

SCRIPT = """\
require ["fileinto", "mailbox"];
if header :contains "subject" "\u65e5\u672c" { fileinto :create "found"; }
"""

LETTERS = {
    "iso-2022-jp": b"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=",
    "shift_jis": b"=?Shift_JIS?B?k/qWew==?=",
    "euc-jp": b"=?EUC-JP?Q?=C6=FC=CB=DC?=",
    "gb2312": b"=?GB2312?B?yNWxvg==?=",
    "big5": b"=?Big5?B?pOmlu6Q=?=",
    "utf-8": "\u65e5\u672c".encode(),
}


@pytest.mark.parametrize("charset", LETTERS)
def test_filters_read_charsets_of_east_asia(site, charset):
    site.own_file(site.home / "d2.test" / "fred" / ".dovecot.sieve",
                  SCRIPT.encode())
    r = site.deliver("--", "d2.test", "fred",
                     data=b"Subject: " + LETTERS[charset] + b"\n\nx\n")
    assert (r.returncode, r.stdout) == (0, b"")
    box = site.box("d2.test", "fred")
    assert len(list((box / ".found" / "new").iterdir())) == 1, r.stderr
    assert not list((box / "new").iterdir())
