/* Names, lines of the directory file and mbox files from bytes: a canonical
 * name is its own canonical form, a line that is understood is printed as one
 * that means the same, an mbox is read to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/directory/file_line.h"
#include "store/directory/name.h"
#include "store/mbox_read.h"

#define ARENA_MAX ((size_t)16 << 20)
#define INPUT_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool good)
{
	if (!good)
		abort();
}

static void
one_name(struct str s, struct arena *a)
{
	struct verdict v = VERDICT_INIT;
	struct str once, again, local;

	if (name_domain(s, a, &once, &v) == 0) {
		check(memchr(once.p, '/', once.n) == NULL && once.n > 0 &&
		    once.p[0] != '.');
		check(name_domain(once, a, &again, &v) == 0 &&
		    str_eq(once, again));
	}
	if (name_local(s, a, &once, &v) == 0) {
		check(memchr(once.p, '/', once.n) == NULL && once.n > 0 &&
		    once.p[0] != '.' && once.n <= NAME_LOCAL_MAX);
		check(name_local(once, a, &again, &v) == 0 &&
		    str_eq(once, again));
	}
	if (name_address(s, a, &local, &once, &v) == 0)
		check(local.n > 0);
}

static void
one_line(struct str s, struct arena *a)
{
	struct directory_entry e;
	struct buf why, first, second;

	buf_init(&why, 4096);
	buf_init(&first, FILE_LINE_MAX * 4);
	buf_init(&second, FILE_LINE_MAX * 4);
	if (file_line_address(s).n > 0 &&
	    file_line_parse(s, a, &e, &why) == 0) {
		file_line_print(&e, &first);
		check(!first.full && file_line_parse(buf_str(&first), a, &e,
		    &why) == 0);
		file_line_print(&e, &second);
		check(str_eq(buf_str(&first), buf_str(&second)));
	}
	buf_release(&why);
	buf_release(&first);
	buf_release(&second);
}

static void
one_mbox(struct str s, enum content_format variant)
{
	struct mbox_message m;
	size_t at = 0, before = 0;

	while (mbox_read(s, &at, variant, &m) > 0) {
		check(at > before && at <= s.n);
		check(m.header.n + m.body.n <= at - before);
		before = at;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct str s;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	s = str_mem(data + 1, size - 1);
	arena_init(&a, ARENA_MAX);
	switch (data[0] & 3) {
	case 0:
		one_name(s, &a);
		break;
	case 1:
		one_line(s, &a);
		break;
	case 2:
		one_mbox(s, CONTENT_MBOXRD);
		break;
	default:
		one_mbox(s, CONTENT_MBOXCL2);
	}
	arena_release(&a);
	return 0;
}
