/*
 * Socket map and policy questions from bytes: no crash, and the same answers
 * however the bytes are cut into pieces. The first byte chooses the protocol
 * and the size of the pieces; the directory is a file with one user.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lda/maps/netstring.h"
#include "lda/maps/policy.h"
#include "lda/maps/socketmap.h"
#include "lda/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (64 << 20)

static struct {
	struct config config;
	struct directory *directory;
	struct resolver resolver;
	struct agent agent;
	struct arena a;
	struct buf piece, whole, cut;
} f;

static void
check(bool good)
{
	if (!good)
		abort();
}

static void
setup(void)
{
	static const char people[] = "@d alias=e\n@e catchall=u\nu@e\n"
	    "o@e state=disabled\nl@e state=locked\na@e alias=u,x@y\n";
	struct directory_settings set = { .module_dir = NULL };
	struct verdict v = VERDICT_INIT;
	char dir[] = "/tmp/fuzz-maps-XXXXXX", spec[64];
	const char *list[] = { spec };
	FILE *file;

	check(mkdtemp(dir) != NULL);
	(void)snprintf(spec, sizeof(spec), "file:%s/users", dir);
	file = fopen(spec + 5, "w");
	check(file && fputs(people, file) >= 0 && fclose(file) == 0);
	config_init(&f.config);
	check(directory_open(list, 1, &set, &f.directory, &v) == 0);
	f.resolver = (struct resolver){ .directory = f.directory,
	    .delimiters = "+" };
	f.agent = (struct agent){ .config = &f.config,
	    .resolver = &f.resolver, .hostname = "mx" };
	arena_init(&f.a, RESOLVE_ARENA);
	buf_init(&f.piece, MAP_OUT_MAX);
	buf_init(&f.whole, OUT_MAX);
	buf_init(&f.cut, OUT_MAX);
}

/* Feeds pieces of n bytes until nonsense or the end; answers go to `out`. */
static bool
run(const struct map_protocol *p, struct str all, size_t n, struct buf *out)
{
	enum map_event event = MAP_MORE;
	size_t from = 0, to = 0;
	struct str in;

	buf_reset(out);
	while (to < all.n) {
		to = all.n - to < n ? all.n : to + n;
		do {
			in = str_mem(all.p + from, to - from);
			buf_reset(&f.piece);
			event = map_feed(p, &f.agent, &in, &f.a, &f.piece, 0);
			check(buf_adds(out, buf_str(&f.piece)) == 0);
			from = to - in.n;
		} while (event == MAP_ANSWERED);
		check(event == MAP_CLOSE || to - from < p->request_max);
		if (event == MAP_CLOSE)
			return false;
	}
	return true;
}

/* What we say is what we could read. */
static void
read_back(struct str out)
{
	struct str text;

	while (out.n > 0) {
		check(netstring_take(&out, SOCKETMAP_REPLY_MAX, &text) ==
		    NETSTRING_ONE);
		check(str_starts(text, STR("OK ")) ||
		    str_starts(text, STR("TEMP ")) ||
		    str_starts(text, STR("PERM ")) ||
		    str_eq(text, STR("NOTFOUND ")));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct map_protocol *p;
	struct str all;
	bool whole, cut;

	if (size < 1)
		return 0;
	if (!f.directory)
		setup();
	p = data[0] & 1 ? &policy_protocol : &socketmap_protocol;
	all = str_mem(data + 1, size - 1);
	whole = run(p, all, all.n, &f.whole);
	cut = run(p, all, 1u + data[0] / 2u % 16u, &f.cut);
	check(whole == cut && str_eq(buf_str(&f.whole), buf_str(&f.cut)));
	if (p == &socketmap_protocol)
		read_back(buf_str(&f.whole));
	return 0;
}
