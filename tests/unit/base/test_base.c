/* The floor: text, numbers, verdicts, files below a directory. */
#include <errno.h>
#include <fcntl.h>
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

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/checksum.h"
#include "store/base/clock.h"
#include "store/base/file.h"
#include "store/base/kept.h"
#include "store/base/num.h"
#include "store/base/self.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

static void
buf_undoes_percent(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 16);
	assert_int_equal(buf_add_percent(&b, STR("%44%6a%%%4x%4")), 0);
	assert_string_equal(b.p, "Dj%%%4x%4");
	buf_release(&b);
	buf_init(&b, 3);
	assert_int_equal(buf_add_percent(&b, STR("%41%42%43%44")), -1);
	assert_string_equal(b.p, "ABC");
	assert_true(b.full);
	buf_release(&b);
}

static void
buf_refuses_past_its_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_addz(&b, "abc"), 0);
	assert_int_equal(buf_addz(&b, "def"), -1);
	assert_true(b.full);
	assert_string_equal(b.p, "abc");
	assert_int_equal(buf_addf(&b, "%d", 42), 0);
	assert_string_equal(b.p, "abc42");
	assert_int_equal(buf_addc(&b, 'x'), -1);
	buf_reset(&b);
	assert_false(b.full);
	assert_int_equal(b.n, 0);
	buf_release(&b);
}

static void
str_splits_and_keeps_nul(void **state)
{
	struct str rest = STR("a,,b\0c"), part;
	const struct str want[] = { STR("a"), STR(""), STR("b\0c") };
	size_t i = 0;

	(void)state;
	while (str_split(&rest, ',', &part))
		assert_true(str_eq(part, want[i++]));
	assert_int_equal(i, 3);
	assert_true(str_caseeq(STR("Fred"), STR("fREd")));
	assert_false(str_caseeq(STR("Fre"), STR("fREd")));
	assert_true(str_eq(str_trim(STR(" \tx y\r\n")), STR("x y")));
	assert_int_equal(str_find(STR("xaab"), STR("ab")), 2);
}

static void
numbers_are_strict(void **state)
{
	static const struct {
		const char *text;
		int (*parse)(struct str, uint64_t *);
		int64_t want;	/* -1: refused */
	} cases[] = {
		{ "10M", num_size, 10 << 20 }, { "1k", num_size, 1024 },
		{ "5GiB", num_size, 5LL << 30 }, { "0", num_size, 0 },
		{ "", num_size, -1 }, { "M", num_size, -1 },
		{ "-1", num_size, -1 }, { " 1", num_size, -1 },
		{ "1 M", num_size, -1 }, { "1X", num_size, -1 },
		{ "9999999T", num_size, -1 },
		{ "99999999999999999999", num_size, -1 },
		{ "30s", num_duration, 30000 }, { "250ms", num_duration, 250 },
		{ "2", num_duration, 2000 }, { "1d", num_duration, 86400000 },
		{ "1y", num_duration, -1 }, { "1.5s", num_duration, -1 },
	};
	uint64_t got;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		got = 7;
		if (cases[i].want < 0) {
			assert_int_equal(cases[i].parse(str_of(cases[i].text), &got), -1);
			assert_int_equal(got, 7);
		} else {
			assert_int_equal(cases[i].parse(str_of(cases[i].text), &got), 0);
			assert_int_equal(got, cases[i].want);
		}
	}
	assert_int_equal(num_u64(STR("256"), 255, &got), -1);
	assert_int_equal(num_octal(STR("0770"), 07777, &got), 0);
	assert_int_equal(got, 0770);
	assert_int_equal(num_octal(STR("8"), 07777, &got), -1);
}

static void
verdict_is_born_as_try_again(void **state)
{
	struct verdict v = VERDICT_INIT;

	(void)state;
	assert_int_equal(verdict_kind(&v), VERDICT_LATER);
	assert_int_equal(verdict_exit(&v, EXITS_SYSEXITS), 75);
	assert_int_equal(verdict_exit(&v, EXITS_QMAIL), 111);
	assert_string_equal(verdict_code(&v), "4.3.0");
}

static void
verdict_classes_agree(void **state)
{
	struct verdict v = VERDICT_INIT;

	(void)state;
	for (int i = 0; i < V_WHY_COUNT; i++) {
		int code;

		verdict_set(&v, (enum verdict_why)i, "x");
		code = verdict_exit(&v, EXITS_SYSEXITS);
		/* RFC 3463 section 2: class and reply agree. */
		assert_int_equal(verdict_code(&v)[0] - '0', verdict_reply(&v) / 100);
		/* Codes that some MTA reads the other way round. */
		assert_false(code == 70 || code == 73 || code == 74 || code == 78);
		switch (verdict_kind(&v)) {
		case VERDICT_DONE:
			assert_int_equal(code, 0);
			break;
		case VERDICT_LATER:
			assert_int_equal(code, 75);
			break;
		case VERDICT_REFUSED:
			assert_int_not_equal(code, 75);
			assert_int_equal(verdict_exit(&v, EXITS_QMAIL), 100);
			break;
		}
		assert_int_equal(verdict_by_word(verdict_word(&v)), i);
	}
}

static void
verdict_has_lines(void **state)
{
	struct verdict v = VERDICT_INIT;
	struct str line;

	(void)state;
	assert_true(verdict_line(&v, 0, &line));
	assert_true(str_eq(line, str_of(verdict_text(&v))));
	assert_false(verdict_line(&v, 1, &line));
	verdict_set(&v, V_POLICY, "x");
	verdict_say_line(&v, STR("one"));
	verdict_say_line(&v, STR("t\two"));
	verdict_say_line(&v, STR("3"));
	assert_string_equal(verdict_text(&v), "one t?wo 3");
	assert_true(verdict_line(&v, 0, &line) && str_eq(line, STR("one")));
	assert_true(verdict_line(&v, 1, &line) && str_eq(line, STR("t?wo")));
	assert_true(verdict_line(&v, 2, &line) && str_eq(line, STR("3")));
	assert_false(verdict_line(&v, 3, &line));
	/* what does not fit is cut, lines and bytes */
	for (int i = 0; i < 2 * VERDICT_LINES; i++)
		verdict_say_line(&v, STR("x"));
	assert_true(verdict_line(&v, VERDICT_LINES - 1, &line));
	assert_true(str_eq(line, STR("x")));
	assert_false(verdict_line(&v, VERDICT_LINES, &line));
	verdict_say(&v, "a");
	for (int i = 0; i < VERDICT_TEXT; i++)
		verdict_say_line(&v, STR("a line of a reason that is told"));
	assert_int_equal(strlen(v.text), VERDICT_TEXT - 1);
	verdict_say(&v, "short");
	assert_true(verdict_line(&v, 0, &line) && str_eq(line, STR("short")));
	assert_false(verdict_line(&v, 1, &line));
}

static void
verdict_hides_errno_and_control_characters(void **state)
{
	struct verdict v = VERDICT_INIT;

	(void)state;
	assert_int_equal(verdict_errno(&v, ENOSPC, "write /secret/path"), -1);
	assert_int_equal(v.why, V_NO_SPACE);
	assert_non_null(strstr(v.detail, "/secret/path"));
	assert_null(strstr(verdict_text(&v), "/"));
	verdict_say_of(&v, "OK ", "17.x");
	assert_string_equal(verdict_text(&v), "OK 17.x");
	verdict_say(&v, "a\r\nb\033c");
	assert_string_equal(verdict_text(&v), "a??b?c");
	verdict_errno(&v, ELOOP, "open");
	assert_int_equal(v.why, V_BOX_UNSAFE);
}

static int
temp_dir(char *path)
{
	strcpy(path, "/tmp/vbox-base-XXXXXX");
	assert_non_null(mkdtemp(path));
	return file_open_root(path);
}

static void
files_stay_below(void **state)
{
	char path[64];
	int root, fd;
	struct stat st;

	(void)state;
	root = temp_dir(path);
	assert_true(root >= 0);
	fd = file_open_dir(root, "a/b/c", FILE_NO_MAKE, 0750);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ENOENT);
	umask(0077);
	fd = file_open_dir(root, "a/b/c", FILE_MAKE, 0751);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	file_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(file_open_beneath(root, "../../etc/passwd", O_RDONLY, 0), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(file_open_beneath(root, "/etc/passwd", O_RDONLY, 0), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(symlinkat("/etc/passwd", root, "link"), 0);
	assert_int_equal(file_open_beneath(root, "link", O_RDONLY, 0), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	assert_int_equal(file_open_beneath(root, "fifo", O_WRONLY, 0), -1);
	assert_int_equal(errno, ENXIO);
	assert_int_equal(unlinkat(root, "link", 0), 0);
	assert_int_equal(unlinkat(root, "fifo", 0), 0);
	assert_int_equal(unlinkat(root, "a/b/c", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(root, "a/b", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(root, "a", AT_REMOVEDIR), 0);
	close(root);
	assert_int_equal(rmdir(path), 0);
}

static void
whole_file_respects_the_ceiling(void **state)
{
	char path[64];
	int root, fd;
	struct buf b;

	(void)state;
	root = temp_dir(path);
	fd = file_open_beneath(root, "f", O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "0123456789", 10), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	buf_init(&b, 9);
	assert_int_equal(file_read_whole(fd, &b), -1);
	assert_int_equal(errno, EFBIG);
	buf_release(&b);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	buf_init(&b, 10);
	assert_int_equal(file_read_whole(fd, &b), 0);
	assert_string_equal(b.p, "0123456789");
	buf_release(&b);
	file_close(&fd);
	assert_int_equal(unlinkat(root, "f", 0), 0);
	close(root);
	assert_int_equal(rmdir(path), 0);
}

static void
dates_do_not_follow_the_locale(void **state)
{
	struct buf b;

	(void)state;
	setenv("TZ", "Asia/Kolkata", 1);
	tzset();
	buf_init(&b, 100);
	clock_asctime(1795226089, &b);
	assert_string_equal(b.p, "Sat Nov 21 01:54:49 2026");
	buf_reset(&b);
	clock_rfc5322(1795226089, &b);
	assert_string_equal(b.p, "Sat, 21 Nov 2026 07:24:49 +0530");
	buf_reset(&b);
	clock_iso(1795226089, &b);
	assert_string_equal(b.p, "2026-11-21T01:54:49Z");
	/* Our own reckoning against the C library's, over 400 years. */
	for (int64_t t = -5000000000; t < 8000000000; t += 7654321) {
		time_t at = (time_t)t;
		struct tm tm;
		char want[80];

		assert_non_null(gmtime_r(&at, &tm));
		assert_true(strftime(want, sizeof(want), "%a %b %e %H:%M:%S %Y",
		    &tm) > 0);
		buf_reset(&b);
		clock_asctime(at, &b);
		assert_string_equal(b.p, want);
	}
	buf_release(&b);
	clock_set_us(5000000);
	assert_int_equal(clock_now(), 5);
	clock_set_us(-1);
	assert_true(clock_now() > 1700000000);
}

static void
checksum_does_not_see_the_pieces(void **state)
{
	char bytes[100];
	uint64_t whole;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	whole = checksum_of(bytes, sizeof(bytes));
	for (size_t a = 0; a <= sizeof(bytes); a++)
		for (size_t b = a; b <= sizeof(bytes); b++) {
			struct checksum c = { 0 };

			checksum_add(&c, bytes, a);
			checksum_add(&c, bytes + a, b - a);
			checksum_add(&c, bytes + b, sizeof(bytes) - b);
			assert_true(checksum_value(&c) == whole);
			/* What is not there is no piece. */
			checksum_add(&c, NULL, 0);
			assert_true(checksum_value(&c) == whole);
		}
	for (size_t i = 0; i < 8 * sizeof(bytes); i++) {
		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
		assert_false(checksum_of(bytes, sizeof(bytes)) == whole);
		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
	}
	memset(bytes, 0, sizeof(bytes));
	for (size_t n = 1; n < sizeof(bytes); n++)
		assert_false(checksum_of(bytes, n) == checksum_of(bytes, n - 1));
}

/* Of undo records, copies and the delivery log on a disk: a version that finds
 * other sums takes what another left for torn. */
static void
checksum_is_the_same_in_all_versions(void **state)
{
	static const struct {
		size_t n;
		uint64_t want;
	} cases[] = {
		{ 0, 0x0000000000000000u },
		{ 1, 0xef4a80df55c8d1f3u },
		{ 7, 0xb47b8bf074a6b759u },
		{ 8, 0x5fce90b1b301ecbcu },
		{ 31, 0x56f04e5bed6bb595u },
		{ 32, 0x48abbaf6a727f00au },
		{ 40, 0x7c9c1979c6a3615bu },
		{ 63, 0x7d01ec545fd485c8u },
		{ 64, 0x5ea567de58d03ec7u },
		{ 100, 0x50b158acdbafcfcbu },
		{ 200, 0xf30ce4eb3303a45eu },
	};
	char bytes[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_true(checksum_of(bytes, cases[i].n) == cases[i].want);
}

static void
arena_counts_and_gives_back(void **state)
{
	struct arena a;
	char *p;

	(void)state;
	arena_init(&a, 100000);
	p = arena_alloc(&a, 50000);
	assert_non_null(p);
	assert_int_equal(p[49999], 0);
	assert_non_null(arena_alloc(&a, 100));
	assert_null(arena_alloc(&a, 50000));
	assert_null(arena_array(&a, SIZE_MAX / 2, 3));
	assert_string_equal(arena_copy(&a, STR("xyz")).p, "xyz");
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 90000));
	arena_release(&a);
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>

/* The block is kept, and yet AddressSanitizer reports who still looks at what was
 * in it, or behind the end of what is. */
static void
arena_forgets_what_was(void **state)
{
	struct arena a;
	char *p, *q;

	(void)state;
	arena_init(&a, 100000);
	p = arena_alloc(&a, 100);
	assert_false(__asan_address_is_poisoned(p + 99));
	assert_true(__asan_address_is_poisoned(p + 100));
	arena_reset(&a);
	assert_true(__asan_address_is_poisoned(p));
	q = arena_alloc(&a, 10);
	assert_ptr_equal(q, p);
	assert_false(__asan_address_is_poisoned(q + 9));
	assert_true(__asan_address_is_poisoned(q + 10));
	arena_release(&a);
}
#else
static void
arena_forgets_what_was(void **state)
{
	(void)state;
	skip();		/* make SANITIZE=1 */
}
#endif

/* Formatting begins in what room there is; what comes out must not tell. */
static void
buf_formats_across_its_room(void **state)
{
	char want[400];

	(void)state;
	memset(want, 'y', sizeof(want));
	for (int n = 0; n < 300; n++) {
		struct buf b;

		buf_init(&b, 299);
		assert_int_equal(buf_addz(&b, "x"), 0);
		if (n < 299) {
			assert_int_equal(buf_addf(&b, "%.*s", n, want), 0);
			assert_int_equal(b.n, n + 1);
			assert_memory_equal(b.p + 1, want, (size_t)n);
		} else {
			assert_int_equal(buf_addf(&b, "%.*s", n, want), -1);
			assert_string_equal(b.p, "x");
			assert_true(b.full);
		}
		assert_int_equal(b.p[b.n], '\0');
		buf_release(&b);
	}
}

static void
make_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	file_close(&fd);
}

/* The descriptor of DIR/NAME must lead to where the path leads now. */
static void
assert_kept(const char *root, const char *name, const char *file)
{
	struct kept *k = NULL;
	struct stat st;
	int fd;

	assert_int_equal(kept_open(root, name, &k, &st), 0);
	fd = openat(kept_fd(k), file, O_RDONLY);
	assert_true(fd >= 0);
	file_close(&fd);
	kept_close(&k);
	assert_null(k);
	kept_close(&k);
}

static void
kept_directories_follow_the_path(void **state)
{
	char top[] = "/tmp/vbox-kept-XXXXXX", a[64], b[64], old[64], sub[80];
	struct kept *k = NULL, *many[40] = { NULL };
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(top));
	(void)snprintf(a, sizeof(a), "%s/a", top);
	(void)snprintf(b, sizeof(b), "%s/b", top);
	(void)snprintf(old, sizeof(old), "%s/old", top);
	assert_int_equal(kept_open(a, "", &k, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(mkdir(a, 0700), 0);
	(void)snprintf(sub, sizeof(sub), "%s/d", a);
	assert_int_equal(mkdir(sub, 0700), 0);
	(void)snprintf(sub, sizeof(sub), "%s/d/first", a);
	make_file(sub, "");
	assert_kept(a, "d", "first");
	assert_kept(a, "d", "first");

	/* Another directory takes the place: of the root, of the name. */
	assert_int_equal(kept_open(a, "d", &k, &st), 0);
	assert_int_equal(rename(a, old), 0);
	assert_int_equal(mkdir(a, 0700), 0);
	(void)snprintf(sub, sizeof(sub), "%s/d", a);
	assert_int_equal(mkdir(sub, 0700), 0);
	(void)snprintf(sub, sizeof(sub), "%s/d/second", a);
	make_file(sub, "");
	assert_kept(a, "d", "second");
	/* Who holds the old one still has it. */
	fd = openat(kept_fd(k), "first", O_RDONLY);
	assert_true(fd >= 0);
	file_close(&fd);
	kept_close(&k);
	assert_kept(a, "d", "second");

	/* A link as the root is the administrator's, below it nobody's. */
	assert_int_equal(symlink(a, b), 0);
	assert_kept(b, "d", "second");
	(void)snprintf(sub, sizeof(sub), "%s/link", a);
	assert_int_equal(symlink("d", sub), 0);
	assert_int_equal(kept_open(a, "link", &k, &st), -1);
	assert_int_equal(kept_open(a, "d/x", &k, &st), -1);
	assert_int_equal(errno, EINVAL);
	(void)snprintf(sub, sizeof(sub), "%s/d", a);
	assert_int_equal(kept_open(a, "..", &k, &st), -1);

	/* More than are kept, all in use at the same time. */
	for (size_t i = 0; i < 40; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "n%zu", i);
		(void)snprintf(sub, sizeof(sub), "%s/%s", a, name);
		assert_int_equal(mkdir(sub, 0700), 0);
		assert_int_equal(kept_open(a, name, &many[i], &st), 0);
		assert_int_equal(fstat(kept_fd(many[i]), &st), 0);
	}
	for (size_t i = 0; i < 40; i++) {
		struct stat now;
		char name[8];

		(void)snprintf(name, sizeof(name), "n%zu", i);
		(void)snprintf(sub, sizeof(sub), "%s/%s", a, name);
		assert_int_equal(stat(sub, &st), 0);
		assert_int_equal(fstat(kept_fd(many[i]), &now), 0);
		assert_int_equal(now.st_ino, st.st_ino);
		kept_close(&many[i]);
		assert_int_equal(rmdir(sub), 0);
	}
	/* A failed assertion leaves them for a look. */
	(void)snprintf(sub, sizeof(sub), "%s/d/second", a);
	(void)unlink(sub);
	(void)snprintf(sub, sizeof(sub), "%s/d", a);
	(void)rmdir(sub);
	(void)snprintf(sub, sizeof(sub), "%s/link", a);
	(void)unlink(sub);
	(void)rmdir(a);
	(void)unlink(b);
	(void)snprintf(sub, sizeof(sub), "%s/d/first", old);
	(void)unlink(sub);
	(void)snprintf(sub, sizeof(sub), "%s/d", old);
	(void)rmdir(sub);
	(void)rmdir(old);
	assert_int_equal(rmdir(top), 0);
}

/* A child is another process, whatever its parent knew. */
static void
self_is_right_in_a_child(void **state)
{
	pid_t pid, parent = self_pid();
	int status;

	(void)state;
	assert_int_equal(parent, getpid());
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(self_pid() == getpid() && self_pid() != parent ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(self_pid(), parent);
	assert_int_equal(self_euid(), geteuid());
}

static void
nameless_file_gets_a_name(void **state)
{
	char top[] = "/tmp/vbox-link-XXXXXX", path[64];
	int dir, fd;

	(void)state;
	assert_non_null(mkdtemp(top));
	dir = file_open_root(top);
	fd = openat(dir, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0) {	/* an old file system below /tmp */
		file_close(&dir);
		(void)rmdir(top);
		skip();
	}
	assert_int_equal(file_write_all(fd, "text", 4), 0);
	assert_int_equal(file_link_open(fd, dir, "name"), 0);
	assert_int_equal(file_link_open(fd, dir, "name"), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(file_link_open(fd, dir, "other"), 0);
	(void)snprintf(path, sizeof(path), "%s/name", top);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/other", top);
	assert_int_equal(unlink(path), 0);
	file_close(&fd);
	file_close(&dir);
	assert_int_equal(rmdir(top), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_refuses_past_its_ceiling),
		cmocka_unit_test(buf_undoes_percent),
		cmocka_unit_test(str_splits_and_keeps_nul),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(verdict_is_born_as_try_again),
		cmocka_unit_test(verdict_classes_agree),
		cmocka_unit_test(verdict_has_lines),
		cmocka_unit_test(verdict_hides_errno_and_control_characters),
		cmocka_unit_test(files_stay_below),
		cmocka_unit_test(whole_file_respects_the_ceiling),
		cmocka_unit_test(dates_do_not_follow_the_locale),
		cmocka_unit_test(checksum_does_not_see_the_pieces),
		cmocka_unit_test(checksum_is_the_same_in_all_versions),
		cmocka_unit_test(arena_counts_and_gives_back),
		cmocka_unit_test(arena_forgets_what_was),
		cmocka_unit_test(buf_formats_across_its_room),
		cmocka_unit_test(kept_directories_follow_the_path),
		cmocka_unit_test(self_is_right_in_a_child),
		cmocka_unit_test(nameless_file_gets_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
