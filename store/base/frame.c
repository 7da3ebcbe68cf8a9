#include "store/base/frame.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/file.h"

int
frame_write(int fd, uint8_t type, struct str body)
{
	unsigned char head[FRAME_HEAD] = { type, (unsigned char)body.n,
	    (unsigned char)(body.n >> 8), (unsigned char)(body.n >> 16),
	    (unsigned char)(body.n >> 24) };
	struct iovec iov[2] = {
		{ .iov_base = head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)body.p, .iov_len = body.n },
	};

	if (body.n > UINT32_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	/* At once: the reader is woken once. */
	return file_writev_all(fd, iov, body.n ? 2 : 1);
}

static int
wait_readable(int fd, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left;
	int r;

	if (!deadline_ms)
		return 0;
	do {
		left = deadline_ms - clock_mono_ms();
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		r = poll(&p, 1, left > 60000 ? 60000 : (int)left);
	} while (r == 0 || (r < 0 && errno == EINTR));
	return r < 0 ? -1 : 0;
}

/* n bytes; 0 when the stream ends before the first. */
static int
take(int fd, void *p, size_t n, int64_t deadline_ms)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got;

		if (wait_readable(fd, deadline_ms) < 0)
			return -1;
		got = read(fd, (char *)p + have, n - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0) {
			if (have == 0)
				return 0;
			errno = EPROTO;
			return -1;
		}
		have += (size_t)got;
	}
	return 1;
}

int
frame_read(int fd, uint8_t *type_r, struct buf *body, int64_t deadline_ms)
{
	unsigned char head[FRAME_HEAD];
	size_t n;
	int r;

	buf_reset(body);
	r = take(fd, head, sizeof(head), deadline_ms);
	if (r <= 0)
		return r;
	n = (size_t)head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 |
	    (size_t)head[4] << 24;
	if (buf_reserve(body, n) < 0) {
		errno = EPROTO;
		return -1;
	}
	r = n ? take(fd, body->p, n, deadline_ms) : 1;
	if (r == 0)
		errno = EPROTO;
	if (r <= 0)
		return -1;
	body->n = n;
	body->p[n] = '\0';
	*type_r = head[0];
	return 1;
}

void
frame_put_number(struct buf *b, uint64_t n)
{
	n = htole64(n);
	buf_add(b, &n, sizeof(n));
}

void
frame_put_str(struct buf *b, struct str s)
{
	frame_put_number(b, s.n);
	buf_adds(b, s);
}

void
frame_put_str_or_null(struct buf *b, struct str s)
{
	frame_put_number(b, s.p ? 1 : 0);
	frame_put_str(b, s.p ? s : STR(""));
}

int
frame_get_number(struct str *in, uint64_t *n_r)
{
	uint64_t n;

	if (in->n < sizeof(n))
		return -1;
	memcpy(&n, in->p, sizeof(n));
	*in = (struct str){ in->p + sizeof(n), in->n - sizeof(n) };
	*n_r = le64toh(n);
	return 0;
}

int
frame_get_count(struct str *in, uint64_t max, size_t *n_r)
{
	uint64_t n;

	if (frame_get_number(in, &n) < 0 || n > max)
		return -1;
	*n_r = (size_t)n;
	return 0;
}

int
frame_get_str(struct str *in, struct str *s_r)
{
	size_t n;

	if (frame_get_count(in, in->n, &n) < 0 || n > in->n)
		return -1;
	*s_r = str_sub(*in, 0, n);
	*in = str_sub(*in, n, in->n);
	return 0;
}

int
frame_get_str_or_null(struct str *in, struct str *s_r)
{
	size_t there;

	if (frame_get_count(in, 1, &there) < 0 || frame_get_str(in, s_r) < 0 ||
	    (!there && s_r->n > 0))
		return -1;
	if (!there)
		*s_r = (struct str){ NULL, 0 };
	return 0;
}
