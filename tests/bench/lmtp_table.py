"""What bench_lmtp.py measured as a table, and what was wanted of it."""
import statistics

OURS, LIMIT, USUAL_LIMIT = "vbox-lmtpd", "minimal", "minimal-newlocks"
OURS_LOG, LOG_LIMIT = "vbox-lmtpd-log", "minimal-log"


def ratio(results, case, name, other):
    """Median of the ratios within a round; None where one was not measured."""
    one, two = results.get((case, name)), results.get((case, other))
    if not one or not two:
        return None
    return statistics.median(
        a["rate"] / b["rate"] if b["rate"] else float("inf")
        for a, b in zip(one, two))


def rows(cases, names, results):
    lines = ["| format | conn. | rcpt | bytes | server | deliveries/s | of minimal | "
             "CPU ms | p50 ms | p99 ms |", "|---|---|---|---|---|---|---|---|---|---|"]
    for case in cases:
        for name in names:
            got = results.get((case, name))
            if not got:
                continue
            part = ratio(results, case, name, LIMIT)
            med = {k: statistics.median(g[k] for g in got)
                   for k in ("rate", "cpu", "p50", "p99")}
            lines.append(
                f"| {case.format} | {case.conn}{' TCP' if case.way == 'tcp' else ''} | "
                f"{case.rcpt} | {case.size} | {name} | {med['rate']:.0f} | "
                f"{'-' if part is None else f'{100 * part:.0f} %'} | {med['cpu']:.2f} | "
                f"{med['p50'] / 1000:.2f} | {med['p99'] / 1000:.2f} |")
    return lines


def verdict(what, figure, bound, unit="x", most=False):
    """A line, or None where nothing was measured."""
    if figure is None:
        return None
    good = figure <= bound if most else figure >= bound
    show = f"{100 * figure:.0f} %" if unit == "%" else f"{figure:.2f} {unit}"
    return f"wanted: {what}: {show}: {'yes' if good else 'NO'}"


def wanted(steps, case, results):
    """The demands of the issue, each with its figure. case makes a case."""
    def at(form, conn, rcpt=1):
        return case(form, conn, rcpt, 10000)

    def ours(where, peer):
        return ratio(results, where, OURS, peer)
    lines = []
    for form in ("mbox", "maildir"):
        for k in steps:
            lines.append(verdict(f"{form}, {k}: 85 % of the minimal server",
                                 ours(at(form, k), LIMIT), 0.85, "%"))
    for form in ("mbox", "maildir"):
        for k in steps:
            lines.append(verdict(
                f"{form}, {k}, with delivery_log: 85 % of the minimal server",
                ratio(results, at(form, k), OURS_LOG, LIMIT), 0.85, "%"))
    for form in ("mbox", "maildir"):
        for k in steps:
            lines.append(verdict(
                f"{form}, {k}, with delivery_log: 85 % of one with such a log",
                ratio(results, at(form, k), OURS_LOG, LOG_LIMIT), 0.85, "%"))
    for k in steps:
        lines.append(verdict(f"mbox, {k}: 85 % of one whose dotlocks are new files",
                             ours(at("mbox", k), USUAL_LIMIT), 0.85, "%"))
    for k in steps:
        for peer in ("Dovecot", "mail.local", "Postfix-virtual"):
            lines.append(verdict(f"mbox, {k}: ahead of {peer}",
                                 ours(at("mbox", k), peer), 1))
    for k, least in ((1, 2.5), (16, 5)):
        lines.append(verdict(f"maildir, {k}: {least:g} x Dovecot",
                             ours(at("maildir", k), "Dovecot"), least))
    for k in steps:
        lines.append(verdict(f"maildir, {k}: ahead of Postfix-virtual",
                             ours(at("maildir", k), "Postfix-virtual"), 1))
    for form in ("mbox", "maildir"):
        for k in (1, 4):
            lines.append(verdict(f"{form}, {k}, 10 recipients: 3 x Dovecot",
                                 ours(at(form, k, 10), "Dovecot"), 3))
    for k in steps:
        one, two = (results.get((at("mbox", k), name)) for name in (OURS, "mail.local"))
        figure = None
        if one and two:
            figure = statistics.median(a["cpu"] / b["cpu"] if b["cpu"] else float("inf")
                                       for a, b in zip(one, two))
        lines.append(verdict(f"mbox, {k}: CPU no more than that of mail.local",
                             figure, 1, most=True))
    known = [line for line in lines if line]
    if len(known) < len(lines):
        known.append(f"not measured: {len(lines) - len(known)} of {len(lines)} that "
                     "were wanted")
    return known
