/* enclose (RFC 5703 section 6): the message as an attachment of a new one. */
#include <stdio.h>

#include "filters/message/date.h"
#include "filters/message/utf8.h"
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/rewrite.h"

/* The old tree hangs below: multipart, text, message/rfc822. */
#define PARTS_ABOVE 3

#define BOUNDARY_MAX 64

static bool
named(const struct str *names, uint32_t n_names, struct str name)
{
	for (uint32_t i = 0; i < n_names; i++)
		if (str_caseeq(names[i], name))
			return true;
	return false;
}

static int
check(struct check *c, struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_HEADERS, &count);
	int r = 0;

	/* Whoever writes a whole field here would miss it in the mail. */
	for (; count; count--, i = i->next)
		if (check_no_field_name(c, i))
			r = check_error_arg(c, i, "\"%.*s\" is no name of a "
			    "header field; :headers names the fields that are "
			    "copied from the message", CHECK_NAME(i->text));
	return r;
}

/* A name from a variable that can be none is passed over. */
static void
warn_of_names(struct run *r, const struct node *n, const struct str *names,
    uint32_t n_names)
{
	for (uint32_t i = 0; i < n_names; i++)
		if (!header_name_valid(names[i]))
			(void)run_warn(r, n, "enclose: \"%s\" is no name of a "
			    "header field", run_show(names[i]));
}

/* Those that are wanted of the old header, as they are, into r->scratch. */
static void
copy_fields(struct run *r, const struct str *names, uint32_t n_names,
    bool subject)
{
	struct header *h = &r->message.header;

	buf_reset(&r->scratch);
	for (struct field *f = header_first(h); f; f = field_after(f))
		if (named(names, n_names, f->name) &&
		    !rewrite_structural(f->name) &&
		    !(subject && str_caseeq(f->name, STR("Subject"))))
			(void)buf_adds(&r->scratch, f->raw);
	(void)buf_addc(&r->scratch, '\n');
}

static bool
add(struct header *h, const char *name, struct str text)
{
	return header_add(h, HEADER_BOTTOM, str_of(name), text);
}

static bool
add_date(struct run *r, struct header *h)
{
	struct date d;
	struct buf b;
	bool done;

	buf_init(&b, 64);
	date_of_unix(r->job->now, r->job->zone, &d);
	done = date_add_rfc5322(&d, &b) == 0 && add(h, "Date", buf_str(&b));
	buf_release(&b);
	return done;
}

/* The header of the new message, with its empty line. */
static int
new_header(struct run *r, const struct node *n, const char *boundary,
    bool ascii, struct str *header_r)
{
	const struct str *names = NULL;
	uint32_t n_names = 0;
	struct header h;
	struct str subject;
	char type[BOUNDARY_MAX + 40];

	if (run_string_opt(r, n, SLOT_SUBJECT, &subject) ||
	    (node_has(n, SLOT_HEADERS) &&
	    run_list(r, n, SLOT_HEADERS, &names, &n_names)))
		return -1;
	warn_of_names(r, n, names, n_names);
	copy_fields(r, names, n_names, subject.p);
	(void)header_init(&h, &r->arena, run_copy(r, buf_str(&r->scratch)));
	(void)snprintf(type, sizeof(type), "multipart/mixed; boundary=\"%s\"",
	    boundary);
	if ((!header_find(&h, STR("Date")) && !add_date(r, &h)) ||
	    (!header_find(&h, STR("From")) &&
	    !add(&h, "From", r->job->user)) ||
	    (subject.p && !add(&h, "Subject", subject)) ||
	    !add(&h, "MIME-Version", STR("1.0")) ||
	    !add(&h, "Content-Type", str_of(type)) ||
	    (!ascii && !add(&h, "Content-Transfer-Encoding", STR("8bit"))))
		return run_error(r, n, "the header of the enclosing message "
		    "is too long");
	buf_reset(&r->scratch);
	if (header_write(&h, &r->scratch))
		return run_no_memory(r, n);
	*header_r = run_copy(r, buf_str(&r->scratch));
	return header_r->p ? 0 : run_no_memory(r, n);
}

/* All from the first boundary to the end of the old header. */
static int
front(struct run *r, const struct node *n, const char *boundary, bool ascii,
    struct str text, struct str *front_r)
{
	struct buf *b = &r->scratch;

	buf_reset(b);
	(void)buf_addf(b, "--%s\n", boundary);
	if (rewrite_text_fields(r, n, text, b))
		return -1;
	(void)buf_adds(b, text);
	if (!str_ends(text, STR("\n")))
		(void)buf_addc(b, '\n');
	(void)buf_addf(b, "--%s\nContent-Type: message/rfc822\n"
	    "Content-Disposition: attachment\n%s\n", boundary,
	    ascii ? "" : "Content-Transfer-Encoding: 8bit\n");
	if (header_write(&r->message.header, b))
		return run_no_memory(r, n);
	if (!r->message.header.blank.n && !r->message.header.edited)
		(void)buf_addc(b, '\n');
	*front_r = run_copy(r, buf_str(b));
	return front_r->p && !b->full ? 0 : run_no_memory(r, n);
}

/* What redirect, vacation, notify and duplicate go on to look at. */
static int
remember_first(struct run *r, const struct node *n)
{
	struct header *h;
	struct str bytes;

	if (r->first_header)
		return 0;
	if (plan_edition(r, n, &r->first_edition))
		return -1;
	buf_reset(&r->scratch);
	if (header_write(&r->message.header, &r->scratch))
		return run_no_memory(r, n);
	bytes = run_copy(r, buf_str(&r->scratch));
	h = run_alloc(r, n, sizeof(*h));
	if (!bytes.p || !h)
		return run_no_memory(r, n);
	(void)header_init(h, &r->arena, bytes);
	r->first_header = h;
	return 0;
}

static int
command(struct run *r, const struct node *n)
{
	bool ascii = utf8_is_ascii(r->message.bytes);
	size_t size = r->message.body.n;
	char boundary[BOUNDARY_MAX], end[BOUNDARY_MAX + 8];
	struct str text, header, begin;
	struct engine_body b;
	unsigned count = 0;

	if (run_string(r, n, SLOT_STRING, &text))
		return -1;
	/* One that stands nowhere in the message and in the text. The time
	 * keeps a sender from writing so many of them that work runs out. */
	do {
		(void)snprintf(boundary, sizeof(boundary), "enclosed-%llx-%x",
		    (unsigned long long)r->job->now, ++count);
		if (run_work(r, n, r->message.bytes.n + text.n))
			return -1;
	} while (str_find(r->message.bytes, str_of(boundary)) >= 0 ||
	    str_find(text, str_of(boundary)) >= 0);
	(void)snprintf(end, sizeof(end), "\n--%s--\n", boundary);
	run_trace(r, n, "enclose");
	if (rewrite_begin(r, n, &b) || remember_first(r, n) ||
	    front(r, n, boundary, ascii, text, &begin) ||
	    new_header(r, n, boundary, ascii && utf8_is_ascii(text),
	    &header) ||
	    rewrite_add_text(r, n, &b, begin) ||
	    rewrite_add_old(r, n, &b, 0, size) ||
	    rewrite_add_text(r, n, &b, run_copy(r, str_of(end))))
		return -1;
	return rewrite_commit(r, n, header, &b, PARTS_ABOVE);
}

static const struct sieve_spec specs[] = {
	{ .name = "enclose",
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .check = check, .command = command },
};

static const struct sieve_tag tags[] = {
	{ .name = "subject", .on = ON_OWN, .spec = "enclose",
	    .slot = SLOT_SUBJECT, .value = VALUE_STRING },
	{ .name = "headers", .on = ON_OWN, .spec = "enclose",
	    .slot = SLOT_HEADERS, .value = VALUE_LIST },
};

const struct sieve_ext ext_enclose = {
	.name = "enclose",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
