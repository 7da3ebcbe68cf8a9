#include "lda/envelope.h"

int
envelope_check(struct str address, struct verdict *v)
{
	if (address.n > ENVELOPE_ADDRESS_MAX)
		return verdict_set(v, V_BAD_ADDRESS, "address of %zu bytes",
		    address.n);
	for (size_t i = 0; i < address.n; i++)
		if (ascii_iscntrl(address.p[i]))
			return verdict_set(v, V_BAD_ADDRESS,
			    "control character in address");
	return 0;
}

struct str
envelope_strip(struct str text)
{
	text = str_trim(text);
	if (text.n >= 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
		text = str_trim(str_sub(text, 1, text.n - 2));
	return text;
}

bool
envelope_from_line(struct str line, struct str *sender_r)
{
	struct str rest;
	size_t n = 0;
	bool quoted = false;

	if (!str_starts(line, STR("From ")))
		return false;
	rest = str_sub(line, 5, line.n);
	/* sendmail's "From $g $d" with a null sender: "From  Sat Nov 21 ...". */
	if (rest.n && ascii_isblank(rest.p[0]))
		rest.n = 0;
	for (; n < rest.n && rest.p[n] != '\n' && rest.p[n] != '\r'; n++) {
		if (rest.p[n] == '"')
			quoted = !quoted;
		else if (rest.p[n] == '\\' && quoted && n + 1 < rest.n)
			n++;
		else if (!quoted && ascii_isblank(rest.p[n]))
			break;
	}
	rest.n = n < rest.n ? n : rest.n;
	rest = envelope_strip(rest);
	if (str_caseeq(rest, STR("MAILER-DAEMON")))
		rest.n = 0;
	*sender_r = rest;
	return true;
}

void
envelope_split(struct str address, struct str *local_r, struct str *domain_r)
{
	ptrdiff_t at = str_rchr(address, '@');
	struct str local = address;
	bool plain = true;

	*domain_r = STR("");
	/* A '@' inside the quotes of a lone local part divides nothing. */
	if (at >= 0 && !(address.n && address.p[0] == '"' &&
	    address.p[address.n - 1] == '"')) {
		local = str_sub(address, 0, (size_t)at);
		*domain_r = str_sub(address, (size_t)at + 1, address.n);
	}
	/* "fred"@d is fred@d (RFC 5321 section 4.1.2); what needs its quotes
	 * keeps them and is judged as it stands. */
	if (local.n > 2 && local.p[0] == '"' && local.p[local.n - 1] == '"') {
		struct str inner = str_sub(local, 1, local.n - 2);

		for (size_t i = 0; i < inner.n; i++)
			if (inner.p[i] == '"' || inner.p[i] == '\\')
				plain = false;
		if (plain)
			local = inner;
	}
	*local_r = local;
}
