#include "lda/srs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/file.h"
#include "store/base/mem.h"
#include "store/base/sha256.h"

/* 5 bits each. */
#define HASH_CHARS 8
#define STAMP_CHARS 2
/* A stamp counts days modulo this. */
#define STAMP_DAYS 1024
#define DAY 86400
/* Longest address that is made; RFC 5321 says 256, but hosts take more, and a
 * sender that cannot be rewritten is a forward that cannot be sent. */
#define ADDRESS_MAX 1000
#define FILE_BYTES ((SRS_SECRET_MAX + 2) * SRS_SECRETS * 2)

struct srs {
	struct buf text;	/* the secrets borrow from here */
	struct str secret[SRS_SECRETS];
	size_t n;
};

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* --- secrets ----------------------------------------------------------------- */

static int
take_secrets(struct srs *srs, struct verdict *v)
{
	struct str rest = buf_str(&srs->text), line;

	while (str_split(&rest, '\n', &line)) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (line.n < SRS_SECRET_MIN || line.n > SRS_SECRET_MAX)
			return verdict_set(v, V_CONFIG, "SRS secret %zu has %zu "
			    "bytes, %d to %d are wanted", srs->n + 1, line.n,
			    SRS_SECRET_MIN, SRS_SECRET_MAX);
		if (srs->n == SRS_SECRETS)
			return verdict_set(v, V_CONFIG, "more than %d SRS "
			    "secrets", SRS_SECRETS);
		srs->secret[srs->n++] = line;
	}
	return srs->n ? 0 : verdict_set(v, V_CONFIG, "no SRS secret");
}

int
srs_parse(struct str text, struct srs **srs_r, struct verdict *v)
{
	struct srs *srs = mem_zalloc(1, sizeof(*srs));

	buf_init(&srs->text, FILE_BYTES);
	if (buf_adds(&srs->text, text) < 0)
		verdict_set(v, V_CONFIG, "SRS secrets: too long");
	else if (take_secrets(srs, v) == 0) {
		*srs_r = srs;
		return 0;
	}
	srs_close(&srs);
	return -1;
}

int
srs_open(const char *path, struct srs **srs_r, struct verdict *v)
{
	struct buf text;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r = -1;

	buf_init(&text, FILE_BYTES);
	if (fd < 0 || fstat(fd, &st) < 0) {
		verdict_errno(v, errno, "srs_secret_file %s", path);
		v->why = V_CONFIG;
	} else if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IWGRP | S_IRWXO))) {
		verdict_set(v, V_CONFIG, "srs_secret_file %s: mode %06o: a "
		    "file that others neither read nor write is wanted", path,
		    (unsigned)st.st_mode);
	} else if (file_read_whole(fd, &text) < 0) {
		verdict_errno(v, errno, "srs_secret_file %s", path);
		v->why = V_CONFIG;
	} else {
		r = srs_parse(buf_str(&text), srs_r, v);
	}
	file_close(&fd);
	explicit_bzero(text.p, text.n);
	buf_release(&text);
	return r;
}

void
srs_close(struct srs **srs)
{
	if (!*srs)
		return;
	explicit_bzero((*srs)->text.p, (*srs)->text.n);
	buf_release(&(*srs)->text);
	free(*srs);
	*srs = NULL;
}

/* --- hash and time ------------------------------------------------------------ */

/* What is signed is lower case, since hosts on the way may fold it; the parts
 * keep their borders. */
static void
sign(struct str secret, char kind, struct str first, struct str second,
    struct str third, char hash[HASH_CHARS])
{
	unsigned char digest[SHA256_BYTES];
	const struct str parts[] = { first, second, third };
	uint64_t bits = 0;
	struct buf text;

	buf_init(&text, 3 * ADDRESS_MAX);
	buf_addc(&text, kind);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		buf_addc(&text, '\0');
		for (size_t k = 0; k < parts[i].n; k++)
			buf_addc(&text, ascii_lower(parts[i].p[k]));
	}
	sha256_hmac(secret, buf_str(&text), digest);
	buf_release(&text);
	for (size_t i = 0; i < 5; i++)
		bits = bits << 8 | digest[i];
	for (size_t i = 0; i < HASH_CHARS; i++)
		hash[i] = base32[bits >> (35 - 5 * i) & 31];
}

/* All secrets are tried, whichever fits: the time tells nothing. */
static bool
verify(const struct srs *srs, char kind, struct str first, struct str second,
    struct str third, struct str hash)
{
	char got[HASH_CHARS], want[HASH_CHARS];
	bool good = false;

	if (hash.n != HASH_CHARS)
		return false;
	for (size_t i = 0; i < HASH_CHARS; i++)
		got[i] = ascii_upper(hash.p[i]);
	for (size_t i = 0; i < srs->n; i++) {
		sign(srs->secret[i], kind, first, second, third, want);
		good |= sha256_same(got, want, HASH_CHARS);
	}
	return good;
}

static unsigned
day_of(time_t now)
{
	return (unsigned)(now / DAY) % STAMP_DAYS;
}

static bool
stamp_valid(struct str stamp, time_t now)
{
	unsigned day = 0;

	if (stamp.n != STAMP_CHARS)
		return false;
	for (size_t i = 0; i < STAMP_CHARS; i++) {
		const char *at = memchr(base32, ascii_upper(stamp.p[i]),
		    sizeof(base32) - 1);

		if (!at)
			return false;
		day = day << 5 | (unsigned)(at - base32);
	}
	/* One day ahead: clocks of two of our hosts around midnight. */
	return (day_of(now) + 1 + STAMP_DAYS - day) % STAMP_DAYS <= SRS_DAYS + 1;
}

/* --- forms -------------------------------------------------------------------- */

/*
 * A local part without its quotes; what is quoted inside stays quoted, and
 * the whole gets quotes again. False when it can be no local part.
 */
static bool
unquote(struct str *local, bool *quoted_r)
{
	*quoted_r = local->n >= 2 && local->p[0] == '"';
	if (*quoted_r) {
		if (local->p[local->n - 1] != '"')
			return false;
		*local = str_sub(*local, 1, local->n - 2);
	}
	for (size_t i = 0; i < local->n; i++)
		if (ascii_iscntrl(local->p[i]) || local->p[i] == '"' ||
		    (!*quoted_r && (local->p[i] == ' ' || local->p[i] == '@')))
			return false;
	return local->n > 0;
}

static bool
is_domain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && s.p[i] != '.' && s.p[i] != '-' &&
		    (unsigned char)s.p[i] < 0x80)
			return false;
	return s.n > 0 && s.p[0] != '.' && s.p[0] != '-';
}

/* "SRS0" or "SRS1" and one of the separators in use; 0 when it is neither. */
static char
kind_of(struct str local)
{
	if (local.n < 5 || !str_caseeq(str_sub(local, 0, 3), STR("SRS")) ||
	    (local.p[3] != '0' && local.p[3] != '1') ||
	    !memchr("=+-", local.p[4], 3))
		return 0;
	return local.p[3];
}

bool
srs_is(struct str local)
{
	if (local.n && local.p[0] == '"')
		local = str_sub(local, 1, local.n);
	return kind_of(local) != 0;
}

/* Takes the part before the next '=' of *rest; false when there is none. */
static bool
part(struct str *rest, struct str *part_r)
{
	ptrdiff_t at = str_chr(*rest, '=');

	if (at < 0)
		return false;
	*part_r = str_sub(*rest, 0, (size_t)at);
	*rest = str_sub(*rest, (size_t)at + 1, rest->n);
	return true;
}

static void
add_hash(struct buf *out, const struct srs *srs, char kind, struct str first,
    struct str second, struct str third)
{
	char hash[HASH_CHARS];

	sign(srs->secret[0], kind, first, second, third, hash);
	buf_add(out, hash, sizeof(hash));
}

/* SRS0=hash=stamp=domain=local */
static void
add_first(struct buf *out, const struct srs *srs, struct str local,
    struct str domain, time_t now)
{
	unsigned day = day_of(now);
	const char stamp[STAMP_CHARS] = { base32[day >> 5], base32[day & 31] };

	buf_addz(out, "SRS0=");
	add_hash(out, srs, '0', str_mem(stamp, sizeof(stamp)), domain, local);
	buf_addc(out, '=');
	buf_add(out, stamp, sizeof(stamp));
	buf_addc(out, '=');
	buf_adds(out, domain);
	buf_addc(out, '=');
	buf_adds(out, local);
}

/* SRS1=hash=host=rest, where rest begins with the separator that the first
 * hop put behind its SRS0. */
static void
add_next(struct buf *out, const struct srs *srs, struct str host,
    struct str rest)
{
	buf_addz(out, "SRS1=");
	add_hash(out, srs, '1', host, rest, STR(""));
	buf_addc(out, '=');
	buf_adds(out, host);
	buf_addc(out, '=');
	buf_adds(out, rest);
}

enum srs_answer
srs_forward(const struct srs *srs, struct str sender, struct str domain,
    time_t now, struct buf *out, struct verdict *v)
{
	ptrdiff_t at = str_rchr(sender, '@');
	struct str local, from, rest, hash, host;
	struct buf made;
	bool quoted;
	char kind;

	if (at <= 0 || (size_t)at + 1 == sender.n)
		return SRS_NOT_OURS;
	local = str_sub(sender, 0, (size_t)at);
	from = str_sub(sender, (size_t)at + 1, sender.n);
	if (str_caseeq(from, domain))
		return SRS_NOT_OURS;
	/* An address literal cannot stand inside a local part. */
	if (!unquote(&local, &quoted) || !is_domain(from))
		return SRS_NOT_OURS;
	kind = kind_of(local);
	rest = str_sub(local, 5, local.n);
	buf_init(&made, ADDRESS_MAX);
	if (quoted)
		buf_addc(&made, '"');
	/* The first hop stays; only the last one, ours, is new. Its hash is of
	 * a secret that we do not have: the first hop will judge it. */
	if (kind == '0')
		add_next(&made, srs, from, str_sub(local, 4, local.n));
	else if (kind == '1' && part(&rest, &hash) && part(&rest, &host) &&
	    is_domain(host) && rest.n > 1)
		add_next(&made, srs, host, rest);
	else
		add_first(&made, srs, local, from, now);
	if (quoted)
		buf_addc(&made, '"');
	buf_addc(&made, '@');
	buf_adds(&made, domain);
	if (!made.full)
		(void)buf_adds(out, buf_str(&made));	/* out tells */
	at = made.full || out->full;
	buf_release(&made);
	if (!at)
		return SRS_DONE;
	verdict_set(v, V_TROUBLE, "sender does not fit into an SRS address");
	return SRS_REFUSED;
}

static enum srs_answer
refused(const char *why, struct verdict *v)
{
	verdict_set(v, V_UNKNOWN_USER, "SRS: %s", why);
	return SRS_REFUSED;
}

enum srs_answer
srs_reverse(const struct srs *srs, struct str local, time_t now,
    struct buf *out, struct verdict *v)
{
	struct str rest, hash, stamp, domain;
	bool quoted;
	char kind;

	if (!srs_is(local))
		return SRS_NOT_OURS;
	/* What is longer was not made here, and would not be signed whole. */
	if (local.n > ADDRESS_MAX || !unquote(&local, &quoted))
		return refused("malformed local part", v);
	kind = kind_of(local);
	rest = str_sub(local, 5, local.n);
	if (!part(&rest, &hash))
		return refused("malformed", v);
	if (kind == '0' && !part(&rest, &stamp))
		return refused("malformed", v);
	if (!part(&rest, &domain) || !is_domain(domain) || rest.n == 0 ||
	    (kind == '1' && !memchr("=+-", rest.p[0], 3)))
		return refused("malformed", v);
	if (!(kind == '0' ? verify(srs, kind, stamp, domain, rest, hash) :
	    verify(srs, kind, domain, rest, STR(""), hash)))
		return refused("the signature is not ours", v);
	if (kind == '0' && !stamp_valid(stamp, now))
		return refused("too old", v);
	if (quoted)
		buf_addc(out, '"');
	if (kind == '1')
		buf_addz(out, "SRS0");
	buf_adds(out, rest);
	if (quoted)
		buf_addc(out, '"');
	buf_addc(out, '@');
	buf_adds(out, domain);
	if (out->full) {
		verdict_set(v, V_TROUBLE, "SRS: address does not fit");
		return SRS_REFUSED;
	}
	return SRS_DONE;
}
