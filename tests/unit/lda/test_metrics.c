/* Metrics: counted by many processes, read by strict readers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lda/metrics.h"
#include "store/base/buf.h"
#include "store/base/file.h"

#define TEXT_MAX (256 << 10)
#define WORKERS 4
#define ROUNDS 20000

static void
wait_well(void)
{
	int status = -1;

	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static void
workers_count_together(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct buf out;

	(void)state;
	assert_int_equal(metrics_init(&v), 0);
	for (int w = 0; w < WORKERS; w++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct verdict ok = { .why = V_OK };
			struct verdict no = { .why = V_UNKNOWN_USER };

			for (int i = 0; i < ROUNDS; i++) {
				metrics_add(METRIC_MESSAGES, 1);
				metrics_add(METRIC_CONNECTIONS_NOW, 1);
				metrics_subtract(METRIC_CONNECTIONS_NOW, 1);
				metrics_delivery(&ok, 700, 10);
			}
			metrics_delivery(&no, 90000000, 10);
			_exit(0);
		}
		assert_true(pid > 0);
	}
	for (int w = 0; w < WORKERS; w++)
		wait_well();
	assert_int_equal(metrics_value(METRIC_MESSAGES), WORKERS * ROUNDS);
	assert_int_equal(metrics_value(METRIC_CONNECTIONS_NOW), 0);
	/* What was refused was not stored. */
	assert_int_equal(metrics_value(METRIC_BYTES), WORKERS * ROUNDS * 10);
	buf_init(&out, TEXT_MAX);
	metrics_render(&out);
	assert_non_null(strstr(out.p, "vbox_messages_total 80000\n"));
	assert_non_null(strstr(out.p,
	    "vbox_deliveries_total{verdict=\"unknown_user\"} 4\n"));
	assert_non_null(strstr(out.p,
	    "vbox_delivery_seconds_bucket{le=\"0.0005\"} 0\n"
	    "vbox_delivery_seconds_bucket{le=\"0.001\"} 80000\n"));
	assert_non_null(strstr(out.p,
	    "vbox_delivery_seconds_bucket{le=\"60.0\"} 80000\n"
	    "vbox_delivery_seconds_bucket{le=\"+Inf\"} 80004\n"
	    "vbox_delivery_seconds_sum 416.000000\n"
	    "vbox_delivery_seconds_count 80004\n"));
	assert_true(str_ends(buf_str(&out), STR("\n# EOF\n")));
	buf_release(&out);
	metrics_release();
}

static void
without_a_shared_page_it_counts_alone(void **state)
{
	uint64_t before = metrics_value(METRIC_REDIRECTS);

	(void)state;
	metrics_add(METRIC_REDIRECTS, 2);
	assert_int_equal(metrics_value(METRIC_REDIRECTS), before + 2);
}

static void
every_row_has_a_name(void **state)
{
	struct buf out;
	struct str rest, line;
	size_t samples = 0;

	(void)state;
	buf_init(&out, TEXT_MAX);
	metrics_render(&out);
	assert_false(out.full);
	rest = buf_str(&out);
	while (str_split(&rest, '\n', &line)) {
		if (line.n == 0 || line.p[0] == '#')
			continue;
		assert_true(str_starts(line, STR("vbox_")));
		assert_true(ascii_isdigit(line.p[line.n - 1]));
		samples++;
	}
	assert_true(samples > METRIC_COUNT + V_WHY_COUNT);
	buf_release(&out);
}

/* Runs a program with `text` as its standard input; its exit status. */
static int
feed(const char *const *argv, struct str text)
{
	int ends[2], status = -1;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(ends[0], STDIN_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0);
	(void)close(ends[0]);
	assert_int_equal(file_write_all(ends[1], text.p, text.n), 0);
	(void)close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define PYTHON "/usr/bin/python3"

static void
the_openmetrics_reader_of_prometheus_accepts_it(void **state)
{
	static const char *const there[] = { PYTHON, "-c",
	    "import prometheus_client.openmetrics.parser", NULL };
	static const char *const argv[] = { PYTHON, "-c",
	    "import sys\n"
	    "from prometheus_client.openmetrics.parser import "
	    "text_string_to_metric_families as parse\n"
	    "families = {f.name: f for f in parse(sys.stdin.read())}\n"
	    "assert families['vbox_delivery_seconds'].type == 'histogram'\n"
	    "assert families['vbox_deliveries'].type == 'counter'\n"
	    "assert families['vbox_connections_open'].type == 'gauge'\n"
	    "assert all(f.documentation for f in families.values())\n", NULL };
	struct buf out;

	(void)state;
	/* Without the package python3-prometheus-client. */
	if (feed(there, STR("")) != 0)
		skip();
	buf_init(&out, TEXT_MAX);
	metrics_render(&out);
	assert_int_equal(feed(argv, buf_str(&out)), 0);
	buf_release(&out);
}

static void
a_textfile_is_replaced_whole(void **state)
{
	char dir[] = "/tmp/vbox-metrics-XXXXXX", path[PATH_MAX], name[PATH_MAX + 8];
	struct verdict v = VERDICT_INIT;
	struct stat st;
	struct buf text;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/vbox.prom", dir);
	(void)snprintf(name, sizeof(name), "%s.new", path);
	/* What a killed writer left does not matter. */
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(metrics_write(path, &v), 0);
		assert_int_equal(v.why, V_OK);
		assert_int_equal(access(name, F_OK), -1);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	buf_init(&text, TEXT_MAX);
	assert_int_equal(file_read_whole(fd, &text), 0);
	(void)close(fd);
	assert_non_null(strstr(text.p, "# TYPE vbox_deliveries_total counter\n"));
	assert_null(strstr(text.p, "# EOF"));
	buf_release(&text);
	assert_int_equal(unlink(path), 0);
	/* What is no regular file is not replaced (a FIFO stands for
	 * /dev/null). */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(metrics_write(path, &v), -1);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(metrics_write(path, &v), -1);
	assert_int_not_equal(v.why, V_OK);
}

static void
promtool_has_nothing_to_say(void **state)
{
	static const char *const places[] = {
		"build/roots/prometheus/usr/bin/promtool", "/usr/bin/promtool",
	};
	char path[] = "/tmp/vbox-metrics-XXXXXX";
	struct verdict v = VERDICT_INIT;
	struct buf text;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(metrics_write(path, &v), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	buf_init(&text, TEXT_MAX);
	assert_int_equal(file_read_whole(fd, &text), 0);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const char *argv[] = { places[i], "check", "metrics", NULL };

		if (access(places[i], X_OK) < 0)
			continue;
		/* 3: a complaint about style */
		assert_int_equal(feed(argv, buf_str(&text)), 0);
		buf_release(&text);
		return;
	}
	buf_release(&text);
	skip();		/* make test-deps unpacks it */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_count_together),
		cmocka_unit_test(without_a_shared_page_it_counts_alone),
		cmocka_unit_test(every_row_has_a_name),
		cmocka_unit_test(the_openmetrics_reader_of_prometheus_accepts_it),
		cmocka_unit_test(a_textfile_is_replaced_whole),
		cmocka_unit_test(promtool_has_nothing_to_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
