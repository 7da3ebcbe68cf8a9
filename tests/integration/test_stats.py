"""vboxadm stats: what the running service has counted."""
from harness.accounts import Vboxadm
from harness.lmtp import Lmtpd


def test_counters_of_the_socket(site):
    socket = f"unix:{site.dir}/metrics.sock"
    with Lmtpd(site, metrics_listen=[socket]) as d:
        client = d.connect()
        client.hello()
        client.message(["fred@d1.test"], b"Subject: x\n\nx\n")
        adm = Vboxadm(site)
        assert "vbox_delivery_seconds_count 1\n" in adm("stats")
        told = adm.json("stats")
        assert told["vbox_delivery_seconds_count"] == 1
        assert all(name.startswith("vbox_") for name in told)
    assert adm.run("stats", code=None).returncode == 75


def test_the_textfile(site):
    path = site.dir / "vbox.prom"
    path.write_text("# HELP x y\nvbox_bytes_total 17\n")
    site.configure(metrics_textfile=path)
    assert Vboxadm(site)("stats") == "vbox_bytes_total 17\n"
    assert Vboxadm(site).json("stats") == {"vbox_bytes_total": 17}


def test_nothing_is_configured(site):
    assert Vboxadm(site).run("stats", code=78).stdout == b""
