#include "lda/report.h"

#include <unistd.h>

#include "lda/json.h"
#include "lda/log.h"
#include "lda/plan.h"
#include "store/base/file.h"

/* The whole report; addresses and steps are cut by their own limits. */
#define REPORT_MAX (8 * 1024 * 1024)
/* Of an address, this much is repeated to the sender. */
#define ADDRESS_SHOWN 320

/* An address of a stranger's, safe in one line of a bounce. */
static void
add_address(const struct report *r, struct buf *out)
{
	struct str parts[] = { str_sub(r->local, 0, ADDRESS_SHOWN), STR("@"),
	    str_sub(r->domain, 0, ADDRESS_SHOWN) };

	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < parts[i].n; k++)
			buf_addc(out, ascii_iscntrl(parts[i].p[k]) ? '?' :
			    parts[i].p[k]);
}

static void
plain(const struct report *r, struct buf *out)
{
	const struct verdict *v = r->verdict;

	buf_addf(out, "%s <", verdict_code(v));
	add_address(r, out);
	buf_addf(out, "> %s\n", r->rehearsal && v->why == V_OK ?
	    "would be delivered" : verdict_text(v));
	if (!r->rehearsal)
		return;
	for (size_t i = 0; i < r->resolution->step_count; i++) {
		const struct resolve_step *s = &r->resolution->steps[i];

		buf_addf(out, "  %*s%s %.*s", (int)s->depth * 2, "", s->what,
		    STR_ARG(s->subject));
		if (s->result.n)
			buf_addf(out, ": %.*s", STR_ARG(s->result));
		buf_addc(out, '\n');
	}
	if (r->gate)
		buf_addf(out, "  gate: %d %s %s\n", verdict_reply(r->gate),
		    verdict_code(r->gate), verdict_text(r->gate));
	if (r->delivery) {
		struct str rest = delivery_trace(r->delivery), line, box;

		while (rest.n && str_split(&rest, '\n', &line))
			buf_addf(out, "  %.*s\n", STR_ARG(line));
		rest = delivery_boxes(r->delivery);
		while (rest.n && str_split(&rest, ',', &box))
			buf_addf(out, "  to %.*s\n", STR_ARG(box));
	}
	if (v->why != V_OK && v->detail[0])
		buf_addf(out, "  because %s\n", v->detail);
	if (r->gate)
		buf_addf(out, "  reply: %d %s %s\n", verdict_reply(v),
		    verdict_code(v), verdict_text(v));
}

/* The word for what the content policy said; empty: there is none. */
static struct str
content_word(const struct plan_content *c)
{
	return !c->asked ? STR("") : c->failed ? STR("failed") :
	    str_of(content_act_word(c->act));
}

static void
json_content(const struct plan_content *c, struct buf *out)
{
	if (!c->asked)
		return;
	json_name(out, "content");
	buf_addc(out, '{');
	json_member(out, "verdict", content_word(c));
	json_member(out, "rule", c->facts.rule);
	json_member(out, "attachment", c->facts.name);
	json_member(out, "type", c->facts.type);
	buf_addc(out, '}');
}

static void
json(const struct report *r, struct buf *out)
{
	const struct verdict *v = r->verdict;
	struct buf address;

	buf_init(&address, 4 * ADDRESS_SHOWN);
	add_address(r, &address);
	buf_addc(out, '{');
	json_member(out, "recipient", buf_str(&address));
	json_member(out, "verdict", str_of(verdict_word(v)));
	json_name(out, "reply");
	buf_addf(out, "%d", verdict_reply(v));
	json_member(out, "code", str_of(verdict_code(v)));
	json_member(out, "text", str_of(verdict_text(v)));
	json_member(out, "detail", str_of(v->detail));
	json_member(out, "sender", r->envelope->sender);
	json_member(out, "id", str_of(r->parcel->id));
	json_member(out, "message_id", str_of(r->parcel->trace.msgid));
	if (r->gate) {
		json_name(out, "gate");
		buf_addc(out, '{');
		json_member(out, "verdict", str_of(verdict_word(r->gate)));
		json_name(out, "reply");
		buf_addf(out, "%d", verdict_reply(r->gate));
		json_member(out, "code", str_of(verdict_code(r->gate)));
		json_member(out, "text", str_of(verdict_text(r->gate)));
		buf_addc(out, '}');
	}
	json_name(out, "rehearsal");
	buf_addz(out, r->rehearsal ? "true" : "false");
	json_name(out, "boxes");
	buf_addc(out, '[');
	if (r->delivery) {
		struct str rest = delivery_boxes(r->delivery), box;

		for (bool first = true; rest.n && str_split(&rest, ',', &box);
		    first = false) {
			if (!first)
				buf_addc(out, ',');
			json_string(out, box);
		}
	}
	buf_addc(out, ']');
	if (r->delivery)
		json_member(out, "trace", delivery_trace(r->delivery));
	if (r->delivery)
		json_content(delivery_content(r->delivery), out);
	json_name(out, "steps");
	buf_addc(out, '[');
	for (size_t i = 0; i < r->resolution->step_count; i++) {
		const struct resolve_step *s = &r->resolution->steps[i];

		buf_addz(out, i ? ",{" : "{");
		json_member(out, "what", str_of(s->what));
		json_member(out, "subject", s->subject);
		json_member(out, "result", s->result);
		json_name(out, "depth");
		buf_addf(out, "%u}", s->depth);
	}
	buf_addz(out, "]}\n");
	buf_release(&address);
}

void
report_write(const struct report *r, struct buf *out)
{
	if (r->json)
		json(r, out);
	else
		plain(r, out);
}

void
report_say(const struct report *r)
{
	struct buf out;

	if (r->verdict->why == V_OK && !r->rehearsal && !r->json)
		return;
	buf_init(&out, REPORT_MAX);
	report_write(r, &out);
	/* A closed output changes nothing about the delivery. */
	(void)file_write_all(STDOUT_FILENO, out.p, out.n);
	buf_release(&out);
	if (r->verdict->why != V_OK && !r->rehearsal && isatty(STDERR_FILENO)) {
		buf_init(&out, VERDICT_DETAIL + 32);
		buf_addf(&out, "vbox-deliver: %s\n", r->verdict->detail);
		(void)file_write_all(STDERR_FILENO, out.p, out.n);
		buf_release(&out);
	}
}

void
report_log(const struct report *r)
{
	struct log_delivery line = {
		.msgid = str_of(r->parcel->trace.msgid),
		.from = r->envelope->sender,
		.size = r->parcel->spool ? r->parcel->spool->n : 0,
		.verdict = r->verdict,
		.delay_ms = (uint64_t)r->elapsed_ms,
		.door = r->rehearsal ? "rehearsal" : r->door ? r->door : "argv",
	};
	char room[4 * ADDRESS_SHOWN];
	struct buf to;

	buf_init_in(&to, room, sizeof(room));
	add_address(r, &to);
	line.to = buf_str(&to);
	if (r->delivery) {
		const struct plan_content *c = delivery_content(r->delivery);
		const struct plan_scan *scan = delivery_scan(r->delivery);

		line.box = delivery_boxes(r->delivery);
		if (c->asked) {
			line.content = content_word(c);
			line.rule = c->facts.rule;
			line.attachment = c->facts.name;
			line.type = c->facts.type;
		}
		if (scan->word) {
			line.scan = str_of(scan->word);
			line.found = scan->what;
		}
		if (delivery_repaired(r->delivery))
			log_say(SET_LOG_WARNING, "cut a torn tail of %llu bytes "
			    "of %s", (unsigned long long)
			    delivery_repaired(r->delivery), line.box.p);
		if (delivery_locks_broken(r->delivery))
			log_say(SET_LOG_WARNING, "broke %u stale locks of %s",
			    delivery_locks_broken(r->delivery), line.box.p);
	}
	log_delivery(&line);
}
