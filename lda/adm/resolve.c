/* vboxadm resolve: what every door would say of a recipient. "-" reads
 * addresses from standard input, one a line, and answers each at once; a
 * process that lives long has the cache. */
#include "lda/resolve.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/adm/nouns.h"
#include "lda/json.h"
#include "lda/place.h"
#include "store/base/clock.h"
#include "store/base/file.h"

#define LINE_MAX_BYTES 4096

struct asking {
	struct adm *a;
	struct directory *directory;
	int worst;		/* exit status */
};

static void
json_limit(struct buf *out, const char *name, uint64_t value)
{
	if (value == DIRECTORY_UNSET)
		return;
	json_name(out, name);
	(void)buf_addf(out, "%llu", (unsigned long long)value);
}

static void
json_text(struct buf *out, const char *name, struct str value)
{
	if (value.n > 0)
		json_member(out, name, value);
}

/* Where the mail would go, by the configuration. */
static struct str
path_of(struct adm *a, const struct target *t, struct arena *arena)
{
	const struct settings *s = config_domain(&a->config, t->account.domain);
	struct mailbox_spec spec;
	struct verdict v = VERDICT_INIT;
	struct buf b;
	struct str path;

	if (place_mailbox(s, t, STR(""), "localhost", arena, &spec, &v) < 0)
		return STR("");
	buf_init(&b, LINE_MAX_BYTES * 2);
	(void)buf_addf(&b, "%s/%s", spec.root, spec.path);
	path = arena_copy(arena, buf_str(&b));
	buf_release(&b);
	return path;
}

static const char *
format_of(struct adm *a, const struct target *t)
{
	if (t->account.format.n > 0)
		return str_eq(t->account.format, STR("maildir")) ? "maildir" :
		    "mbox";
	return config_domain(&a->config, t->account.domain)->format ==
	    SET_FORMAT_MAILDIR ? "maildir" : "mbox";
}

static void
json_target(struct adm *a, const struct target *t, struct arena *arena)
{
	struct buf *out = &a->out;

	(void)buf_addc(out, '{');
	json_member(out, "kind", t->kind == TARGET_REMOTE ? STR("remote") :
	    STR("mailbox"));
	json_member(out, "address", t->address);
	if (t->kind == TARGET_MAILBOX) {
		json_text(out, "detail", t->detail);
		json_member(out, "state", str_of(account_state_word(t->state)));
		json_member(out, "format", str_of(format_of(a, t)));
		json_text(out, "path", path_of(a, t, arena));
		json_text(out, "home", t->account.home);
		json_text(out, "host", t->account.host);
		json_limit(out, "quota_bytes", t->account.quota_bytes);
		json_limit(out, "quota_messages", t->account.quota_messages);
		json_limit(out, "domain_quota_bytes", t->domain.quota_bytes);
	}
	(void)buf_addc(out, '}');
}

static void
print_json(struct adm *a, struct str asked, const struct resolution *res,
    struct arena *arena)
{
	struct buf *out = &a->out;
	const struct verdict *v = &res->verdict;

	(void)buf_addc(out, '{');
	json_member(out, "address", asked);
	json_text(out, "local", res->local);
	json_text(out, "domain", res->domain);
	json_member(out, "verdict", v->why == V_OK ? STR("ok") :
	    str_of(verdict_word(v)));
	json_name(out, "reply");
	(void)buf_addf(out, "%d", verdict_reply(v));
	json_member(out, "code", str_of(verdict_code(v)));
	json_member(out, "text", v->why == V_OK ? STR("OK") :
	    str_of(verdict_text(v)));
	json_text(out, "detail", str_of(v->detail));
	json_name(out, "targets");
	(void)buf_addc(out, '[');
	for (size_t i = 0; i < res->target_count; i++) {
		if (i > 0)
			(void)buf_addc(out, ',');
		json_target(a, &res->targets[i], arena);
	}
	(void)buf_addc(out, ']');
	json_name(out, "chain");
	(void)buf_addc(out, '[');
	for (size_t i = 0; i < res->step_count; i++) {
		const struct resolve_step *s = &res->steps[i];

		if (i > 0)
			(void)buf_addc(out, ',');
		(void)buf_addc(out, '{');
		json_member(out, "step", str_of(s->what));
		json_member(out, "address", s->subject);
		json_text(out, "result", s->result);
		json_name(out, "depth");
		(void)buf_addf(out, "%u", s->depth);
		(void)buf_addc(out, '}');
	}
	(void)buf_addz(out, "]}\n");
}

static void
print_text(struct adm *a, struct str asked, const struct resolution *res,
    struct arena *arena)
{
	struct buf *out = &a->out;
	const struct verdict *v = &res->verdict;

	(void)buf_adds(out, asked);
	if (v->why == V_OK)
		(void)buf_addz(out, ": ok\n");
	else
		(void)buf_addf(out, ": %d %s %s (%s)\n", verdict_reply(v),
		    verdict_code(v), verdict_text(v), v->detail);
	for (size_t i = 0; i < res->step_count; i++) {
		const struct resolve_step *s = &res->steps[i];

		(void)buf_addf(out, "%*s%s %.*s%s%.*s\n",
		    (int)(s->depth * 2 + 2), "", s->what, STR_ARG(s->subject),
		    s->result.n > 0 ? " -> " : "", STR_ARG(s->result));
	}
	for (size_t i = 0; i < res->target_count; i++) {
		const struct target *t = &res->targets[i];
		struct str path = t->kind == TARGET_MAILBOX ?
		    path_of(a, t, arena) : STR("");

		(void)buf_addf(out, "= %s %.*s%s%.*s", t->kind ==
		    TARGET_REMOTE ? "remote" : format_of(a, t),
		    STR_ARG(t->address), t->detail.n > 0 ? " detail " : "",
		    STR_ARG(t->detail));
		if (path.n > 0)
			(void)buf_addf(out, " %.*s", STR_ARG(path));
		if (t->kind == TARGET_MAILBOX && t->state != ACCOUNT_ACTIVE)
			(void)buf_addf(out, " (%s)",
			    account_state_word(t->state));
		(void)buf_addc(out, '\n');
	}
}

static void
answer(struct asking *k, struct str address)
{
	ptrdiff_t at = str_rchr(address, '@');
	struct str local = address, domain = STR("");
	struct resolution res;
	struct resolver r;
	struct arena arena;
	int status;

	if (at >= 0) {
		local = str_sub(address, 0, (size_t)at);
		domain = str_sub(address, (size_t)at + 1, address.n);
	}
	r = (struct resolver){ .directory = k->directory,
	    .delimiters = config_domain(&k->a->config,
	    domain)->recipient_delimiter };
	arena_init(&arena, RESOLVE_ARENA);
	(void)resolve_recipient(&r, local, domain, STR(""), &arena, &res);
	if (k->a->json)
		print_json(k->a, address, &res, &arena);
	else
		print_text(k->a, address, &res, &arena);
	status = verdict_exit(&res.verdict, EXITS_SYSEXITS);
	if (status == EX_TEMPFAIL || k->worst == EX_OK)
		k->worst = status;
	arena_release(&arena);
}

/* Each line is answered before the next one is read. */
static int
answer_lines(struct asking *k, struct verdict *v)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct str address = str_trim(str_of(line));

		if (address.n == 0)
			continue;
		answer(k, address);
		adm_flush(k->a);
	}
	if (ferror(stdin))
		return verdict_set(v, V_TROUBLE, "standard input");
	return 0;
}

int
adm_resolve(struct adm *a, struct verdict *v)
{
	struct asking k = { .a = a, .worst = EX_OK };
	struct directory_settings set;
	bool lines = strcmp(a->args[0], "-") == 0;
	int r = 0;

	if (adm_config(a, v) < 0)
		return -1;
	set = adm_directory_settings(a);
	if (lines) {
		const struct settings *s = &a->config.global;

		set.cache_ttl_ms = (unsigned)s->cache_ttl;
		set.cache_absent_ms = (unsigned)s->cache_negative_ttl;
		set.cache_stale_ms = (unsigned)s->cache_stale;
	}
	if (directory_open(a->config.global.directory.v,
	    a->config.global.directory.n, &set, &k.directory, v) < 0)
		return -1;
	if (lines)
		r = answer_lines(&k, v);
	for (size_t i = 0; i < a->arg_count && !lines; i++)
		answer(&k, str_of(a->args[i]));
	directory_close(&k.directory);
	a->exit = r < 0 ? -1 : k.worst;
	return r;
}
