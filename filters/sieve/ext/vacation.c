/* vacation (RFC 5230) and vacation-seconds (RFC 6131). Whether the message
 * may be answered at all is decided here, from its header and envelope;
 * whether it was answered already, by who carries the action out. */
#include "filters/message/encoded.h"
#include "filters/message/utf8.h"
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/fcc.h"
#include "filters/sieve/ext/hash.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/rewrite.h"
#include "filters/sieve/values.h"

/* Section 4.3: :from is one address, or several. */
static int
from_parse(struct arena *a, struct str text, const char **why_r)
{
	struct address_list list;
	struct address one;

	if (address_parse(a, text, ADDRESS_NAMED, &one, why_r) == 0)
		return 0;
	address_list(a, text, &list);
	for (size_t i = 0; i < list.n; i++)
		if (list.n == 1 || address_parse(a, list.list[i].raw,
		    ADDRESS_NAMED, &one, why_r))
			return -1;
	return list.n ? 0 : -1;
}

/* Section 5: the header of a MIME entity is ASCII. */
static bool
header_ok(struct str entity)
{
	struct str rest = entity, line;

	while (str_split(&rest, '\n', &line)) {
		if (line.n == 0 || str_eq(line, STR("\r")))
			break;
		if (!utf8_is_ascii(line))
			return false;
	}
	return true;
}

static int
check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_FROM];
	const char *why;

	if (check_has(n, SLOT_DAYS) && check_has(n, SLOT_SECONDS))
		return check_error(c, n, ":days stands with :seconds");
	if (a && check_constant(c, a) && from_parse(&c->arena, a->text, &why))
		return check_error_arg(c, a, ":from: %s", why);
	a = n->value[SLOT_STRING];
	if (check_has(n, SLOT_MIME_REASON) && check_constant(c, a) &&
	    !header_ok(a->text))
		return check_error_arg(c, a, ":mime: in the header everything "
		    "must be ASCII");
	if (a->text.n > LIMIT_REASON_SIZE)
		return check_error_arg(c, a, "the reason is longer than %d "
		    "bytes", LIMIT_REASON_SIZE);
	return fcc_check(c, n);
}

/* --- who must never be answered: RFC 5230 section 4.6, RFC 3834 --- */

/* Postmaster is not on their list, but some servers write their bounces under
 * that name, and the loop would be with a robot. */
static bool
robot(struct str local)
{
	return str_caseeq(local, STR("MAILER-DAEMON")) ||
	    str_caseeq(local, STR("LISTSERV")) ||
	    str_caseeq(local, STR("majordomo")) ||
	    str_caseeq(local, STR("noreply")) ||
	    str_caseeq(local, STR("no-reply")) ||
	    str_caseeq(local, STR("postmaster")) ||
	    str_casestarts(local, STR("owner-")) ||
	    (local.n >= 8 && str_caseeq(str_sub(local, local.n - 8, 8),
	    STR("-request"))) ||
	    (local.n >= 6 && str_caseeq(str_sub(local, local.n - 6, 6),
	    STR("-owner")));
}

static struct str
first_value(struct run *r, const char *name)
{
	struct header *h = rewrite_first_header(r);
	struct field *f = header_find(h, str_of(name));

	return f ? field_value(h, f) : (struct str){ 0 };
}

/* The word in front of parameters and comments. */
static struct str
keyword(struct str s)
{
	size_t i = 0;

	s = str_trim(s);
	while (i < s.n && s.p[i] != ';' && s.p[i] != '(' &&
	    !ascii_isblank(s.p[i]))
		i++;
	return str_sub(s, 0, i);
}

static const char *
from_robot(struct run *r)
{
	static const char *const list_fields[] = { "List-Id", "List-Help",
	    "List-Subscribe", "List-Unsubscribe", "List-Post", "List-Owner",
	    "List-Archive" };
	struct header *h = rewrite_first_header(r);
	struct str s;

	for (unsigned i = 0; i < COUNT_OF(list_fields); i++)
		if (header_find(h, str_of(list_fields[i])))
			return "it came through a mailing list";
	for (struct field *f = header_find(h, STR("Auto-Submitted")); f;
	    f = field_next(f))
		if (!str_caseeq(keyword(field_value(h, f)), STR("no")))
			return "it was sent automatically";
	for (struct field *f = header_find(h, STR("Precedence")); f;
	    f = field_next(f)) {
		s = keyword(field_value(h, f));
		if (str_caseeq(s, STR("bulk")) || str_caseeq(s, STR("list")) ||
		    str_caseeq(s, STR("junk")))
			return "its Precedence says bulk, list or junk";
	}
	for (struct field *f = header_find(h,
	    STR("X-Auto-Response-Suppress")); f; f = field_next(f)) {
		struct str rest = field_value(h, f), word;

		while (str_split(&rest, ',', &word)) {
			word = str_trim(word);
			if (str_caseeq(word, STR("All")) ||
			    str_caseeq(word, STR("OOF")) ||
			    str_caseeq(word, STR("AutoReply")))
				return "it asks for no automatic answer";
		}
	}
	return NULL;
}

/* --- whose mail is it? --- */

struct own {
	struct address *list;
	size_t n;
};

static void
own_add(struct run *r, struct own *own, struct str s, bool path)
{
	const char *why;
	struct address *a = &own->list[own->n];

	if (s.n == 0)
		return;
	if (path ? address_parse_path(&r->arena, s, a, &why) :
	    address_parse(&r->arena, s, ADDRESS_NAMED, a, &why))
		return;
	if (a->kind == ADDRESS_MAILBOX)
		own->n++;
}

static int
own_addresses(struct run *r, const struct node *n, struct own *own)
{
	const struct engine_envelope *e = r->job->envelope;
	const struct str *list;
	uint32_t n_list;

	if (run_list(r, n, SLOT_ADDRESSES, &list, &n_list))
		return -1;
	own->n = 0;
	own->list = run_alloc(r, n, (r->job->n_addresses + n_list + 3) *
	    sizeof(*own->list));
	if (!own->list)
		return -1;
	own_add(r, own, e->to, true);
	own_add(r, own, e->orig_to, true);
	for (size_t i = 0; i < r->job->n_addresses; i++)
		own_add(r, own, r->job->addresses[i], true);
	for (uint32_t i = 0; i < n_list; i++)
		own_add(r, own, list[i], false);
	return 0;
}

static const struct address *
own_same(const struct own *own, const struct address *a)
{
	for (size_t i = 0; i < own->n; i++)
		if (address_same(&own->list[i], a))
			return &own->list[i];
	return NULL;
}

/* One of the user's addresses, with or without a detail: what is sent to
 * fred+lists is his, too. */
static const struct address *
own_find(struct run *r, const struct own *own, const struct address *a)
{
	const struct address *x = own_same(own, a);
	struct address plain = *a;

	if (x || !values_address_part(r, a, ADDRESS_PART_USER, &plain.local))
		return x;
	return own_same(own, &plain);
}

/* RFC 5230 section 4.5: the message names one of our addresses. */
static const struct address *
named_in_header(struct run *r, const struct own *own)
{
	static const char *const fields[] = { "To", "Cc", "Bcc", "Resent-To",
	    "Resent-Cc", "Resent-Bcc" };
	struct header *h = rewrite_first_header(r);

	for (unsigned i = 0; i < COUNT_OF(fields); i++)
		for (struct field *f = header_find(h, str_of(fields[i])); f;
		    f = field_next(f)) {
			const struct address_list *l = values_addresses(r, f);

			for (size_t k = 0; k < l->n; k++) {
				const struct address *a = &l->list[k], *x;

				if (a->kind != ADDRESS_MAILBOX)
					continue;
				x = own_find(r, own, a);
				if (x)
					return x;
			}
		}
	return NULL;
}

/* --- the answer --- */

static int64_t
period(struct run *r, const struct node *n)
{
	const struct engine_settings *s = r->settings;
	int64_t max = s->vacation_max ? s->vacation_max : LIMIT_VACATION_MAX;
	int64_t min, want;
	uint64_t number;

	if (node_has(n, SLOT_SECONDS)) {
		number = run_number(r, n, SLOT_SECONDS);
		want = number > (uint64_t)max ? max : (int64_t)number;
		min = s->vacation_min;
	} else if (node_has(n, SLOT_DAYS)) {
		number = run_number(r, n, SLOT_DAYS);
		want = number > (uint64_t)max / 86400 ? max :
		    (int64_t)number * 86400;
		min = s->vacation_min ? s->vacation_min : LIMIT_VACATION_MIN;
	} else {
		want = s->vacation_default ? s->vacation_default :
		    LIMIT_VACATION_DEFAULT;
		min = 0;
	}
	return want < min ? min : want;
}

static int
subject(struct run *r, const struct node *n, struct str *s_r)
{
	struct header *h = rewrite_first_header(r);
	struct field *f = header_find(h, STR("Subject"));
	struct buf *b = &r->scratch;

	if (node_has(n, SLOT_SUBJECT)) {
		if (run_string(r, n, SLOT_SUBJECT, s_r))
			return -1;
		/* who writes encoded words means what they stand for */
		if (str_find(*s_r, STR("=?")) < 0)
			return 0;
		buf_reset(b);
		(void)encoded_decode(*s_r, b);
		*s_r = run_copy(r, buf_str(b));
		return s_r->p ? 0 : run_no_memory(r, n);
	}
	buf_reset(b);
	(void)buf_addz(b, "Auto: ");
	(void)buf_adds(b, f ? field_text(h, f) : STR("your message"));
	*s_r = run_copy(r, str_sub(buf_str(b), 0, 998));
	return 0;
}

/* RFC 5322 section 3.6.4, as RFC 5230 section 5.8 asks. */
static int
thread_ids(struct run *r, struct engine_action *a)
{
	struct str refs = first_value(r, "References");
	struct buf *b = &r->scratch;

	a->in_reply_to = first_value(r, "Message-ID");
	if (refs.n == 0)
		refs = first_value(r, "In-Reply-To");
	buf_reset(b);
	/* the newest ids are at the end */
	if (refs.n > 4096)
		refs = str_sub(refs, refs.n - 4096, 4096);
	(void)buf_adds(b, refs);
	if (refs.n && a->in_reply_to.n)
		(void)buf_addc(b, ' ');
	(void)buf_adds(b, str_sub(a->in_reply_to, 0, 998));
	a->references = run_copy(r, buf_str(b));
	a->in_reply_to = str_sub(a->in_reply_to, 0, 998);
	return 0;
}

/* Section 4.2: :handle, or everything that makes the answer what it is. That
 * is what the script says: with variables put in, a subject of "Re: ${1}"
 * would make every mail an occasion for another answer. */
static int
key(struct run *r, const struct node *n, struct engine_action *a)
{
	struct str parts[4] = { { 0 } }, handle;
	struct buf b;

	if (run_string_opt(r, n, SLOT_HANDLE, &handle))
		return -1;
	buf_init(&b, LIMIT_KEY_SIZE);
	if (handle.p && handle.n < LIMIT_KEY_SIZE - 40) {
		(void)buf_addz(&b, "handle:");
		(void)buf_adds(&b, handle);
	} else {
		parts[0] = handle;
		if (!handle.p) {
			parts[0] = run_source(r, n, SLOT_STRING);
			parts[1] = run_source(r, n, SLOT_SUBJECT);
		}
		parts[2] = run_source(r, n, SLOT_FROM);
		parts[3] = a->flags & ENGINE_F_MIME ? STR("mime") : STR("text");
		(void)buf_addz(&b, "text:");
		hash_hex(parts, 4, &b);
	}
	a->key = run_copy(r, buf_str(&b));
	buf_release(&b);
	return 0;
}

/* NULL: answer it. Fills what is known of sender and recipient. */
static const char *
why_not(struct run *r, const struct own *own, struct address *sender,
    const struct address **me_r)
{
	const char *why;

	if (address_parse_path(&r->arena, r->job->envelope->from, sender,
	    &why) || sender->kind != ADDRESS_MAILBOX)
		return "its sender is <> or no address";
	if (robot(sender->local))
		return "its sender is a program";
	if (own_find(r, own, sender))
		return "its sender is the user himself";
	why = from_robot(r);
	if (why)
		return why;
	*me_r = named_in_header(r, own);
	if (!*me_r)
		return "it names none of the user's addresses";
	return NULL;
}

static int
command(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_VACATION };
	struct address sender;
	const struct address *me = NULL;
	struct own own;
	const char *why;
	struct str given;

	if (run_string(r, n, SLOT_STRING, &a.reason) ||
	    run_string_opt(r, n, SLOT_FROM, &given))
		return -1;
	if (a.reason.n > LIMIT_REASON_SIZE)
		return run_error(r, n, "the reason is longer than %d bytes",
		    LIMIT_REASON_SIZE);
	if (given.p && from_parse(&r->arena, given, &why))
		return run_error(r, n, ":from \"%s\": %s", run_show(given),
		    why);
	if (node_has(n, SLOT_MIME_REASON)) {
		if (!header_ok(a.reason))
			return run_error(r, n, ":mime: in the header everything "
			    "must be ASCII");
		a.flags |= ENGINE_F_MIME;
	}
	if (!r->job->envelope)
		return 0;
	if (own_addresses(r, n, &own) || fcc_run(r, n, &a) ||
	    subject(r, n, &a.subject))
		return -1;
	a.from = given;
	if (key(r, n, &a))
		return -1;
	a.seconds = period(r, n);
	why = why_not(r, &own, &sender, &me);
	run_trace(r, n, "vacation: %s%s", why ? "no answer: " : "answer",
	    why ? why : "");
	if (why) {
		/* it still counts as called: RFC 5230 section 4.7 */
		for (size_t i = 0; i < r->result->n_actions; i++)
			if (r->result->actions[i].kind == ENGINE_REJECT ||
			    r->result->actions[i].kind == ENGINE_EREJECT)
				return run_error(r, n, "a message cannot be "
				    "both rejected and answered by vacation");
		return 0;
	}
	a.address = sender.spec;
	if (!given.p)
		a.from = me->spec;
	(void)thread_ids(r, &a);
	return plan_add(r, n, &a);
}

static const struct sieve_spec specs[] = {
	{ .name = "vacation", .kind = SPEC_ACTION, .classes = ON_VACATION,
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .check = check, .command = command },
};

static const struct sieve_tag tags[] = {
	{ .name = "days", .on = ON_VACATION, .slot = SLOT_DAYS,
	    .value = VALUE_NUMBER },
	{ .name = "subject", .on = ON_VACATION, .slot = SLOT_SUBJECT,
	    .value = VALUE_STRING },
	{ .name = "from", .on = ON_VACATION, .slot = SLOT_FROM,
	    .value = VALUE_STRING },
	{ .name = "addresses", .on = ON_VACATION, .slot = SLOT_ADDRESSES,
	    .value = VALUE_LIST },
	{ .name = "mime", .on = ON_VACATION, .slot = SLOT_MIME_REASON },
	{ .name = "handle", .on = ON_VACATION, .slot = SLOT_HANDLE,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_vacation = {
	.name = "vacation",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};

static const struct sieve_tag seconds_tags[] = {
	{ .name = "seconds", .on = ON_VACATION, .slot = SLOT_SECONDS,
	    .value = VALUE_NUMBER },
};

const struct sieve_ext ext_vacation_seconds = {
	.name = "vacation-seconds",
	.implies = "vacation",
	.tags = seconds_tags,
	.n_tags = COUNT_OF(seconds_tags),
};
