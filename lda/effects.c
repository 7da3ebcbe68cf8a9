#include "lda/effects.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/log.h"
#include "lda/place.h"
#include "store/base/clock.h"
#include "store/base/file.h"

/* One notice about a broken script per account in this time (MISSION V3). */
#define NOTICE_SECONDS 86400
/* A user's log is not written beyond this; it is moved to NAME.0 then. */
#define USER_LOG_MAX ((off_t)1 << 20)
#define LINE_MAX 2000
#define ADDRESS_MAX 2000

struct running {
	const struct agent *agent;
	const struct parcel *parcel;
	const struct addressee *who;
};

struct state *
effects_state(const struct settings *s, struct str local, struct str domain)
{
	struct state *state;
	struct buf path;

	buf_init(&path, ADDRESS_MAX);
	buf_adds(&path, domain);
	buf_addc(&path, '/');
	buf_adds(&path, local);
	buf_addz(&path, ".db");
	state = state_open(s->state_dir, path.p);
	buf_release(&path);
	return state;
}

static struct state *
state_of(const struct settings *s, const struct target *t)
{
	return effects_state(s, t->account.local, t->account.domain);
}

static void
complain(const struct running *run, const char *what, const struct verdict *v)
{
	log_say(SET_LOG_WARNING, "%s: %s: %s", run->parcel->id, what, v->detail);
}

static void
mark(const struct running *run, const struct plan_effect *e)
{
	struct state_mark m = { STATE_DUPLICATE, e->action->key,
	    e->action->seconds };
	struct state *state = state_of(e->settings, e->target);
	struct verdict v = VERDICT_INIT;

	if (state_mark(state, &m, 1, STATE_NO_SYNC, &v) < 0)
		complain(run, "duplicate not marked", &v);
	state_close(&state);
}

/* --- problems of scripts ------------------------------------------------------------ */

static void
user_log(const struct running *run, const struct plan_problem *p)
{
	struct verdict v = VERDICT_INIT;
	const char *root, *path;
	struct arena arena;
	struct buf line;
	struct stat st;
	int dir, fd = -1;

	arena_init(&arena, PLACE_ARENA);
	buf_init(&line, LINE_MAX);
	if (place_path("sieve_log", p->settings->sieve_log, p->settings,
	    &p->target->account, &arena, &root, &path, &v) < 0)
		goto out;
	dir = file_open_root(root);
	if (dir >= 0) {
		fd = file_open_beneath(dir, path, O_WRONLY | O_APPEND | O_CREAT,
		    0600);
		file_close(&dir);
	}
	/* No home, no log: ours has the line. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1 || st.st_size > USER_LOG_MAX)
		goto out;
	clock_iso(clock_now(), &line);
	buf_addz(&line, " msgid=");
	buf_addz(&line, run->parcel->trace.msgid);
	buf_addc(&line, ' ');
	for (size_t i = 0; i < p->text.n; i++)
		buf_addc(&line, ascii_iscntrl(p->text.p[i]) ? '?' : p->text.p[i]);
	buf_addc(&line, '\n');
	(void)file_write_all(fd, line.p, line.n); /* best effort */
out:
	file_close(&fd);
	buf_release(&line);
	arena_release(&arena);
}

static void
tell_problems(const struct running *run, const struct plan *plan)
{
	for (size_t i = 0; i < plan->problem_count; i++) {
		const struct plan_problem *p = &plan->problems[i];

		log_say(SET_LOG_WARNING, "%s: <%.*s>: sieve: %.*s",
		    run->parcel->id, STR_ARG(p->target->address),
		    STR_ARG(p->text));
		user_log(run, p);
	}
}

void
effects_run(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *who, const struct plan *plan)
{
	struct running run = { agent, parcel, who };

	for (size_t i = 0; i < plan->effect_count; i++) {
		const struct plan_effect *e = &plan->effects[i];

		switch (e->action->kind) {
		case ENGINE_MARK:
			mark(&run, e);
			break;
		default:
			break;	/* carried out before */
		}
	}
	tell_problems(&run, plan);
}

int
effects_sender(const struct settings *s, const struct parcel *parcel,
    struct buf *out, struct verdict *v)
{
	(void)s;
	(void)v;
	buf_reset(out);
	return buf_adds(out, parcel->envelope->sender);
}
