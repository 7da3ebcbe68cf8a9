#include "lda/quota_notice.h"

#include <errno.h>
#include <fcntl.h>

#include "lda/compose.h"
#include "lda/log.h"
#include "lda/metrics.h"
#include "lda/place.h"
#include "lda/quota_account.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/mailbox.h"

#define TEMPLATE_MAX 65536
#define ADDRESS_MAX 1024
#define NUMBER_MAX 64

void
quota_people_size(uint64_t bytes, struct buf *out)
{
	static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB" };
	uint64_t n = bytes, rest = 0;
	size_t i = 0;

	while (n >= 1024 && i + 1 < sizeof(units) / sizeof(*units)) {
		rest = n % 1024;
		n /= 1024;
		i++;
	}
	if (n < 10 && i > 0)
		buf_addf(out, "%llu.%llu %s", (unsigned long long)n,
		    (unsigned long long)(rest * 10 / 1024), units[i]);
	else
		buf_addf(out, "%llu %s", (unsigned long long)n, units[i]);
}

static void
people_amount(const struct quota_news *news, uint64_t n, struct buf *out)
{
	if (news->messages)
		buf_addf(out, "%llu messages", (unsigned long long)n);
	else
		quota_people_size(n, out);
}

/* A template that cannot be read gives way to our own words. */
static void
read_template(const char *path, struct buf *out)
{
	int fd;

	if (!path[0])
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || file_read_whole(fd, out) < 0) {
		log_say(SET_LOG_WARNING, "quota_template %s cannot be read: "
		    "errno %d", path, errno);
		buf_reset(out);
	}
	file_close(&fd);
}

static void
add_postmaster(const struct agent *agent, const struct settings *s,
    struct buf *out)
{
	buf_addz(out, s->postmaster[0] ? s->postmaster : "postmaster");
	if (str_chr(buf_str(out), '@') < 0)
		buf_addf(out, "@%s", agent->hostname);
}

static int
compose(const struct agent *agent, const struct target *t,
    const struct settings *s, const struct quota_news *news, struct buf *out)
{
	struct buf template, used, limit, postmaster;
	struct compose c;
	struct compose_quota q;
	int r;

	buf_init(&template, TEMPLATE_MAX);
	buf_init(&used, NUMBER_MAX);
	buf_init(&limit, NUMBER_MAX);
	buf_init(&postmaster, ADDRESS_MAX);
	read_template(s->quota_template, &template);
	people_amount(news, news->used, &used);
	people_amount(news, news->limit, &limit);
	add_postmaster(agent, s, &postmaster);
	c = (struct compose){ .hostname = str_of(agent->hostname),
	    .postmaster = buf_str(&postmaster), .user = t->address,
	    .now = clock_now() };
	q = (struct compose_quota){ .template = buf_str(&template),
	    .percent = news->percent, .used = buf_str(&used),
	    .limit = buf_str(&limit) };
	r = compose_quota(&c, &q, out);
	buf_release(&template);
	buf_release(&used);
	buf_release(&limit);
	buf_release(&postmaster);
	return r;
}

/* As any message: it has to fit, and it counts. */
static int
store(const struct agent *agent, const struct target *t,
    const struct settings *s, struct str message, struct verdict *v)
{
	struct source source = { .mem = message.p, .fd = -1, .n = message.n };
	ptrdiff_t end = str_find(message, STR("\n\n"));
	struct content content = { .sender = STR(""), .when = clock_now(),
	    .message = &source,
	    .body = end < 0 ? message.n : (uint64_t)end + 2 };
	struct quota_account_walk walk;
	struct quota_account a;
	struct quota_hold *h = NULL;
	struct quota_news news;
	struct mailbox_spec spec;
	struct mailbox *mb = NULL;
	struct arena arena;
	int r = -1;

	arena_init(&arena, PLACE_ARENA);
	if (quota_account_fill(s, t, agent->resolver->directory, &arena, &walk,
	    &a, v) < 0 || place_mailbox(s, t, STR(""), agent->hostname, &arena,
	    &spec, v) < 0)
		goto out;
	/* It tells of a warning; it does not cross another one. */
	a.quiet = true;
	if (mailbox_open(&spec, &content, &mb, v) < 0 ||
	    quota_reserve(&a, mailbox_size(mb), 1, &h, &news, v) < 0 ||
	    mailbox_settle(mb, v) < 0 || mailbox_publish(mb, v) < 0 ||
	    mailbox_sync(mb, v) < 0)
		goto out;
	quota_wrote(h, spec.root, spec.path, mailbox_descriptor(mb));
	r = quota_settle(&h, &news, v);
out:
	mailbox_close(&mb);
	quota_release(&h);
	arena_release(&arena);
	return r;
}

void
quota_notice(const struct agent *agent, const struct target *t,
    const struct settings *s, const struct quota_news *news)
{
	struct verdict v = VERDICT_INIT;
	struct buf message;

	log_say(SET_LOG_INFO, "quota: <%.*s> is at %u %% of %llu %s%s",
	    STR_ARG(t->address), news->percent,
	    (unsigned long long)news->limit,
	    news->messages ? "messages" : "bytes",
	    news->full ? ", mail was refused" : "");
	metrics_add(METRIC_QUOTA_WARNINGS, 1);
	buf_init(&message, COMPOSE_MAX);
	if (compose(agent, t, s, news, &message) < 0)
		log_say(SET_LOG_WARNING, "quota: no notice can be made for "
		    "<%.*s>", STR_ARG(t->address));
	else if (store(agent, t, s, buf_str(&message), &v) < 0)
		log_say(SET_LOG_WARNING, "quota: no notice stored for <%.*s>: "
		    "%s", STR_ARG(t->address), v.detail);
	buf_release(&message);
}
