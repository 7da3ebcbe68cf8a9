/*
 * What a look-up costs: directory SPEC USERS DOMAINS SECONDS
 *
 * Fills the directory, then resolves users at random: without a cache, with
 * a cache that holds them, and addresses that nobody has. A line of JSON
 * with microseconds for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lda/resolve.h"
#include "store/base/clock.h"
#include "store/directory/writer.h"

static unsigned long users, domains;
static double seconds;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what, const struct verdict *v)
{
	fprintf(stderr, "%s: %s\n", what, v->detail);
	exit(1);
}

/* User n is u<n> in the domain of n. */
static void
name_of(unsigned long n, char local[32], char domain[64])
{
	snprintf(local, 32, "u%lu", n);
	snprintf(domain, 64, "domain-%lu.example", n % domains);
}

static double
fill(const char *spec)
{
	struct directory_settings set = { 0 };
	struct verdict v = VERDICT_INIT;
	struct directory_writer *w = NULL;
	char local[32], domain[64];
	double began = now();

	if (directory_writer_open(spec, &set, &w, &v) < 0 ||
	    directory_writer_begin(w, &v) < 0)
		die(spec, &v);
	for (unsigned long n = 0; n < domains; n++) {
		struct directory_entry e = { .kind = ENTRY_DOMAIN };

		name_of(n, local, domain);
		domain_record_init(&e.is.domain);
		e.is.domain.name = str_of(domain);
		if (directory_writer_put(w, &e, &v) < 0)
			die(spec, &v);
	}
	for (unsigned long n = 0; n < users; n++) {
		struct directory_entry e = { .kind = ENTRY_USER };

		name_of(n, local, domain);
		account_init(&e.is.user);
		e.is.user.local = str_of(local);
		e.is.user.domain = str_of(domain);
		e.is.user.quota_bytes = 1 << 30;
		if (directory_writer_put(w, &e, &v) < 0)
			die(spec, &v);
		if (n % 10000 == 0 && isatty(STDERR_FILENO))
			fprintf(stderr, "\r%s: %lu\033[K", spec, n);
	}
	if (directory_writer_commit(w, &v) < 0)
		die(spec, &v);
	directory_writer_close(&w);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return now() - began;
}

/* Microseconds of one look-up of random users below `most`. */
static double
measure(const char *spec, const struct directory_settings *set,
    unsigned long most, const char *suffix, enum verdict_why want)
{
	struct verdict v = VERDICT_INIT;
	struct directory *d = NULL;
	struct resolver r = { .delimiters = "+" };
	struct resolution res;
	struct arena a;
	char local[64], domain[64];
	unsigned long count = 0, warm = set->cache_ttl_ms > 0 ? most : 100;
	double began = 0, end = 0;

	if (directory_open(&spec, 1, set, &d, &v) < 0)
		die(spec, &v);
	r.directory = d;
	arena_init(&a, RESOLVE_ARENA);
	srandom(1);
	for (unsigned long n = 0;; n++) {
		if (n == warm)
			began = now();
		if (n >= warm && (n & 63) == 0 &&
		    (end = now()) - began >= seconds)
			break;
		name_of(n < warm ? n : (unsigned long)random() % most, local,
		    domain);
		memcpy(local + strlen(local), suffix, strlen(suffix) + 1);
		arena_reset(&a);
		(void)resolve_recipient(&r, str_of(local), str_of(domain),
		    STR(""), &a, &res); /* the verdict says it too */
		if (res.verdict.why != want)
			die(local, &res.verdict);
		count += n >= warm;
	}
	arena_release(&a);
	directory_close(&d);
	return (end - began) * 1e6 / (double)count;
}

int
main(int argc, char **argv)
{
	struct directory_settings plain = { 0 }, cached = {
		.cache_ttl_ms = 3600000, .cache_absent_ms = 3600000,
		.cache_entries = 1000000,
	};
	double filled;

	if (argc != 5) {
		fprintf(stderr, "usage: directory SPEC USERS DOMAINS SECONDS\n");
		return 64;
	}
	users = strtoul(argv[2], NULL, 10);
	domains = strtoul(argv[3], NULL, 10);
	seconds = strtod(argv[4], NULL);
	filled = fill(argv[1]);
	printf("{\"directory\": \"%s\", \"fill_s\": %.2f, \"plain_us\": %.2f, "
	    "\"absent_us\": %.2f, \"cached_us\": %.2f}\n", argv[1], filled,
	    measure(argv[1], &plain, users, "", V_OK),
	    measure(argv[1], &plain, users, "x", V_UNKNOWN_USER),
	    measure(argv[1], &cached, users, "", V_OK));
	return 0;
}
