#include "lda/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"

#define TEXT_MAX (64 << 10)
#define TEXTFILE_MODE 0644
#define PATH_LONGEST 1100

enum row_type { COUNTER, GAUGE };

/* Rows of one family stand together; the first has its help. */
struct row {
	const char *family;
	enum row_type type;
	const char *label;	/* "answer=\"found\"", or NULL */
	const char *help;
};

static const struct row rows[METRIC_COUNT] = {
	[METRIC_BYTES] = { "vbox_stored_bytes", COUNTER, NULL,
	    "Bytes of the messages that were stored." },
	[METRIC_CONNECTIONS] = { "vbox_connections", COUNTER, NULL,
	    "Connections that were accepted." },
	[METRIC_CONNECTIONS_REFUSED] = { "vbox_connections_refused", COUNTER,
	    NULL, "Connections that were turned away because of a limit." },
	[METRIC_CONNECTIONS_NOW] = { "vbox_connections_open", GAUGE, NULL,
	    "Connections that are open now." },
	[METRIC_MESSAGES] = { "vbox_messages", COUNTER, NULL,
	    "Messages that were received completely." },
	[METRIC_RECIPIENTS_OK] = { "vbox_recipients", COUNTER,
	    "answer=\"ok\"", "Recipients by the answer at RCPT time." },
	[METRIC_RECIPIENTS_LATER] = { "vbox_recipients", COUNTER,
	    "answer=\"later\"", NULL },
	[METRIC_RECIPIENTS_REFUSED] = { "vbox_recipients", COUNTER,
	    "answer=\"refused\"", NULL },
	[METRIC_PROTOCOL_ERRORS] = { "vbox_protocol_errors", COUNTER, NULL,
	    "Commands of clients that broke the protocol." },
	[METRIC_TIMEOUTS] = { "vbox_timeouts", COUNTER, NULL,
	    "Connections that were closed because the client was silent." },
	[METRIC_WORKERS_NOW] = { "vbox_workers", GAUGE, NULL,
	    "Worker processes that are running now." },
	[METRIC_WORKER_CRASHES] = { "vbox_worker_crashes", COUNTER, NULL,
	    "Worker processes that ended by a signal." },
	[METRIC_RELOADS] = { "vbox_reloads", COUNTER, NULL,
	    "Configurations that were read anew." },
	[METRIC_LOOKUP_FOUND] = { "vbox_directory_lookups", COUNTER,
	    "answer=\"found\"", "Questions to the directory by its answer." },
	[METRIC_LOOKUP_ABSENT] = { "vbox_directory_lookups", COUNTER,
	    "answer=\"absent\"", NULL },
	[METRIC_LOOKUP_BROKEN] = { "vbox_directory_lookups", COUNTER,
	    "answer=\"broken\"", NULL },
	[METRIC_CACHE_HIT] = { "vbox_cache_lookups", COUNTER,
	    "answer=\"hit\"", "Questions to the cache of the directory." },
	[METRIC_CACHE_MISS] = { "vbox_cache_lookups", COUNTER,
	    "answer=\"miss\"", NULL },
	[METRIC_CACHE_STALE] = { "vbox_cache_lookups", COUNTER,
	    "answer=\"stale\"", NULL },
	[METRIC_LOCK_TIMEOUTS] = { "vbox_lock_timeouts", COUNTER, NULL,
	    "Deliveries that did not get the locks of a mailbox in time." },
	[METRIC_DOTLOCKS_REMOVED] = { "vbox_dotlocks_removed", COUNTER, NULL,
	    "Stale dotlocks that were removed." },
	[METRIC_MBOX_REPAIRS] = { "vbox_mbox_repairs", COUNTER, NULL,
	    "Torn ends of an mbox that were cut." },
	[METRIC_RETRIES_KNOWN] = { "vbox_retries_known", COUNTER, NULL,
	    "Retries that were answered without a second copy." },
	[METRIC_LOGGED] = { "vbox_log_deliveries", COUNTER, NULL,
	    "Deliveries that the delivery log made durable." },
	[METRIC_LOG_FULL] = { "vbox_log_full", COUNTER, NULL,
	    "Deliveries that found no room in the delivery log." },
	[METRIC_LOG_REPLAYED] = { "vbox_log_replayed", COUNTER, NULL,
	    "Messages of the delivery log looked at after a power cut." },
	[METRIC_LOG_MENDED] = { "vbox_log_written_again", COUNTER, NULL,
	    "Those of them that were missing and were written again." },
	[METRIC_LOG_ASIDE] = { "vbox_log_set_aside", COUNTER, NULL,
	    "Those of them that could not be put where they belong." },
	[METRIC_LOG_ROOM] = { "vbox_log_bytes", GAUGE, NULL,
	    "Size of the delivery log; 0: it is not in use." },
	[METRIC_REDIRECTS] = { "vbox_redirects", COUNTER, NULL,
	    "Messages that were handed to the MTA as redirect or forward." },
	[METRIC_REPLIES] = { "vbox_replies", COUNTER, NULL,
	    "Vacation answers, rejects and notices that were sent." },
	[METRIC_SIEVE_ERRORS] = { "vbox_sieve_errors", COUNTER, NULL,
	    "Scripts that could not be run to their end." },
	[METRIC_SCAN_CLEAN] = { "vbox_scans", COUNTER, "answer=\"clean\"",
	    "Messages that a scanner was to look at." },
	[METRIC_SCAN_FOUND] = { "vbox_scans", COUNTER, "answer=\"found\"",
	    NULL },
	[METRIC_SCAN_UNASKED] = { "vbox_scans", COUNTER,
	    "answer=\"unasked\"", NULL },
	[METRIC_SCAN_FAILED] = { "vbox_scans", COUNTER, "answer=\"failed\"",
	    NULL },
	[METRIC_FILTER_CRASHES] = { "vbox_filter_crashes", COUNTER, NULL,
	    "Filter processes that ended by a signal." },
	[METRIC_FILTER_TIMEOUTS] = { "vbox_filter_timeouts", COUNTER, NULL,
	    "Filter processes that took too long." },
	[METRIC_CONTENT_ACCEPTED] = { "vbox_content", COUNTER,
	    "verdict=\"accept\"", "Messages that a content policy judged." },
	[METRIC_CONTENT_TAGGED] = { "vbox_content", COUNTER,
	    "verdict=\"tag\"", NULL },
	[METRIC_CONTENT_QUARANTINED] = { "vbox_content", COUNTER,
	    "verdict=\"quarantine\"", NULL },
	[METRIC_CONTENT_REJECTED] = { "vbox_content", COUNTER,
	    "verdict=\"reject\"", NULL },
	[METRIC_CONTENT_FAILED] = { "vbox_content", COUNTER,
	    "verdict=\"failed\"", NULL },
	[METRIC_QUOTA_WARNINGS] = { "vbox_quota_warnings", COUNTER, NULL,
	    "Warnings about a full mailbox that were sent." },
	[METRIC_MAP_FOUND] = { "vbox_map_lookups", COUNTER,
	    "answer=\"found\"", "Questions of the MTA by socketmap." },
	[METRIC_MAP_ABSENT] = { "vbox_map_lookups", COUNTER,
	    "answer=\"absent\"", NULL },
	[METRIC_MAP_BROKEN] = { "vbox_map_lookups", COUNTER,
	    "answer=\"broken\"", NULL },
	[METRIC_POLICY_ANSWERS] = { "vbox_policy_answers", COUNTER, NULL,
	    "Questions of the MTA by the policy protocol." },
};

/* Seconds; a delivery to an idle disk takes single milliseconds, one that
 * waits for a lock tens of seconds. */
static const struct {
	uint64_t us;
	const char *le;
} buckets[] = {
	{ 500, "0.0005" }, { 1000, "0.001" }, { 2500, "0.0025" },
	{ 5000, "0.005" }, { 10000, "0.01" }, { 25000, "0.025" },
	{ 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1.0" }, { 2500000, "2.5" },
	{ 5000000, "5.0" }, { 10000000, "10.0" }, { 30000000, "30.0" },
	{ 60000000, "60.0" },
};
#define BUCKETS (sizeof(buckets) / sizeof(buckets[0]))

struct counters {
	atomic_uint_fast64_t values[METRIC_COUNT];
	atomic_uint_fast64_t verdicts[V_WHY_COUNT];
	atomic_uint_fast64_t seconds[BUCKETS + 1];	/* the last: +Inf */
	atomic_uint_fast64_t us;
	int64_t started;
};

static struct counters alone;
static struct counters *counters = &alone;

int
metrics_init(struct verdict *v)
{
	void *p;

	if (counters == &alone) {
		p = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return verdict_errno(v, errno, "counters");
		counters = p;
		counters->started = clock_now();
	}
	return 0;
}

void
metrics_release(void)
{
	if (counters != &alone)
		(void)munmap(counters, sizeof(*counters));
	counters = &alone;
}

static void
count(atomic_uint_fast64_t *c, uint64_t n)
{
	/* Nothing is ordered by a counter. */
	(void)atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static uint64_t
value(const atomic_uint_fast64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void
metrics_add(enum metric m, uint64_t n)
{
	count(&counters->values[m], n);
}

void
metrics_subtract(enum metric m, uint64_t n)
{
	(void)atomic_fetch_sub_explicit(&counters->values[m], n,
	    memory_order_relaxed);
}

uint64_t
metrics_value(enum metric m)
{
	return value(&counters->values[m]);
}

void
metrics_delivery(const struct verdict *v, uint64_t us, uint64_t bytes)
{
	size_t i = 0;

	while (i < BUCKETS && us > buckets[i].us)
		i++;
	count(&counters->seconds[i], 1);
	count(&counters->us, us);
	count(&counters->verdicts[v->why], 1);
	if (verdict_kind(v) == VERDICT_DONE)
		metrics_add(METRIC_BYTES, bytes);
}

/* OpenMetrics names a counter's family without the _total of its samples,
 * the older format with it. */
enum format { OPENMETRICS, PROMETHEUS };

static void
head(enum format format, const char *family, const char *type,
    const char *help, struct buf *out)
{
	const char *total = format == PROMETHEUS &&
	    strcmp(type, "counter") == 0 ? "_total" : "";

	(void)buf_addf(out, "# TYPE %s%s %s\n# HELP %s%s %s\n", family, total,
	    type, family, total, help);
}

static void
render_rows(enum format format, struct buf *out)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct row *r = &rows[i];
		bool gauge = r->type == GAUGE;
		uint64_t n = metrics_value((enum metric)i);

		if (r->help)
			head(format, r->family, gauge ? "gauge" : "counter",
			    r->help, out);
		(void)buf_addf(out, "%s%s%s%s%s ", r->family,
		    gauge ? "" : "_total", r->label ? "{" : "",
		    r->label ? r->label : "", r->label ? "}" : "");
		/* Taken down by two processes, a gauge may pass zero for a
		 * moment. */
		if (gauge && n > INT64_MAX)
			n = 0;
		(void)buf_addf(out, "%llu\n", (unsigned long long)n);
	}
}

static void
render_deliveries(enum format format, struct buf *out)
{
	uint64_t sum = 0, us = value(&counters->us);

	head(format, "vbox_deliveries", "counter",
	    "Recipients that were done with, by verdict.", out);
	for (size_t i = 0; i < V_WHY_COUNT; i++) {
		struct verdict v = { .why = (enum verdict_why)i };

		(void)buf_addf(out, "vbox_deliveries_total{verdict=\"%s\"} "
		    "%llu\n", verdict_word(&v),
		    (unsigned long long)value(&counters->verdicts[i]));
	}
	head(format, "vbox_delivery_seconds", "histogram",
	    "How long one recipient took, from its turn to its verdict.", out);
	for (size_t i = 0; i <= BUCKETS; i++) {
		sum += value(&counters->seconds[i]);
		(void)buf_addf(out, "vbox_delivery_seconds_bucket{le=\"%s\"} "
		    "%llu\n", i < BUCKETS ? buckets[i].le : "+Inf",
		    (unsigned long long)sum);
	}
	(void)buf_addf(out, "vbox_delivery_seconds_sum %llu.%06llu\n"
	    "vbox_delivery_seconds_count %llu\n",
	    (unsigned long long)(us / 1000000),
	    (unsigned long long)(us % 1000000), (unsigned long long)sum);
}

static void
render(enum format format, struct buf *out)
{
	head(format, "vbox_start_time_seconds", "gauge",
	    "When the service was started, in seconds since 1970.", out);
	(void)buf_addf(out, "vbox_start_time_seconds %lld\n",
	    (long long)counters->started);
	if (format == OPENMETRICS)
		(void)buf_addz(out, "# TYPE vbox_build info\n"
		    "# HELP vbox_build What is running.\n"
		    "vbox_build_info{version=\"" VBOX_VERSION "\"} 1\n");
	else
		(void)buf_addz(out, "# TYPE vbox_build_info gauge\n"
		    "# HELP vbox_build_info What is running.\n"
		    "vbox_build_info{version=\"" VBOX_VERSION "\"} 1\n");
	render_deliveries(format, out);
	render_rows(format, out);
	if (format == OPENMETRICS)
		(void)buf_addz(out, "# EOF\n");
}

void
metrics_render(struct buf *out)
{
	render(OPENMETRICS, out);
}

int
metrics_write(const char *path, struct verdict *v)
{
	char fresh[PATH_LONGEST];
	struct buf text;
	int fd = -1, n, r = -1;

	buf_init(&text, TEXT_MAX);
	/* The collector reads *.prom only. */
	n = snprintf(fresh, sizeof(fresh), "%s.new", path);
	if (n < 0 || (size_t)n >= sizeof(fresh)) {
		(void)verdict_set(v, V_CONFIG, "metrics_textfile is too long");
		goto out;
	}
	render(PROMETHEUS, &text);
	if (unlink(fresh) < 0 && errno != ENOENT)
		goto failed;
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    TEXTFILE_MODE);
	if (fd < 0)
		goto failed;
	/* Figures are not mail: they are whole or old, but not synced. */
	if (file_write_all(fd, text.p, text.n) < 0 ||
	    fchmod(fd, TEXTFILE_MODE) < 0 || file_close_checked(&fd) < 0 ||
	    file_rename_over(AT_FDCWD, fresh, AT_FDCWD, path) < 0) {
		int saved = errno;

		(void)unlink(fresh);	/* the first error is the one to tell */
		errno = saved;
		goto failed;
	}
	r = verdict_ok(v, "metrics written to %s", path);
	goto out;
failed:
	(void)verdict_errno(v, errno, "%s", path);
out:
	file_close(&fd);
	buf_release(&text);
	return r;
}
