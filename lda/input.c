#include "lda/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* One read from standard input. */
#define READ_PIECE 65536
/* A From_ line in front of the message; longer is none. */
#define FROM_LINE_MAX 4096

static int
set_sender(struct input *in, struct str first_line, size_t *skip_r,
    struct verdict *v)
{
	struct str sender = STR(""), of_line;

	*skip_r = 0;
	if (in->env_sender)
		sender = envelope_strip(str_of(in->env_sender));
	if (envelope_from_line(first_line, &of_line)) {
		*skip_r = first_line.n;
		sender = of_line;
	}
	if (in->given_sender)
		sender = envelope_strip(str_of(in->given_sender));
	/* Postfix's pipe(8) says this for the null sender. */
	if (str_caseeq(sender, STR("MAILER-DAEMON")))
		sender = STR("");
	if (envelope_check(sender, v) < 0)
		return -1;
	memcpy(in->copy, sender.p, sender.n);
	in->envelope.sender = str_mem(in->copy, sender.n);
	return 0;
}

int
input_sender(struct input *in, struct verdict *v)
{
	size_t none;

	return in->given_sender ? set_sender(in, STR(""), &none, v) : 0;
}

/* Reads until a whole first line, or as much of it as can matter, is there. */
static int
read_start(struct buf *start, bool *end_r, struct verdict *v)
{
	*end_r = false;
	while (str_chr(buf_str(start), '\n') < 0 && start->n < FROM_LINE_MAX) {
		ssize_t got;

		if (buf_reserve(start, READ_PIECE) < 0)
			return verdict_set(v, V_NO_MEMORY, "first line");
		got = read(STDIN_FILENO, start->p + start->n, READ_PIECE);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return verdict_errno(v, errno, "read standard input");
		if (got == 0) {
			*end_r = true;
			return 0;
		}
		start->n += (size_t)got;
		start->p[start->n] = '\0';
	}
	return 0;
}

static int
read_rest(struct spool *spool, struct verdict *v)
{
	static char piece[READ_PIECE];
	ssize_t got;

	for (;;) {
		got = read(STDIN_FILENO, piece, sizeof(piece));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return verdict_errno(v, errno, "read standard input");
		if (got == 0)
			return 0;
		if (spool_add(spool, piece, (size_t)got, v) < 0)
			return -1;
	}
}

int
input_read(struct input *in, struct spool *spool, struct verdict *v)
{
	struct str first;
	struct buf start;
	size_t skip;
	bool end;
	int r = -1;

	buf_init(&start, FROM_LINE_MAX + READ_PIECE);
	if (read_start(&start, &end, v) < 0)
		goto out;
	first = buf_str(&start);
	if (str_chr(first, '\n') >= 0)
		first.n = (size_t)str_chr(first, '\n') + 1;
	if (set_sender(in, first, &skip, v) < 0 ||
	    spool_add(spool, start.p + skip, start.n - skip, v) < 0 ||
	    (!end && read_rest(spool, v) < 0))
		goto out;
	in->used = true;
	spool_finish(spool);
	r = 0;
out:
	buf_release(&start);
	return r;
}
