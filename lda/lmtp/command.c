/* What a command line means: RFC 2033, RFC 5321 section 4.1 and the
 * extensions that lhlo() announces. */
#include <arpa/inet.h>
#include <string.h>

#include "lda/lmtp/param.h"
#include "lda/lmtp/protocol_i.h"
#include "store/base/num.h"

static void
usage(struct lmtp *p, const char *text)
{
	lmtp_error(p, 501, "5.5.4", text);
}

static void
sequence(struct lmtp *p, const char *text)
{
	lmtp_error(p, 503, "5.5.1", text);
}

/* Printable ASCII without blanks, as RFC 5321 wants a Domain or an
 * address-literal to be at least. */
static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0 && s.n <= LMTP_NAME_MAX;
}

static void
keep(char *out, struct str s)
{
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
}

static void
extension(struct lmtp *p, const char *text, const char *end)
{
	(void)buf_addf(&p->out, "250%s%s\r\n", end, text);
}

static void
lhlo(struct lmtp *p, struct str arg)
{
	arg = str_trim(arg);
	if (!is_name(arg)) {
		usage(p, "Syntax: LHLO name");
		return;
	}
	lmtp_drop(p);
	keep(p->helo, arg);
	extension(p, p->config.hostname, "-");
	extension(p, "PIPELINING", "-");
	if (p->config.size_max)
		(void)buf_addf(&p->out, "250-SIZE %llu\r\n",
		    (unsigned long long)p->config.size_max);
	else
		extension(p, "SIZE", "-");
	extension(p, "8BITMIME", "-");
	extension(p, "SMTPUTF8", "-");
	extension(p, "CHUNKING", "-");
	extension(p, "DSN", "-");
	if (p->config.options & LMTP_OPT_TLS && !p->secure)
		extension(p, "STARTTLS", "-");
	if (p->config.options & LMTP_OPT_TRUSTED) {
		extension(p, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN", "-");
		extension(p, "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
		    "-");
	}
	extension(p, "ENHANCEDSTATUSCODES", " ");
}

static void
helo(struct lmtp *p, struct str arg)
{
	(void)arg;
	lmtp_error(p, 500, "5.5.1", "This is LMTP, say LHLO");
}

/* --- MAIL ------------------------------------------------------------------ */

/* "FROM:" or "TO:", then blanks that the standard does not have and many
 * clients send. */
static bool
take_word(struct str *arg, struct str word)
{
	if (!str_casestarts(*arg, word))
		return false;
	*arg = str_sub(*arg, word.n, arg->n);
	while (arg->n && arg->p[0] == ' ')
		*arg = str_sub(*arg, 1, arg->n);
	return true;
}

enum mail_param {
	MAIL_SIZE = 1,
	MAIL_BODY = 2,
	MAIL_UTF8 = 4,
	MAIL_RET = 8,
	MAIL_ENVID = 16,
};

/* One parameter of MAIL; false when it was refused and answered. */
static bool
mail_param(struct lmtp *p, const struct lmtp_param *param, unsigned *seen)
{
	enum mail_param which;

	if (str_caseeq(param->key, STR("SIZE"))) {
		which = MAIL_SIZE;
		if (num_u64(param->value, UINT64_MAX, &p->mail.size) < 0) {
			for (size_t i = 0; i < param->value.n; i++)
				if (!ascii_isdigit(param->value.p[i]))
					goto bad;
			if (param->value.n == 0 || param->value.n > 20)
				goto bad;
			p->mail.size = UINT64_MAX;
		}
	} else if (str_caseeq(param->key, STR("BODY"))) {
		which = MAIL_BODY;
		p->mail.eightbit = str_caseeq(param->value, STR("8BITMIME"));
		if (!p->mail.eightbit &&
		    !str_caseeq(param->value, STR("7BIT")))
			goto bad;
	} else if (str_caseeq(param->key, STR("SMTPUTF8"))) {
		which = MAIL_UTF8;
		if (param->has_value)
			goto bad;
		p->mail.smtputf8 = true;
	} else if (str_caseeq(param->key, STR("RET"))) {
		which = MAIL_RET;
		p->mail.ret = str_caseeq(param->value, STR("FULL")) ?
		    LMTP_RET_FULL : LMTP_RET_HDRS;
		if (p->mail.ret == LMTP_RET_HDRS &&
		    !str_caseeq(param->value, STR("HDRS")))
			goto bad;
	} else if (str_caseeq(param->key, STR("ENVID"))) {
		which = MAIL_ENVID;
		if (!param->has_value || *seen & MAIL_ENVID ||
		    lmtp_xtext_decode(param->value, &p->envid) < 0)
			goto bad;
		p->mail.envid = buf_str(&p->envid);
	} else {
		lmtp_error(p, 555, "5.5.4", "Parameter of MAIL not known");
		return false;
	}
	if (*seen & which)
		goto bad;
	*seen |= which;
	return true;
bad:
	usage(p, "Parameter of MAIL not valid");
	return false;
}

/* Does SMTPUTF8 stand among the parameters? It comes behind the path whose
 * meaning it changes. */
static enum lmtp_utf8
announced_utf8(struct str line)
{
	struct str word;

	while (str_split(&line, ' ', &word))
		if (str_caseeq(word, STR("SMTPUTF8")))
			return LMTP_UTF8;
	return LMTP_ASCII;
}

/* False when the path was refused and answered. */
static bool
path_ok(struct lmtp *p, enum lmtp_path_error error, const char *code,
    const char *syntax)
{
	switch (error) {
	case LMTP_PATH_OK:
		return true;
	case LMTP_PATH_SYNTAX:
		usage(p, syntax);
		return false;
	case LMTP_PATH_UTF8:
		lmtp_error(p, 553, "5.6.7", "Address needs SMTPUTF8");
		return false;
	case LMTP_PATH_BAD:
		break;
	}
	lmtp_error(p, 553, code, "Address is not valid");
	return false;
}

static void
mail(struct lmtp *p, struct str arg)
{
	enum lmtp_param_next more;
	struct lmtp_param param;
	unsigned seen = 0;

	if (!p->helo[0]) {
		sequence(p, "LHLO first");
		return;
	}
	if (p->in_mail) {
		sequence(p, "One MAIL at a time");
		return;
	}
	if (p->config.mail_max && p->mails >= p->config.mail_max) {
		lmtp_goodbye(p, "7.0", "Enough messages for one connection");
		return;
	}
	if (!take_word(&arg, STR("FROM:"))) {
		usage(p, "Syntax: MAIL FROM:<address>");
		return;
	}
	p->mail = (struct lmtp_mail){ .envid = STR("") };
	buf_reset(&p->sender);
	buf_reset(&p->envid);
	(void)buf_adds(&p->sender, arg); /* as long as a line: it fits */
	arg = buf_str(&p->sender);
	if (!path_ok(p, lmtp_path_parse(&arg, LMTP_PATH_SENDER,
	    announced_utf8(arg), &p->mail.path), "5.1.7",
	    "Syntax: MAIL FROM:<address>"))
		return;
	while ((more = lmtp_param_next(&arg, &param)) == LMTP_PARAM_FOUND)
		if (!mail_param(p, &param, &seen))
			return;
	if (more == LMTP_PARAM_BAD) {
		usage(p, "Parameter of MAIL not valid");
		return;
	}
	if (p->config.size_max && p->mail.size > p->config.size_max) {
		lmtp_reply(p, 552, "5.3.4", "Message is too big");
		return;
	}
	p->pending = LMTP_MAIL;
	p->wait = LMTP_W_MAIL;
}

/* --- RCPT ------------------------------------------------------------------ */

/* "NEVER" or a list of the others (RFC 3461 section 4.1). */
static bool
notify(struct str value, unsigned *notify_r)
{
	unsigned seen = 0, bit;
	struct str word;

	while (str_split(&value, ',', &word)) {
		bit = str_caseeq(word, STR("NEVER")) ? LMTP_NOTIFY_NEVER :
		    str_caseeq(word, STR("SUCCESS")) ? LMTP_NOTIFY_SUCCESS :
		    str_caseeq(word, STR("FAILURE")) ? LMTP_NOTIFY_FAILURE :
		    str_caseeq(word, STR("DELAY")) ? LMTP_NOTIFY_DELAY : 0;
		if (!bit || seen & bit)
			return false;
		seen |= bit;
	}
	*notify_r = seen;
	return seen == LMTP_NOTIFY_NEVER || !(seen & LMTP_NOTIFY_NEVER);
}

/* "type;address" (RFC 3461 section 4.2, RFC 6533 section 3). */
static bool
orcpt(struct lmtp *p, struct str value)
{
	ptrdiff_t semicolon = str_chr(value, ';');
	struct str type, rest;

	if (semicolon <= 0)
		return false;
	type = str_sub(value, 0, (size_t)semicolon);
	rest = str_sub(value, (size_t)semicolon + 1, value.n);
	if (rest.n == 0)
		return false;
	for (size_t i = 0; i < type.n; i++)
		if (!ascii_isalnum(type.p[i]) && type.p[i] != '-')
			return false;
	if ((str_caseeq(type, STR("utf-8")) ?
	    lmtp_unitext_decode(rest, &p->orcpt) :
	    lmtp_xtext_decode(rest, &p->orcpt)) < 0)
		return false;
	p->rcpt.orcpt_type = type;
	p->rcpt.orcpt = buf_str(&p->orcpt);
	return true;
}

static bool
rcpt_param(struct lmtp *p, const struct lmtp_param *param)
{
	if (str_caseeq(param->key, STR("NOTIFY"))) {
		if (param->has_value && !p->rcpt.notify &&
		    notify(param->value, &p->rcpt.notify))
			return true;
	} else if (str_caseeq(param->key, STR("ORCPT"))) {
		if (param->has_value && !p->rcpt.orcpt_type.n &&
		    orcpt(p, param->value))
			return true;
	} else {
		lmtp_error(p, 555, "5.5.4", "Parameter of RCPT not known");
		return false;
	}
	usage(p, "Parameter of RCPT not valid");
	return false;
}

static void
rcpt(struct lmtp *p, struct str arg)
{
	enum lmtp_param_next more;
	struct lmtp_param param;

	if (!p->in_mail) {
		sequence(p, "MAIL first");
		return;
	}
	if (p->begun || p->chunked) {
		sequence(p, "The message has begun");
		return;
	}
	if (!take_word(&arg, STR("TO:"))) {
		usage(p, "Syntax: RCPT TO:<address>");
		return;
	}
	p->rcpt = (struct lmtp_rcpt){ .orcpt_type = STR(""),
	    .orcpt = STR("") };
	buf_reset(&p->recipient);
	buf_reset(&p->orcpt);
	(void)buf_adds(&p->recipient, arg); /* as long as a line: it fits */
	arg = buf_str(&p->recipient);
	if (!path_ok(p, lmtp_path_parse(&arg, LMTP_PATH_RECIPIENT,
	    p->mail.smtputf8 ? LMTP_UTF8 : LMTP_ASCII, &p->rcpt.path),
	    "5.1.3", "Syntax: RCPT TO:<address>"))
		return;
	while ((more = lmtp_param_next(&arg, &param)) == LMTP_PARAM_FOUND)
		if (!rcpt_param(p, &param))
			return;
	if (more == LMTP_PARAM_BAD) {
		usage(p, "Parameter of RCPT not valid");
		return;
	}
	if (p->accepted >= p->config.rcpt_max) {
		/* RFC 5321 section 4.5.3.1.10: not the client's fault. */
		lmtp_reply(p, 452, "4.5.3", "Too many recipients, "
		    "please send the rest again");
		return;
	}
	p->pending = LMTP_RCPT;
	p->wait = LMTP_W_RCPT;
}

/* --- DATA, BDAT ------------------------------------------------------------ */

static void
data(struct lmtp *p, struct str arg)
{
	if (str_trim(arg).n) {
		usage(p, "Syntax: DATA");
	} else if (!p->in_mail) {
		sequence(p, "MAIL first");
	} else if (p->chunked) {
		sequence(p, "DATA does not go with BDAT");
	} else if (p->accepted == 0) {
		/* A client that pipelines cannot know: no mistake. */
		lmtp_reply(p, 503, "5.5.1", "No valid recipient");
	} else {
		p->pending = LMTP_BEGIN;
		p->wait = LMTP_W_DATA;
	}
}

static void
bdat(struct lmtp *p, struct str arg)
{
	struct str size, last = STR("");
	uint64_t octets;

	arg = str_trim(arg);
	(void)str_split(&arg, ' ', &size); /* one part at least */
	if (arg.p)
		last = str_trim(arg);
	if (num_u64(size, UINT64_MAX, &octets) < 0 ||
	    (last.n && !str_caseeq(last, STR("LAST")))) {
		/* Octets follow, and nobody knows how many: what came next
		 * would be read as commands. */
		lmtp_goodbye(p, "5.4", "Syntax: BDAT size [LAST]");
		return;
	}
	p->chunk_left = octets;
	p->last = last.n > 0;
	if (!p->in_mail || p->accepted == 0) {
		p->state = LMTP_S_SWALLOW;
		return;
	}
	p->chunked = true;
	if (p->begun || p->refused) {
		p->state = LMTP_S_BDAT;
		return;
	}
	p->pending = LMTP_BEGIN;
	p->wait = LMTP_W_BDAT;
}

/* --- XCLIENT, XFORWARD ----------------------------------------------------- */

struct attribute {
	const char *name;
	enum lmtp_peer_item item;
};

static const struct attribute xclient_names[] = {
	{ "NAME", LMTP_PEER_NAME }, { "ADDR", LMTP_PEER_ADDR },
	{ "PORT", LMTP_PEER_PORT }, { "PROTO", LMTP_PEER_PROTO },
	{ "HELO", LMTP_PEER_HELO }, { "LOGIN", LMTP_PEER_LOGIN },
	{ NULL, LMTP_PEER_ITEMS },
};

static const struct attribute xforward_names[] = {
	{ "NAME", LMTP_PEER_NAME }, { "ADDR", LMTP_PEER_ADDR },
	{ "PORT", LMTP_PEER_PORT }, { "PROTO", LMTP_PEER_PROTO },
	{ "HELO", LMTP_PEER_HELO }, { "IDENT", LMTP_PEER_IDENT },
	{ "SOURCE", LMTP_PEER_SOURCE }, { NULL, LMTP_PEER_ITEMS },
};

/* An IP address, with "IPV6:" before one of the new kind. */
static bool
is_address(const char *z)
{
	struct in6_addr any;

	if (strncasecmp(z, "IPV6:", 5) == 0)
		return inet_pton(AF_INET6, z + 5, &any) == 1;
	return inet_pton(AF_INET, z, &any) == 1;
}

static bool
is_plausible(enum lmtp_peer_item item, const char *z)
{
	uint64_t port;

	switch (item) {
	case LMTP_PEER_ADDR:
		return is_address(z);
	case LMTP_PEER_PORT:
		return num_u64(str_of(z), 65535, &port) == 0;
	case LMTP_PEER_SOURCE:
		return strcasecmp(z, "LOCAL") == 0 ||
		    strcasecmp(z, "REMOTE") == 0;
	default:
		for (; *z; z++)
			if (ascii_iscntrl(*z))
				return false;
		return true;
	}
}

/* Puts one NAME=VALUE into its place of `peer`. */
static bool
attribute(const struct attribute *names, const struct lmtp_param *param,
    char peer[][LMTP_NAME_MAX + 1])
{
	struct buf value;
	bool good = false;

	while (names->name && !str_caseeq(param->key, str_of(names->name)))
		names++;
	if (!names->name || !param->has_value)
		return false;
	if (str_caseeq(param->value, STR("[UNAVAILABLE]")) ||
	    str_caseeq(param->value, STR("[TEMPUNAVAIL]"))) {
		peer[names->item][0] = '\0';
		return true;
	}
	buf_init(&value, LMTP_NAME_MAX);
	if (lmtp_xtext_decode(param->value, &value) == 0 &&
	    is_plausible(names->item, value.p)) {
		keep(peer[names->item], buf_str(&value));
		good = true;
	}
	buf_release(&value);
	return good;
}

/* All or nothing; false when it was refused and answered. */
static bool
attributes(struct lmtp *p, const struct attribute *names, struct str arg)
{
	char peer[LMTP_PEER_ITEMS][LMTP_NAME_MAX + 1];
	enum lmtp_param_next more;
	struct lmtp_param param;
	size_t count = 0;

	if (!(p->config.options & LMTP_OPT_TRUSTED)) {
		lmtp_error(p, 550, "5.7.1", "Not from you");
		return false;
	}
	if (p->in_mail) {
		sequence(p, "Not within a transaction");
		return false;
	}
	memcpy(peer, p->peer, sizeof(peer));
	while ((more = lmtp_param_next(&arg, &param)) == LMTP_PARAM_FOUND) {
		if (!attribute(names, &param, peer)) {
			usage(p, "Attribute not valid");
			return false;
		}
		count++;
	}
	if (more == LMTP_PARAM_BAD || count == 0) {
		usage(p, "Attribute not valid");
		return false;
	}
	memcpy(p->peer, peer, sizeof(peer));
	p->pending = LMTP_PEER;
	return true;
}

static void
xclient(struct lmtp *p, struct str arg)
{
	if (!attributes(p, xclient_names, arg))
		return;
	/* As if the client had just connected. */
	p->helo[0] = '\0';
	lmtp_greet(p);
}

static void
xforward(struct lmtp *p, struct str arg)
{
	if (attributes(p, xforward_names, arg))
		lmtp_reply(p, 250, "2.0.0", "OK");
}

/* --- the rest -------------------------------------------------------------- */

static void
starttls(struct lmtp *p, struct str arg)
{
	if (str_trim(arg).n) {
		usage(p, "Syntax: STARTTLS");
	} else if (!(p->config.options & LMTP_OPT_TLS)) {
		lmtp_error(p, 502, "5.5.1", "No TLS here");
	} else if (p->secure) {
		sequence(p, "TLS is on");
	} else if (p->in_mail) {
		sequence(p, "Not within a transaction");
	} else {
		lmtp_reply(p, 220, "2.0.0", "Begin TLS");
		p->pending = LMTP_STARTTLS;
	}
}

static void
rset(struct lmtp *p, struct str arg)
{
	if (str_trim(arg).n) {
		usage(p, "Syntax: RSET");
		return;
	}
	lmtp_drop(p);
	lmtp_reply(p, 250, "2.0.0", "OK");
}

static void
noop(struct lmtp *p, struct str arg)
{
	(void)arg;
	lmtp_reply(p, 250, "2.0.0", "OK");
}

static void
vrfy(struct lmtp *p, struct str arg)
{
	if (str_trim(arg).n == 0)
		usage(p, "Syntax: VRFY address");
	else
		lmtp_reply(p, 252, "2.5.2", "Send it and see");
}

static void
help(struct lmtp *p, struct str arg)
{
	(void)arg;
	lmtp_reply(p, 214, "2.0.0", "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY "
	    "QUIT, see RFC 2033");
}

static void
quit(struct lmtp *p, struct str arg)
{
	if (str_trim(arg).n) {
		usage(p, "Syntax: QUIT");
		return;
	}
	lmtp_drop(p);
	lmtp_reply(p, 221, "2.0.0", "Bye");
	p->state = LMTP_S_CLOSED;
}

static void
not_here(struct lmtp *p, struct str arg)
{
	(void)arg;
	lmtp_error(p, 502, "5.5.1", "Command not implemented");
}

static const struct {
	const char *verb;
	void (*run)(struct lmtp *p, struct str arg);
} verbs[] = {
	{ "RCPT", rcpt }, { "MAIL", mail }, { "DATA", data }, { "BDAT", bdat },
	{ "LHLO", lhlo }, { "RSET", rset }, { "NOOP", noop }, { "QUIT", quit },
	{ "XFORWARD", xforward }, { "XCLIENT", xclient },
	{ "STARTTLS", starttls }, { "VRFY", vrfy }, { "HELP", help },
	{ "HELO", helo }, { "EHLO", helo }, { "EXPN", not_here },
	{ "AUTH", not_here }, { "ETRN", not_here }, { "TURN", not_here },
	{ "SEND", not_here }, { "SOML", not_here }, { "SAML", not_here },
};

void
lmtp_command(struct lmtp *p, struct str line)
{
	struct str verb = line;
	ptrdiff_t blank = str_chr(line, ' ');

	if (blank >= 0)
		verb = str_sub(line, 0, (size_t)blank);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!str_caseeq(verb, str_of(verbs[i].verb)))
			continue;
		line = str_sub(line, verb.n, line.n);
		/* XCLIENT and its like want the blank before each word. */
		if (line.n && verbs[i].run != xclient &&
		    verbs[i].run != xforward)
			line = str_sub(line, 1, line.n);
		verbs[i].run(p, line);
		return;
	}
	lmtp_error(p, 500, "5.5.1", "Command not known");
}
