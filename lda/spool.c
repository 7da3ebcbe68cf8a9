#include "lda/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/file.h"

void
spool_init(struct spool *sp, const struct spool_how *how)
{
	*sp = (struct spool){ .how = *how, .fd = -1 };
	buf_init(&sp->mem, (size_t)how->memory);
	sp->source.fd = -1;
}

void
spool_reset(struct spool *sp)
{
	file_close(&sp->fd);
	buf_reset(&sp->mem);
	sp->source = (struct source){ .fd = -1 };
	sp->body = sp->n = 0;
	sp->line = 0;
	sp->first = 0;
	sp->body_found = false;
	sp->first_line = SPOOL_NAME;
}

void
spool_release(struct spool *sp)
{
	spool_reset(sp);
	buf_release(&sp->mem);
}

/* One byte of the first line: is it "Name:"? RFC 5322 section 2.2 and the
 * obsolete blanks before the colon. */
static void
first_line_byte(struct spool *sp, char c)
{
	if (sp->first_line != SPOOL_NAME)
		return;
	if (c == ':')
		sp->first_line = sp->line > 0 ? SPOOL_FIELD : SPOOL_TEXT;
	else if (c == '\n' || ascii_iscntrl(c) || (unsigned char)c >= 0x7f)
		sp->first_line = c == '\t' ? SPOOL_NAME : SPOOL_TEXT;
}

/* Looks for the empty line that ends the header; a message whose first line
 * is no header field has no header at all. */
static void
look_for_body(struct spool *sp, const char *p, size_t n)
{
	uint64_t at = sp->n;

	for (size_t i = 0; i < n && !sp->body_found; ) {
		const char *nl;

		if (p[i] == '\n') {
			if (sp->line == 0 || (sp->line == 1 && sp->first == '\r')) {
				sp->body = at + i + 1;
				sp->body_found = true;
				break;
			}
			first_line_byte(sp, '\n');
			if (sp->first_line == SPOOL_TEXT) {
				sp->body = 0;
				sp->body_found = true;
				break;
			}
			sp->line = 0;
			i++;
			continue;
		}
		first_line_byte(sp, p[i]);
		if (sp->line == 0)
			sp->first = p[i];
		if (sp->line < 2)
			sp->line++;
		i++;
		if (sp->line < 2 || sp->first_line == SPOOL_NAME)
			continue;
		nl = memchr(p + i, '\n', n - i);
		i = nl ? (size_t)(nl - p) : n;
	}
}

static int
to_file(struct spool *sp, struct verdict *v)
{
	char path[4096];
	int n;

	sp->fd = open(sp->how.dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (sp->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR ||
	    errno == ENOENT)) {
		n = snprintf(path, sizeof(path), "%s/vbox-spool-XXXXXX",
		    sp->how.dir);
		if (n < 0 || (size_t)n >= sizeof(path))
			return verdict_set(v, V_CONFIG, "spool_dir too long");
		sp->fd = mkostemp(path, O_CLOEXEC);
		if (sp->fd >= 0 && unlink(path) < 0)
			return verdict_errno(v, errno, "unlink %s", path);
	}
	if (sp->fd < 0)
		return verdict_errno(v, errno, "create spool file in %s",
		    sp->how.dir);
	if (file_write_all(sp->fd, sp->mem.p, sp->mem.n) < 0)
		return verdict_errno(v, errno, "write spool file in %s",
		    sp->how.dir);
	buf_release(&sp->mem);
	return 0;
}

static int
check_limit(const struct spool *sp, size_t n, struct verdict *v)
{
	if (sp->how.limit && n > sp->how.limit - sp->n)
		return verdict_set(v, V_TOO_BIG, "message exceeds %llu bytes",
		    (unsigned long long)sp->how.limit);
	return 0;
}

char *
spool_room(struct spool *sp, size_t n)
{
	if (sp->fd >= 0 || n > sp->mem.max - sp->mem.n)
		return NULL;
	return buf_reserve(&sp->mem, n) < 0 ? NULL : sp->mem.p + sp->mem.n;
}

int
spool_took(struct spool *sp, size_t m, struct verdict *v)
{
	const char *p = sp->mem.p + sp->mem.n;

	if (check_limit(sp, m, v) < 0)
		return -1;
	if (!sp->body_found)
		look_for_body(sp, p, m);
	sp->n += m;
	sp->mem.n += m;
	sp->mem.p[sp->mem.n] = '\0';
	return 0;
}

int
spool_add(struct spool *sp, const char *p, size_t n, struct verdict *v)
{
	if (check_limit(sp, n, v) < 0)
		return -1;
	if (!sp->body_found)
		look_for_body(sp, p, n);
	sp->n += n;
	if (sp->fd < 0 && buf_add(&sp->mem, p, n) == 0)
		return 0;
	if (sp->fd < 0 && to_file(sp, v) < 0)
		return -1;
	if (file_write_all(sp->fd, p, n) < 0)
		return verdict_errno(v, errno, "write spool file in %s",
		    sp->how.dir);
	return 0;
}

void
spool_finish(struct spool *sp)
{
	if (!sp->body_found)
		sp->body = sp->first_line == SPOOL_FIELD ? sp->n : 0;
	sp->source = (struct source){ .mem = sp->fd < 0 ? sp->mem.p : NULL,
	    .fd = sp->fd, .n = sp->n };
}
