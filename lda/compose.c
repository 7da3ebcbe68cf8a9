#include "lda/compose.h"

#include <string.h>

#include "filters/message/address.h"
#include "filters/message/header.h"
#include "lda/letter.h"
#include "store/base/arena.h"

/* The header of an entity that a script gave. */
#define ENTITY_ARENA (1024 * 1024)
/* The addresses of one :from, at most 64 KB of them. */
#define FROM_ARENA (256 * 1024)
/* A quota warning's text with everything put in. */
#define TEMPLATE_MAX 65536
/* Lines of errors shown to a user. */
#define NOTICE_MAX 16384

static int
done(const struct buf *out)
{
	return out->full ? -1 : 0;
}

/* --- vacation ------------------------------------------------------------------- */

/* Raw bytes of a field that the script's owner wrote: LF line ends, no other
 * control character; a line stays a line of this field because header_init()
 * took it for one. */
static void
add_raw(struct buf *out, struct str raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '\r' && i + 1 < raw.n && raw.p[i + 1] == '\n')
			continue;
		buf_addc(out, c != '\n' && c != '\t' && ascii_iscntrl(c) ? ' ' : c);
	}
	if (raw.n && raw.p[raw.n - 1] != '\n')
		buf_addc(out, '\n');
}

static void
add_body(struct buf *out, struct str body)
{
	for (size_t i = 0; i < body.n; i++)
		if (body.p[i] != '\r' || i + 1 == body.n ||
		    body.p[i + 1] != '\n')
			buf_addc(out, body.p[i]);
	if (body.n && body.p[body.n - 1] != '\n')
		buf_addc(out, '\n');
}

static bool
is_identity(struct str encoding)
{
	return str_caseeq(encoding, STR("7bit")) ||
	    str_caseeq(encoding, STR("8bit")) ||
	    str_caseeq(encoding, STR("binary"));
}

/*
 * RFC 5230 section 4.3 :mime: the fields of the entity that describe it
 * (Content-...) and its body; whatever else it says of itself, such as To or
 * From, is ours to say. Where its encoding cannot be true it gets another.
 */
static void
add_entity(struct buf *out, struct str entity)
{
	struct field *encoding, *type;
	struct arena arena;
	struct header h;
	struct str body;
	unsigned shape;
	bool recode, described = false;

	arena_init(&arena, ENTITY_ARENA);
	body = header_init(&h, &arena, entity);
	encoding = header_find(&h, STR("Content-Transfer-Encoding"));
	type = header_find(&h, STR("Content-Type"));
	shape = letter_shape(body);
	for (struct field *f = header_first(&h); f; f = field_after(f))
		described |= str_casestarts(f->name, STR("Content-"));
	if (!described) {
		/* No entity, or one that says nothing (RFC 2045 section 5.2);
		 * a text that looks like a field is text. */
		letter_text(out, body.n ? body : entity);
		arena_release(&arena);
		return;
	}
	recode = (shape & LETTER_LONG) &&
	    (!encoding || is_identity(field_value(&h, encoding))) &&
	    (!type || !str_casestarts(field_value(&h, type), STR("multipart/")));
	for (struct field *f = header_first(&h); f; f = field_after(f)) {
		if (!str_casestarts(f->name, STR("Content-")) ||
		    (recode && str_caseeq(f->name,
		    STR("Content-Transfer-Encoding"))))
			continue;
		add_raw(out, f->raw);
	}
	if (!type)
		buf_addz(out, "Content-Type: text/plain; charset=utf-8\n");
	if (recode)
		buf_addz(out, "Content-Transfer-Encoding: quoted-printable\n");
	else if (!encoding && (shape & LETTER_8BIT))
		buf_addz(out, "Content-Transfer-Encoding: 8bit\n");
	buf_addc(out, '\n');
	if (recode) {
		struct buf plain;

		buf_init(&plain, body.n + 1);
		add_body(&plain, body);
		letter_quoted_printable(out, buf_str(&plain));
		buf_release(&plain);
	} else {
		add_body(out, body);
	}
	arena_release(&arena);
}

/* :from may be several (RFC 5230 section 4.3); then one must be the sender
 * (RFC 5322 section 3.6.2). */
static void
add_from(const struct compose *c, struct str from, struct buf *out)
{
	struct address_list list;
	struct arena arena;
	struct str *raw;
	size_t start = out->n;

	arena_init(&arena, FROM_ARENA);
	address_list(&arena, from, &list);
	raw = list.n > 1 ? arena_array(&arena, list.n, sizeof(*raw)) : NULL;
	for (size_t i = 0; raw && i < list.n; i++)
		raw[i] = list.list[i].raw;
	if (raw)
		letter_addresses(out, "From", raw, list.n);
	if (out->n > start)
		letter_address(out, "Sender", c->user, STR(""));
	else
		letter_address(out, "From", from, c->user);
	arena_release(&arena);
}

int
compose_vacation(const struct compose *c, const struct engine_action *a,
    struct buf *out)
{
	letter_id(out, c->now, c->hostname);
	letter_date(out, c->now);
	add_from(c, a->from, out);
	letter_address(out, "To", a->address, STR(""));
	letter_field(out, "Subject", a->subject);
	letter_ids(out, "In-Reply-To", a->in_reply_to);
	letter_ids(out, "References", a->references);
	/* RFC 3834 section 3.1.7; the other is for Exchange, which asks for
	 * it and does not look at the first in all versions. */
	buf_addz(out, "Auto-Submitted: auto-replied\n"
	    "X-Auto-Response-Suppress: All\n"
	    "MIME-Version: 1.0\n");
	if (a->flags & ENGINE_F_MIME)
		add_entity(out, a->reason);
	else
		letter_text(out, a->reason);
	return done(out);
}

/* --- reject ---------------------------------------------------------------------- */

/* An address in message/disposition-notification: one line, with its type. */
static void
add_report_line(struct buf *out, const char *name, struct str value)
{
	static const struct str typed = { "rfc822;", 7 };

	buf_addz(out, name);
	buf_addz(out, ": ");
	/* RFC 6533 section 4 for an address that is not ASCII */
	if (letter_shape(value) & LETTER_8BIT)
		buf_addz(out, "utf-8; ");
	else if (!str_casestarts(value, typed))
		buf_addz(out, "rfc822; ");
	value = str_sub(value, 0, LETTER_LINE_MAX - 100);
	for (size_t i = 0; i < value.n; i++)
		buf_addc(out, ascii_iscntrl(value.p[i]) ? ' ' : value.p[i]);
	buf_addc(out, '\n');
}

/* The original's header: whole lines, none too long, no NUL. */
static void
add_original(struct buf *out, struct str header)
{
	struct str rest = header, line;
	size_t start = out->n;

	while (str_split(&rest, '\n', &line)) {
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0 ||
		    out->n - start + line.n > COMPOSE_ORIGINAL_MAX)
			break;
		line = str_sub(line, 0, LETTER_LINE_MAX);
		for (size_t i = 0; i < line.n; i++)
			buf_addc(out, line.p[i] != '\t' &&
			    ascii_iscntrl(line.p[i]) ? ' ' : line.p[i]);
		buf_addc(out, '\n');
	}
}

/* RFC 8098 section 3. */
static void
add_disposition(struct buf *out, const struct compose *c,
    const struct compose_refused *r)
{
	buf_addz(out, "Content-Type: message/disposition-notification\n\n");
	buf_addz(out, "Reporting-UA: ");
	for (size_t i = 0; i < c->hostname.n; i++)
		if (ascii_isalnum(c->hostname.p[i]) ||
		    memchr(".-", c->hostname.p[i], 2))
			buf_addc(out, c->hostname.p[i]);
	buf_addz(out, "; vbox-lda\n");
	if (r->original.n)
		add_report_line(out, "Original-Recipient", r->original);
	add_report_line(out, "Final-Recipient", r->recipient);
	letter_ids(out, "Original-Message-ID", r->message_id);
	buf_addz(out, "Disposition: "
	    "automatic-action/MDN-sent-automatically; deleted\n");
}

int
compose_reject(const struct compose *c, const struct compose_refused *r,
    struct buf *out)
{
	const struct str texts[] = { r->reason, r->header, r->recipient,
	    r->original };
	unsigned eight_bit = 0;
	char boundary[LETTER_BOUNDARY];
	struct buf subject, text;

	letter_boundary(boundary, texts, sizeof(texts) / sizeof(*texts));
	buf_init(&subject, COMPOSE_MAX);
	buf_addz(&subject, "Rejected: ");
	buf_adds(&subject, r->subject.n ? r->subject : STR("your message"));
	buf_init(&text, COMPOSE_MAX);
	buf_addz(&text, "Your message was automatically rejected by its "
	    "recipient, ");
	buf_adds(&text, r->recipient);
	buf_addz(&text, ".\n\nThe following reason was given:\n\n");
	buf_adds(&text, r->reason);

	letter_id(out, c->now, c->hostname);
	letter_date(out, c->now);
	letter_address(out, "From", r->recipient, c->user);
	letter_address(out, "To", r->to, STR(""));
	letter_field(out, "Subject", buf_str(&subject));
	letter_ids(out, "In-Reply-To", r->message_id);
	letter_ids(out, "References", r->message_id);
	buf_addz(out, "Auto-Submitted: auto-replied (rejected)\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/report;\n"
	    " report-type=disposition-notification;\n");
	buf_addf(out, " boundary=\"%s\"\n", boundary);
	/* What a part has, the whole has to say (RFC 2045 section 6.4). */
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		eight_bit |= letter_shape(texts[i]) & LETTER_8BIT;
	if (eight_bit)
		buf_addz(out, "Content-Transfer-Encoding: 8bit\n");
	buf_addc(out, '\n');
	buf_addf(out, "--%s\n", boundary);
	letter_text(out, buf_str(&text));
	buf_addf(out, "\n--%s\n", boundary);
	add_disposition(out, c, r);
	buf_addf(out, "\n--%s\n", boundary);
	buf_addz(out, "Content-Type: text/rfc822-headers\n");
	if (letter_shape(r->header) & LETTER_8BIT)
		buf_addz(out, "Content-Transfer-Encoding: 8bit\n");
	buf_addc(out, '\n');
	add_original(out, r->header);
	buf_addf(out, "\n--%s--\n", boundary);
	if (subject.full || text.full)
		out->full = true;
	buf_release(&subject);
	buf_release(&text);
	return done(out);
}

/* --- notify ----------------------------------------------------------------------- */

/* What a mailto URI may not say (RFC 5436 section 2.7), or we say. */
static bool
ours_to_say(struct str name)
{
	static const struct str names[] = {
		{ "From", 4 }, { "Sender", 6 }, { "To", 2 }, { "Cc", 2 },
		{ "Bcc", 3 }, { "Date", 4 }, { "Message-ID", 10 },
		{ "Subject", 7 }, { "Received", 8 }, { "Return-Path", 11 },
		{ "Delivered-To", 12 }, { "Auto-Submitted", 14 },
		{ "MIME-Version", 12 }, { "Importance", 10 },
		{ "X-Priority", 10 },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (str_caseeq(name, names[i]))
			return true;
	return str_casestarts(name, STR("Content-")) ||
	    str_casestarts(name, STR("Resent-"));
}

static void
add_uri_fields(struct buf *out, struct str headers)
{
	struct str rest = headers, line;

	while (str_split(&rest, '\n', &line)) {
		ptrdiff_t colon = str_chr(line, ':');
		struct str name;

		if (colon <= 0)
			continue;
		name = str_sub(line, 0, (size_t)colon);
		if (!ours_to_say(name))
			letter_field_named(out, name, str_trim(str_sub(line,
			    (size_t)colon + 1, line.n)));
	}
}

/* RFC 5436 section 2.7.1: who to ask when it goes on and on. */
static void
add_owner(struct buf *out, struct str user)
{
	buf_addz(out, "Auto-Submitted: auto-notified;\n owner-email=\"");
	for (size_t i = 0; i < user.n; i++) {
		char ch = user.p[i];

		if (ch == '"' || ch == '\\')
			buf_addc(out, '\\');
		if (!ascii_iscntrl(ch))
			buf_addc(out, ch);
	}
	buf_addz(out, "\"\n");
}

int
compose_notify(const struct compose *c, const struct engine_action *a,
    struct buf *out)
{
	letter_id(out, c->now, c->hostname);
	letter_date(out, c->now);
	letter_address(out, "From", a->from, c->user);
	letter_addresses(out, "To", a->to, a->n_to - a->n_cc);
	letter_addresses(out, "Cc", a->to + a->n_to - a->n_cc, a->n_cc);
	letter_field(out, "Subject", a->subject);
	add_owner(out, c->user);
	if (a->importance == 1)
		buf_addz(out, "Importance: high\nX-Priority: 1 (Highest)\n");
	else if (a->importance == 3)
		buf_addz(out, "Importance: low\nX-Priority: 5 (Lowest)\n");
	else
		buf_addz(out, "Importance: normal\nX-Priority: 3 (Normal)\n");
	add_uri_fields(out, a->headers);
	buf_addz(out, "MIME-Version: 1.0\n");
	letter_text(out, a->reason);
	return done(out);
}

/* --- notices ------------------------------------------------------------------------ */

static void
begin_notice(const struct compose *c, struct buf *out)
{
	letter_id(out, c->now, c->hostname);
	letter_date(out, c->now);
}

int
compose_script_notice(const struct compose *c,
    const struct engine_errors *errors, struct buf *out)
{
	struct buf text;

	buf_init(&text, NOTICE_MAX);
	buf_addz(&text, "There is an error in the filter script (Sieve) of your "
	    "mailbox.\nUntil it is repaired, mail that the script cannot "
	    "handle stays in\nyour inbox; nothing is lost. This notice comes "
	    "at most once a day.\n\n");
	for (size_t i = 0; i < errors->n; i++) {
		const struct engine_error *e = &errors->list[i];

		if (e->warning)
			continue;
		buf_adds(&text, e->script);
		if (e->line)
			buf_addf(&text, ", line %u", e->line);
		if (e->line && e->column)
			buf_addf(&text, ", column %u", e->column);
		buf_addz(&text, e->script.n || e->line ? ": " : "");
		buf_adds(&text, e->text);
		buf_addc(&text, '\n');
	}
	begin_notice(c, out);
	letter_address(out, "From", c->postmaster, c->user);
	letter_address(out, "To", c->user, STR(""));
	letter_field(out, "Subject", STR("Your mail filter has an error"));
	buf_addz(out, "Auto-Submitted: auto-generated\nMIME-Version: 1.0\n");
	/* A text that was cut tells enough. */
	letter_text(out, buf_str(&text));
	buf_release(&text);
	return done(out);
}

static void
expand(struct buf *out, struct str text, const struct compose *c,
    const struct compose_quota *q)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '%' || i + 1 == text.n) {
			buf_addc(out, text.p[i]);
			continue;
		}
		switch (text.p[++i]) {
		case 'u':
			buf_adds(out, c->user);
			break;
		case 'p':
			buf_addf(out, "%u", q->percent);
			break;
		case 's':
			buf_adds(out, q->used);
			break;
		case 'l':
			buf_adds(out, q->limit);
			break;
		case '%':
			buf_addc(out, '%');
			break;
		default:	/* no letter of ours: stays as it is */
			buf_addc(out, '%');
			buf_addc(out, text.p[i]);
		}
	}
}

static const char quota_template[] =
    "Subject: Your mailbox is %p%% full\n"
    "\n"
    "Your mailbox %u holds %s of %l (%p%%).\n"
    "\n"
    "When it is full, mail to you cannot be delivered. Please delete what\n"
    "you do not need any more, and empty the trash.\n";

/* The template's fields, those that are ours to say left out. Returns what is
 * behind the empty line. */
static struct str
add_template_fields(struct buf *out, const struct compose *c,
    const struct compose_quota *q, struct str template)
{
	static const struct str content = { "Content-", 8 };
	struct field *from, *to;
	struct arena arena;
	struct header h;
	struct str body;
	struct buf value;

	arena_init(&arena, ENTITY_ARENA);
	buf_init(&value, TEMPLATE_MAX);
	body = header_init(&h, &arena, template);
	from = header_find(&h, STR("From"));
	to = header_find(&h, STR("To"));
	if (!header_first(&h) || header_first(&h)->name.n == 0)
		body = template;	/* no header: all of it is text */
	if (from)
		expand(&value, field_value(&h, from), c, q);
	letter_address(out, "From", buf_str(&value), c->postmaster);
	buf_reset(&value);
	if (to)
		expand(&value, field_value(&h, to), c, q);
	letter_address(out, "To", buf_str(&value), c->user);
	if (!header_find(&h, STR("Subject")))
		letter_field(out, "Subject", STR("Your mailbox is nearly full"));
	for (struct field *f = header_first(&h); f; f = field_after(f)) {
		if (f->name.n == 0 || str_casestarts(f->name, content) ||
		    str_caseeq(f->name, STR("From")) ||
		    str_caseeq(f->name, STR("To")) ||
		    str_caseeq(f->name, STR("Date")) ||
		    str_caseeq(f->name, STR("Message-ID")) ||
		    str_caseeq(f->name, STR("MIME-Version")) ||
		    str_caseeq(f->name, STR("Auto-Submitted")))
			continue;
		buf_reset(&value);
		expand(&value, field_value(&h, f), c, q);
		letter_field_named(out, f->name, buf_str(&value));
	}
	buf_release(&value);
	arena_release(&arena);
	return body;
}

int
compose_quota(const struct compose *c, const struct compose_quota *q,
    struct buf *out)
{
	struct str template = q->template.n ? q->template :
	    str_of(quota_template), body;
	struct buf text;

	begin_notice(c, out);
	body = add_template_fields(out, c, q, template);
	buf_addz(out, "Auto-Submitted: auto-generated\nMIME-Version: 1.0\n");
	buf_init(&text, TEMPLATE_MAX);
	expand(&text, body, c, q);
	letter_text(out, buf_str(&text));
	if (text.full)
		out->full = true;
	buf_release(&text);
	return done(out);
}

bool
compose_needs_utf8(struct str message)
{
	ptrdiff_t end = str_find(message, STR("\n\n"));
	size_t n = end < 0 ? message.n : (size_t)end;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)message.p[i] >= 0x80)
			return true;
	return false;
}
