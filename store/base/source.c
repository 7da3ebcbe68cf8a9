#include "store/base/source.h"

#include "store/base/file.h"

int
source_read(const struct source *s, uint64_t at, char *scratch, size_t want,
    struct str *got_r)
{
	ssize_t got;

	if (at >= s->n)
		want = 0;
	else if (want > s->n - at)
		want = (size_t)(s->n - at);
	if (s->mem || want == 0) {
		*got_r = (struct str){ s->mem ? s->mem + at : scratch, want };
		if (want == 0)
			got_r->n = 0;
		return 0;
	}
	got = file_pread_full(s->fd, scratch, want, (off_t)at);
	if (got < 0)
		return -1;
	*got_r = (struct str){ scratch, (size_t)got };
	return 0;
}

