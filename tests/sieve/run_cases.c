/*
 * Runs the Sieve cases of plain text files: script, message, envelope and
 * what must come out. See tests/sieve/README for the format.
 *
 *	run_cases [-v] [-n NAME] FILE...
 *	run_cases -d DIR FILE...	writes each compiled script, without its
 *				text, into DIR: seeds of fuzz_sieve_load
 *	run_cases -2 FILE...	what both engines say to the cases that libsieve
 *				can be given; disagreements.libsieve has the
 *				reasons where they differ
 *	run_cases		all files, and all with -2; speaks as cmocka
 *				does, for run-unit
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters/attachment.h"
#include "filters/engine.h"
#include "filters/message/charset.h"
#include "filters/message/header.h"
#include "filters/message/message.h"
#include "store/base/buf.h"
#include "store/base/num.h"

#define MAX_ITEMS 64
#define MAX_TEXT (4 * 1024 * 1024)

struct item {
	char *kind;
	char *a;
	char *b;
};

/* What the directives of a file have set up. */
struct setup {
	struct item items[MAX_ITEMS];
	unsigned n_items;
	char *require;
	struct buf message;
	struct engine_envelope envelope;
	struct engine_settings settings;
	struct str addresses[8];
	size_t n_addresses;
	struct str includes[MAX_ITEMS];
	time_t now;
	int zone;
};

struct file {
	const char *path;
	struct str rest;
	unsigned line;
};

static struct setup setup;
static unsigned passed, failed;
static int verbose;
static const char *only;
static bool as_cmocka;
static const char *dump;
static bool both;		/* -2 */
static unsigned cannot;		/* cases that libsieve refuses to begin with */
static struct arena kept;

static const char standard_message[] =
    "From: Coyote <coyote@desert.example.org>\n"
    "To: Roadrunner <roadrunner@acme.example.com>\n"
    "Subject: I have a present for you\n"
    "Date: Sat, 21 Nov 2026 02:54:49 +0100\n"
    "Message-ID: <1@desert.example.org>\n"
    "X-Number: 15\n"
    "\n"
    "Look, I'm sorry about the whole anvil thing.\n";

/* --- the world --- */

static struct item *
find(const char *kind, struct str a)
{
	for (unsigned i = 0; i < setup.n_items; i++)
		if (strcmp(setup.items[i].kind, kind) == 0 &&
		    str_eq(str_of(setup.items[i].a), a))
			return &setup.items[i];
	return NULL;
}

static enum engine_answer
mailbox_exists(void *ctx, struct str name)
{
	(void)ctx;
	if (find("broken", name))
		return ENGINE_BROKEN;
	return find("mailbox", name) || str_caseeq(name, STR("INBOX")) ?
	    ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
mailbox_by_id(void *ctx, struct str id, struct buf *value)
{
	struct item *i = find("mailboxid", id);

	(void)ctx;
	if (!i)
		return ENGINE_NO;
	(void)buf_addz(value, i->b);
	return ENGINE_YES;
}

static enum engine_answer
special_use(void *ctx, struct str mailbox, struct str use, struct buf *value)
{
	(void)ctx;
	for (unsigned i = 0; i < setup.n_items; i++) {
		struct item *x = &setup.items[i];

		if (strcmp(x->kind, "specialuse") ||
		    !str_caseeq(str_of(x->a), use))
			continue;
		if (mailbox.p && !str_eq(str_of(x->b), mailbox))
			continue;
		(void)buf_addz(value, x->b);
		return ENGINE_YES;
	}
	return ENGINE_NO;
}

static enum engine_answer
metadata(void *ctx, struct str mailbox, struct str annotation,
    struct buf *value)
{
	char key[512];
	struct item *i;

	(void)ctx;
	snprintf(key, sizeof(key), "%.*s%s%.*s", STR_ARG(mailbox),
	    mailbox.p ? ":" : "", STR_ARG(annotation));
	i = find("metadata", str_of(key));
	if (!i)
		return ENGINE_NO;
	(void)buf_addz(value, i->b);
	return ENGINE_YES;
}

static enum engine_answer
duplicate_seen(void *ctx, struct str key)
{
	(void)ctx;
	return find("seen", key) ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
list_known(void *ctx, struct str list)
{
	(void)ctx;
	return find("list", list) ? ENGINE_YES : ENGINE_NO;
}

static enum engine_answer
list_has(void *ctx, struct str list, struct str value)
{
	(void)ctx;
	for (unsigned i = 0; i < setup.n_items; i++)
		if (strcmp(setup.items[i].kind, "list") == 0 &&
		    str_eq(str_of(setup.items[i].a), list) &&
		    str_caseeq(str_of(setup.items[i].b), value))
			return ENGINE_YES;
	return ENGINE_NO;
}

static enum engine_answer
environment(void *ctx, struct str item, struct buf *value)
{
	struct item *i = find("env", item);

	(void)ctx;
	if (!i)
		return ENGINE_NO;
	(void)buf_addz(value, i->b);
	return ENGINE_YES;
}

static enum engine_answer
include(void *ctx, enum engine_location location, struct str name,
    struct engine_script *script_r)
{
	struct item *i = find(location == ENGINE_GLOBAL ? "global" :
	    "personal", name);

	(void)ctx;
	if (!i)
		return ENGINE_NO;
	script_r->text = str_of(i->b);
	return ENGINE_YES;
}

static const struct engine_world world = {
	.mailbox_exists = mailbox_exists,
	.mailbox_by_id = mailbox_by_id,
	.special_use = special_use,
	.metadata = metadata,
	.duplicate_seen = duplicate_seen,
	.list_has = list_has,
	.list_known = list_known,
	.environment = environment,
	.include = include,
};

/* --- outcome as text --- */

static void
put(struct buf *out, const char *name, struct str s)
{
	if (!s.p)
		return;
	(void)buf_addf(out, " %s=", name);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			(void)buf_addz(out, "\\n");
		else if (s.p[i] == '\r')
			(void)buf_addz(out, "\\r");
		else
			(void)buf_addc(out, s.p[i]);
	}
}

static void
describe(const struct engine_action *a, struct buf *out)
{
	static const char *const names[] = { "keep", "fileinto", "redirect",
	    "reject", "ereject", "discard", "vacation", "notify", "mark" };

	if (a->flags & ENGINE_F_AT_ERROR)
		(void)buf_addz(out, "error ");
	else if (a->flags & ENGINE_F_IMPLICIT)
		(void)buf_addz(out, "implicit ");
	(void)buf_addz(out, names[a->kind]);
	if (a->mailbox.n) {
		(void)buf_addc(out, ' ');
		(void)buf_adds(out, a->mailbox);
	}
	if (a->kind == ENGINE_REDIRECT || a->kind == ENGINE_VACATION) {
		(void)buf_addc(out, ' ');
		(void)buf_adds(out, a->address);
	}
	if (a->kind == ENGINE_REJECT || a->kind == ENGINE_EREJECT)
		put(out, "reason", a->reason);
	if (a->flags & ENGINE_F_FLAGS) {
		(void)buf_addz(out, " flags=");
		(void)buf_adds(out, a->imap_flags);
	}
	if (a->flags & ENGINE_F_CREATE)
		(void)buf_addz(out, " create");
	if (a->flags & ENGINE_F_COPY)
		(void)buf_addz(out, " copy");
	if (a->flags & ENGINE_F_LIST)
		(void)buf_addz(out, " list");
	put(out, "specialuse", a->special_use);
	put(out, "mailboxid", a->mailbox_id);
	put(out, "notify", a->notify);
	put(out, "ret", a->ret);
	if (a->flags & ENGINE_F_BYTIME)
		(void)buf_addf(out, " by=%lld%s%s", (long long)a->by_seconds,
		    a->flags & ENGINE_F_BYMODE_RETURN ? " return" : " notify",
		    a->flags & ENGINE_F_BYTRACE ? " trace" : "");
	if (a->kind == ENGINE_VACATION) {
		(void)buf_addf(out, " seconds=%lld", (long long)a->seconds);
		put(out, "subject", a->subject);
		put(out, "from", a->from);
		put(out, "reason", a->reason);
		if (a->flags & ENGINE_F_MIME)
			(void)buf_addz(out, " mime");
		put(out, "in-reply-to", a->in_reply_to);
	}
	if (a->kind == ENGINE_NOTIFY) {
		(void)buf_addf(out, " importance=%d to=", a->importance);
		for (size_t i = 0; i < a->n_to; i++) {
			if (i)
				(void)buf_addc(out, ',');
			(void)buf_adds(out, a->to[i]);
		}
		put(out, "from", a->from);
		put(out, "subject", a->subject);
		put(out, "body", a->reason);
		put(out, "headers", a->headers.n ? a->headers :
		    (struct str){ 0 });
	}
	if (a->flags & ENGINE_F_FCC) {
		put(out, "fcc", a->fcc);
		put(out, "fccflags", a->fcc_flags);
		put(out, "fccspecialuse", a->fcc_special_use);
		put(out, "fccmailboxid", a->fcc_mailbox_id);
		if (a->flags & ENGINE_F_FCC_CREATE)
			(void)buf_addz(out, " fcccreate");
	}
	if (a->kind == ENGINE_MARK) {
		put(out, "key", a->key);
		(void)buf_addf(out, " seconds=%lld%s", (long long)a->seconds,
		    a->flags & ENGINE_F_LAST ? " last" : "");
	}
}

/* What is attached, by libmagic's own database. */
static const struct attachments *
attachments(void *ctx)
{
	static struct attachment_typer typer;
	static struct arena arena;
	static struct message view;
	static struct attachments list;
	struct verdict v = VERDICT_INIT;

	(void)ctx;
	if (!typer.magic && attachment_typer_open(&typer, NULL, &v) < 0) {
		fprintf(stderr, "%s\n", v.detail);
		return NULL;
	}
	arena_release(&arena);
	arena_init(&arena, MAX_TEXT * 4);
	message_init(&view, &arena, buf_str(&setup.message));
	attachment_scan(&typer, &arena, message_mime(&view), &list);
	return &list;
}

static const struct engine_attachments engine_attachments = {
	.list = attachments };

/* --- one case --- */

struct outcome {
	bool compiled;
	struct engine_errors errors;	/* of compiling */
	struct engine_result result;
};

static void
run_by(const struct engine *engine, struct str script_text, struct outcome *o)
{
	struct engine_script script = { .name = STR("case"),
	    .text = script_text };
	struct engine_job job = {
		.settings = &setup.settings,
		.world = &world,
		.attachments = &engine_attachments,
		.scripts = &script,
		.n_scripts = 1,
		.envelope = &setup.envelope,
		.addresses = setup.addresses,
		.n_addresses = setup.n_addresses,
		.message = buf_str(&setup.message),
		.user = STR("roadrunner@acme.example.com"),
		.host = STR("mail.acme.example.com"),
		.now = setup.now,
		.zone = setup.zone,
		.trace = verbose != 0,
	};
	struct buf image;

	buf_init(&image, 64 * 1024 * 1024);
	engine_errors_init(&o->errors);
	engine_result_init(&o->result);
	o->compiled = engine->compile(&setup.settings, &script, &image,
	    &o->errors) == 0;
	if (o->compiled && dump) {
		static unsigned count;
		char path[300];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%03u", dump, count++);
		f = fopen(path, "w");
		if (f) {
			fwrite(image.p, 1, image.n - script_text.n, f);
			fclose(f);
		}
	}
	if (o->compiled) {
		script.image = buf_str(&image);
		(void)engine->run(&job, &o->result);
	}
	buf_release(&image);
}

static void
run(struct str script_text, struct outcome *o)
{
	run_by(&engine_native, script_text, o);
}

static void
outcome_release(struct outcome *o)
{
	engine_errors_release(&o->errors);
	engine_result_release(&o->result);
}

static void
show(const struct outcome *o)
{
	struct buf b;

	buf_init(&b, MAX_TEXT);
	for (size_t i = 0; i < o->errors.n; i++)
		(void)buf_addf(&b, "    got %s %u:%u %.*s\n",
		    o->errors.list[i].warning ? "warning" : "error",
		    o->errors.list[i].line, o->errors.list[i].column,
		    STR_ARG(o->errors.list[i].text));
	for (size_t i = 0; i < o->result.errors.n; i++)
		(void)buf_addf(&b, "    got runtime %s%u:%u %.*s\n",
		    o->result.errors.list[i].warning ? "warning " : "",
		    o->result.errors.list[i].line,
		    o->result.errors.list[i].column,
		    STR_ARG(o->result.errors.list[i].text));
	for (size_t i = 0; i < o->result.n_actions; i++) {
		(void)buf_addz(&b, "    got ");
		describe(&o->result.actions[i], &b);
		(void)buf_addc(&b, '\n');
	}
	fwrite(b.p, 1, b.n, stdout);
	if (verbose > 1)
		fwrite(o->result.trace.p, 1, o->result.trace.n, stdout);
	buf_release(&b);
}

static void
verdict(const struct file *f, unsigned line, bool ok, const char *name,
    const struct outcome *o, const char *why)
{
	if (ok)
		passed++;
	else
		failed++;
	if (as_cmocka && ok)
		printf("[       OK ] %s\n", name);
	else if (as_cmocka)
		/* once where it happens, once in the list at the end */
		printf("[  FAILED  ] %s\n[  FAILED  ] %s\n", name, name);
	if (!ok || verbose)
		printf("%s:%u: %s: %s%s%s\n", f->path, line,
		    ok ? "ok" : "FAILED", name, *why ? ": wanted " : "", why);
	if (!ok || verbose > 1)
		show(o);
}

static bool
has_error(const struct engine_errors *e, struct str want, bool warning)
{
	/* "LINE:COLUMN text" */
	struct str at = want, text = { 0 };
	ptrdiff_t space = str_chr(want, ' ');

	if (space >= 0) {
		at = str_sub(want, 0, (size_t)space);
		text = str_sub(want, (size_t)space + 1, want.n);
	}
	for (size_t i = 0; i < e->n; i++) {
		char pos[40];

		snprintf(pos, sizeof(pos), "%u:%u", e->list[i].line,
		    e->list[i].column);
		if (e->list[i].warning == warning &&
		    (at.n == 0 || str_eq(str_of(pos), at)) &&
		    str_find(e->list[i].text, text) >= 0)
			return true;
	}
	return false;
}

/* The header that the first delivering action would store. */
static struct str
final_header(const struct outcome *o)
{
	for (size_t i = o->result.n_actions; i-- > 0;) {
		const struct engine_action *a = &o->result.actions[i];

		if (a->kind <= ENGINE_REDIRECT)
			return o->result.editions[a->edition];
	}
	return (struct str){ 0 };
}

static bool
header_has(const struct outcome *o, struct str want)
{
	struct arena a;
	struct header h;
	bool found = false;

	arena_init(&a, MAX_TEXT);
	(void)header_init(&h, &a, final_header(o));
	for (struct field *f = header_first(&h); f; f = field_after(f)) {
		char line[2000];
		struct str v = field_text(&h, f);

		snprintf(line, sizeof(line), "%.*s: %.*s", STR_ARG(f->name),
		    STR_ARG(v));
		found |= str_eq(str_of(line), want);
	}
	arena_release(&a);
	return found;
}

static bool
wanted(const struct outcome *o, struct str want, size_t *next)
{
	struct buf b;
	bool ok = false;

	if (str_starts(want, STR("error ")) &&
	    !str_starts(want, STR("error keep")))
		return !o->compiled &&
		    has_error(&o->errors, str_sub(want, 6, want.n), false);
	if (str_starts(want, STR("warning ")))
		return has_error(&o->errors, str_sub(want, 8, want.n), true);
	if (str_starts(want, STR("runtime warning ")))
		return has_error(&o->result.errors, str_sub(want, 16, want.n),
		    true);
	if (str_starts(want, STR("runtime ")))
		return has_error(&o->result.errors, str_sub(want, 8, want.n),
		    false);
	if (str_starts(want, STR("has ")))
		return header_has(o, str_sub(want, 4, want.n));
	if (str_starts(want, STR("hasnot ")))
		return !header_has(o, str_sub(want, 7, want.n));
	if (str_starts(want, STR("first "))) {
		struct str h = final_header(o);
		return str_starts(h, str_sub(want, 6, want.n));
	}
	if (*next >= o->result.n_actions)
		return false;
	buf_init(&b, MAX_TEXT);
	describe(&o->result.actions[(*next)++], &b);
	if (str_ends(want, STR("...")))
		ok = str_starts(buf_str(&b), str_sub(want, 0, want.n - 3));
	else
		ok = str_eq(buf_str(&b), want);
	buf_release(&b);
	return ok;
}

/* --- two engines --- */

/* Seconds of CPU that libsieve gets for one case. */
#define CASE_CPU 2
#define DISAGREEMENTS "tests/sieve/disagreements.libsieve"

/* The plan, and whether something went wrong. */
static void
describe_all(const struct outcome *o, struct buf *out)
{
	for (size_t i = 0; i < o->result.n_actions; i++) {
		(void)buf_addz(out, i ? "; " : "");
		describe(&o->result.actions[i], out);
	}
	if (o->result.errors.count)
		(void)buf_addz(out, "; with an error");
}

/* Where it can neither hang nor take us along; what it says goes into out. */
static void
run_apart(struct str script, struct buf *out)
{
	struct rlimit cpu = { CASE_CPU, CASE_CPU };
	struct rlimit none = { 0, 0 };
	struct outcome o;
	char block[4096];
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) < 0 || (pid = fork()) < 0)
		exit(2);
	if (pid == 0) {
		struct buf text;

		(void)setrlimit(RLIMIT_CPU, &cpu);
		(void)setrlimit(RLIMIT_CORE, &none);
		buf_init(&text, MAX_TEXT);
		run_by(&engine_libsieve, script, &o);
		if (!o.compiled)
			_exit(3);
		describe_all(&o, &text);
		_exit(write(fds[1], text.p, text.n) != (ssize_t)text.n);
	}
	close(fds[1]);
	while ((got = read(fds[0], block, sizeof(block))) > 0)
		(void)buf_add(out, block, (size_t)got);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		(void)buf_addf(out, "signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == 3)
		buf_reset(out);
	else if (WEXITSTATUS(status))
		(void)buf_addz(out, "no answer");
}

/* Is there a reason for "FILE: NAME"? */
static bool
excused(const char *path, const char *name)
{
	static char text[128 * 1024];
	static size_t n;
	char want[1024];
	const char *base = strrchr(path, '/');

	if (n == 0) {
		FILE *in = fopen(DISAGREEMENTS, "r");

		n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
		if (in)
			fclose(in);
	}
	snprintf(want, sizeof(want), "\n%s: %s => ", base ? base + 1 : path,
	    name);
	return n && strstr(text, want) != NULL;
}

static void
compare(const struct file *f, unsigned line, const char *name,
    struct str script)
{
	char title[1200];
	struct outcome o;
	struct buf ours, theirs;
	bool same, reason;

	buf_init(&ours, MAX_TEXT);
	buf_init(&theirs, MAX_TEXT);
	run_by(&engine_native, script, &o);
	if (o.compiled) {
		describe_all(&o, &ours);
		run_apart(script, &theirs);
	}
	if (theirs.n == 0) {
		cannot++;
	} else {
		same = str_eq(buf_str(&ours), buf_str(&theirs));
		reason = excused(f->path, name);
		snprintf(title, sizeof(title), "libsieve: %s", name);
		if (same != reason)
			passed++;
		else
			failed++;
		if (as_cmocka && same != reason)
			printf("[       OK ] %s\n", title);
		else if (as_cmocka)
			printf("[  FAILED  ] %s\n[  FAILED  ] %s\n", title,
			    title);
		if (verbose || same == reason)
			printf("%s:%u: %s: %s\n    native   %.*s\n"
			    "    libsieve %.*s\n", f->path, line,
			    same == reason ? same ? "they agree; its reason "
			    "may go" : "they disagree without a reason" :
			    same ? "same" : "differs", name,
			    STR_ARG(buf_str(&ours)), STR_ARG(buf_str(&theirs)));
	}
	outcome_release(&o);
	buf_release(&ours);
	buf_release(&theirs);
}

/* --- files --- */

static bool
next_line(struct file *f, struct str *line_r)
{
	if (!str_split(&f->rest, '\n', line_r))
		return false;
	f->line++;
	return f->rest.p || line_r->n;
}

static char *
dup_str(struct str s)
{
	/* freed all at once: a run of the tests is short */
	return (char *)(uintptr_t)arena_copy(&kept, str_mem(s.p ? s.p : "",
	    s.n)).p;
}

static void
die(const struct file *f, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", f->path, f->line, what);
	exit(2);
}

static void
read_until_dot(struct file *f, struct buf *out)
{
	struct str line;

	while (next_line(f, &line)) {
		if (str_eq(line, STR(".")))
			return;
		/* "\0", "\r" and "\t" at need */
		for (size_t i = 0; i < line.n; i++) {
			if (line.p[i] == '\\' && i + 1 < line.n &&
			    strchr("0rt\\", line.p[i + 1])) {
				char c = line.p[++i];

				(void)buf_addc(out, c == '0' ? '\0' :
				    c == 'r' ? '\r' : c == 't' ? '\t' : '\\');
			} else {
				(void)buf_addc(out, line.p[i]);
			}
		}
		(void)buf_addc(out, '\n');
	}
}

static void
reset(void)
{
	setup.n_items = 0;
	setup.require = NULL;
	buf_reset(&setup.message);
	(void)buf_addz(&setup.message, standard_message);
	setup.envelope = (struct engine_envelope){
		.from = STR("coyote@desert.example.org"),
		.to = STR("roadrunner@acme.example.com"),
	};
	memset(&setup.settings, 0, sizeof(setup.settings));
	setup.n_addresses = 0;
	setup.now = 1795226089;		/* 2026-11-21 01:54:49 UTC */
	setup.zone = 60;
}

static struct str
rest_str(struct str s)
{
	return str_mem(dup_str(s), s.n);
}

static void
add_item(const struct file *f, struct str kind, struct str a, struct str b)
{
	if (setup.n_items == MAX_ITEMS)
		die(f, "too many items");
	setup.items[setup.n_items++] = (struct item){ dup_str(kind),
	    dup_str(a), dup_str(b) };
}

static void
set_setting(const struct file *f, struct str name, struct str v)
{
	struct engine_settings *s = &setup.settings;
	uint64_t n = 0;

	(void)num_u64(v, INT32_MAX, &n);
	if (str_eq(name, STR("extensions")))
		s->extensions = rest_str(v);
	else if (str_eq(name, STR("delimiter")))
		s->delimiter = rest_str(v);
	else if (str_eq(name, STR("redirects")))
		s->max_redirects = n ? (unsigned)n : UINT32_MAX;
	else if (str_eq(name, STR("actions")))
		s->max_actions = (unsigned)n;
	else if (str_eq(name, STR("vacation_min")))
		s->vacation_min = (int64_t)n;
	else if (str_eq(name, STR("vacation_max")))
		s->vacation_max = (int64_t)n;
	else if (str_eq(name, STR("protected")))
		s->protected_headers = rest_str(v);
	else if (str_eq(name, STR("spam_score"))) {
		s->spam.type = ENGINE_SPAM_SCORE;
		s->spam.header = rest_str(v);
	} else if (str_eq(name, STR("spam_strlen"))) {
		s->spam.type = ENGINE_SPAM_STRLEN;
		s->spam.header = rest_str(v);
	} else if (str_eq(name, STR("spam_max")))
		s->spam.max = (double)n;
	else if (str_eq(name, STR("spam_max_header")))
		s->spam.max_header = rest_str(v);
	else if (str_eq(name, STR("virus_score"))) {
		s->virus.type = ENGINE_SPAM_SCORE;
		s->virus.header = rest_str(v);
	} else if (str_eq(name, STR("virus_max")))
		s->virus.max = (double)n;
	else if (str_eq(name, STR("virus_text"))) {
		s->virus.type = ENGINE_SPAM_TEXT;
		s->virus.header = rest_str(v);
		s->virus.texts[1] = STR("clean");
		s->virus.texts[5] = STR("infected");
	} else
		die(f, "unknown setting");
}

/* "WORD rest" */
static struct str
take_word(struct str *rest)
{
	ptrdiff_t at = str_chr(*rest, ' ');
	struct str word = at < 0 ? *rest : str_sub(*rest, 0, (size_t)at);

	*rest = at < 0 ? STR("") : str_sub(*rest, (size_t)at + 1, rest->n);
	return word;
}

static void
directive(struct file *f, struct str line)
{
	struct str rest = str_sub(line, 1, line.n), word = take_word(&rest), a;
	struct engine_envelope *e = &setup.envelope;
	uint64_t n;

	if (str_eq(word, STR("reset"))) {
		reset();
	} else if (str_eq(word, STR("require"))) {
		setup.require = dup_str(rest);
	} else if (str_eq(word, STR("message"))) {
		buf_reset(&setup.message);
		read_until_dot(f, &setup.message);
	} else if (str_eq(word, STR("from"))) {
		e->from = rest_str(rest);
	} else if (str_eq(word, STR("to"))) {
		e->to = rest_str(rest);
	} else if (str_eq(word, STR("orig_to"))) {
		e->orig_to = rest_str(rest);
	} else if (str_eq(word, STR("auth"))) {
		e->auth = rest_str(rest);
	} else if (str_eq(word, STR("dsn_notify"))) {
		e->dsn_notify = rest_str(rest);
	} else if (str_eq(word, STR("dsn_orcpt"))) {
		e->dsn_orcpt = rest_str(rest);
	} else if (str_eq(word, STR("dsn_ret"))) {
		e->dsn_ret = rest_str(rest);
	} else if (str_eq(word, STR("dsn_envid"))) {
		e->dsn_envid = rest_str(rest);
	} else if (str_eq(word, STR("by"))) {
		e->by_time = rest_str(take_word(&rest));
		e->by_mode = rest_str(rest);
	} else if (str_eq(word, STR("address"))) {
		if (setup.n_addresses < 8)
			setup.addresses[setup.n_addresses++] = rest_str(rest);
	} else if (str_eq(word, STR("now"))) {
		if (num_u64(rest, INT64_MAX, &n))
			die(f, "no number");
		setup.now = (time_t)n;
	} else if (str_eq(word, STR("zone"))) {
		setup.zone = atoi(dup_str(rest));
	} else if (str_eq(word, STR("set"))) {
		word = take_word(&rest);
		set_setting(f, word, rest);
	} else if (str_eq(word, STR("personal")) ||
	    str_eq(word, STR("global"))) {
		struct buf b;

		buf_init(&b, MAX_TEXT);
		read_until_dot(f, &b);
		add_item(f, word, rest, buf_str(&b));
		buf_release(&b);
	} else if (str_eq(word, STR("mailbox")) ||
	    str_eq(word, STR("broken")) || str_eq(word, STR("seen"))) {
		add_item(f, word, rest, STR(""));
	} else if (str_eq(word, STR("metadata")) ||
	    str_eq(word, STR("list")) || str_eq(word, STR("env")) ||
	    str_eq(word, STR("specialuse")) ||
	    str_eq(word, STR("mailboxid"))) {
		a = take_word(&rest);
		add_item(f, word, a, rest);
	} else {
		die(f, "unknown directive");
	}
}

static void
add_require(struct buf *script)
{
	struct str rest = str_of(setup.require), word;
	bool first = true;

	if (!setup.require)
		return;
	(void)buf_addz(script, "require [");
	while (str_split(&rest, ' ', &word)) {
		(void)buf_addf(script, "%s\"", first ? "" : ", ");
		(void)buf_adds(script, word);
		(void)buf_addc(script, '"');
		first = false;
	}
	(void)buf_addz(script, "]; ");
}

/* "T test", "F test", "X test": true, false, does not compile. */
static void
line_case(struct file *f, struct str line)
{
	struct outcome o;
	struct buf script;
	char kind = line.p[0];
	char *name = dup_str(line);
	bool ok;

	if (only && strcmp(only, name))
		return;
	buf_init(&script, MAX_TEXT);
	add_require(&script);
	(void)buf_addz(&script, "if ");
	(void)buf_adds(&script, str_sub(line, 2, line.n));
	(void)buf_addz(&script, " { discard; } else { keep; }\n");
	if (both) {
		compare(f, f->line, name, buf_str(&script));
		buf_release(&script);
		return;
	}
	run(buf_str(&script), &o);
	if (kind == 'X')
		ok = !o.compiled;
	else
		ok = o.compiled && o.result.errors.count == 0 &&
		    o.result.n_actions > 0 &&
		    o.result.actions[o.result.n_actions - 1].kind ==
		    (kind == 'T' ? ENGINE_DISCARD : ENGINE_KEEP);
	verdict(f, f->line, ok, name, &o, "");
	outcome_release(&o);
	buf_release(&script);
}

/* "== name", script, "--", wanted lines, "." */
static void
block_case(struct file *f, struct str line)
{
	char *name = dup_str(str_sub(line, 3, line.n));
	struct outcome o;
	struct buf script;
	unsigned at = f->line;
	struct str want, miss = { 0 };
	size_t next = 0;
	bool ok = true, any = false;

	buf_init(&script, MAX_TEXT);
	while (next_line(f, &line) && !str_eq(line, STR("--"))) {
		(void)buf_adds(&script, line);
		(void)buf_addc(&script, '\n');
	}
	if (both) {
		while (next_line(f, &want) && !str_eq(want, STR(".")))
			;
		if (!only || strcmp(only, name) == 0)
			compare(f, at, name, buf_str(&script));
		buf_release(&script);
		return;
	}
	run(buf_str(&script), &o);
	while (next_line(f, &want) && !str_eq(want, STR("."))) {
		any = true;
		if (ok && !wanted(&o, want, &next)) {
			ok = false;
			miss = want;
		}
	}
	if (ok && (!any || next < o.result.n_actions)) {
		ok = false;
		miss = STR("nothing more");
	}
	if (!only || strcmp(only, name) == 0)
		verdict(f, at, ok, name, &o, dup_str(miss));
	outcome_release(&o);
	buf_release(&script);
}

static void
run_file(const char *path)
{
	struct file f = { .path = path };
	FILE *in = fopen(path, "r");
	struct buf text;
	struct str line;
	char block[4096];
	size_t n;

	if (!in) {
		perror(path);
		exit(2);
	}
	buf_init(&text, MAX_TEXT);
	while ((n = fread(block, 1, sizeof(block), in)) > 0)
		(void)buf_add(&text, block, n);
	fclose(in);
	reset();
	f.rest = buf_str(&text);
	while (next_line(&f, &line)) {
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (line.p[0] == '@')
			directive(&f, line);
		else if (str_starts(line, STR("== ")))
			block_case(&f, line);
		else if (line.n > 2 && strchr("TFX", line.p[0]) &&
		    line.p[1] == ' ')
			line_case(&f, line);
		else
			die(&f, "what is this line?");
	}
	buf_release(&text);
}

int
main(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose++;
		else if (strcmp(argv[i], "-2") == 0)
			both = true;
		else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
			only = argv[++i];
		else if (strcmp(argv[i], "-d") == 0 && i + 1 < argc)
			dump = argv[++i];
		else
			return 2;
	}
	arena_init(&kept, 64 * MAX_TEXT);
	buf_init(&setup.message, MAX_TEXT);
	if (i == argc && !only) {
		glob_t files;

		as_cmocka = true;
		if (glob("tests/sieve/cases/*.txt", 0, NULL, &files)) {
			fprintf(stderr, "no tests/sieve/cases here\n");
			return 2;
		}
		for (size_t k = 0; k < files.gl_pathc; k++)
			run_file(files.gl_pathv[k]);
		both = true;
		for (size_t k = 0; k < files.gl_pathc; k++)
			run_file(files.gl_pathv[k]);
		globfree(&files);
	}
	for (; i < argc; i++)
		run_file(argv[i]);
	buf_release(&setup.message);
	arena_release(&kept);
	printf("sieve: %u passed, %u failed", passed, failed);
	if (both)
		printf(", %u that libsieve cannot be given", cannot);
	printf("\n");
	return failed > 0;
}
