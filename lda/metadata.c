#include "lda/metadata.h"

#include "lda/user_file.h"

/* Dovecot's own: what is below is no annotation; the server's lie there. */
#define PRIVATE_OF_DOVECOT "vendor/vendor.dovecot/pvt/"
#define KEY_MAX 2000

static int
load(struct metadata *m, const struct settings *s,
    const struct account *account, struct arena *a)
{
	struct user_file_place place = { .max = METADATA_FILE_MAX,
	    .too_long = "it is too long" };
	struct verdict v = VERDICT_INIT;
	const char *why;

	if (m->state == METADATA_UNREAD) {
		m->state = METADATA_READ;
		m->text = STR("");
		if (s->metadata_file[0] && (user_file_place("metadata_file",
		    s->metadata_file, s, account, a, &place.root, &place.path,
		    &place.owner, &v) < 0 ||
		    user_file_read(&place, a, &m->text, &why) >=
		    USER_FILE_REFUSED))
			m->state = METADATA_BROKEN;
	}
	return m->state == METADATA_BROKEN ? -1 : 0;
}

/* "priv/GUID/comment"; -1 for a name that no annotation has. */
static int
key_of(struct str guid, enum metadata_of what, struct str annotation,
    struct buf *key)
{
	struct str name;

	if (str_casestarts(annotation, STR("/private/"))) {
		buf_addz(key, "priv/");
		name = str_sub(annotation, 9, annotation.n);
	} else if (str_casestarts(annotation, STR("/shared/"))) {
		buf_addz(key, "shared/");
		name = str_sub(annotation, 8, annotation.n);
	} else {
		return -1;
	}
	if (!name.n || str_casestarts(name, STR(PRIVATE_OF_DOVECOT)))
		return -1;
	buf_adds(key, guid);
	buf_addc(key, '/');
	if (what == METADATA_SERVER)
		buf_addz(key, PRIVATE_OF_DOVECOT "server/");
	for (size_t i = 0; i < name.n; i++) {
		if (ascii_iscntrl(name.p[i]))
			return -1;	/* and so needs no quoting */
		buf_addc(key, ascii_lower(name.p[i]));
	}
	return key->full ? -1 : 0;
}

/* The file's quoting: a byte 1 and a letter for what ends lines and fields. */
static int
add_unquoted(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\001' && i + 1 < s.n)
			switch (s.p[++i]) {
			case '0':
				c = '\0';
				break;
			case '1':
				c = '\001';
				break;
			case 't':
				c = '\t';
				break;
			case 'r':
				c = '\r';
				break;
			case 'n':
				c = '\n';
				break;
			default:
				c = s.p[i];
			}
		if (buf_addc(out, c) < 0)
			return -1;
	}
	return 0;
}

enum engine_answer
metadata_get(struct metadata *m, const struct settings *s,
    const struct account *account, struct str guid, enum metadata_of what,
    struct str annotation, struct arena *a, struct buf *value)
{
	enum engine_answer r = ENGINE_NO;
	struct str rest, key, text;
	struct buf want;

	buf_init(&want, KEY_MAX);
	if (key_of(guid, what, annotation, &want) < 0)
		goto out;
	if (load(m, s, account, a) < 0) {
		r = ENGINE_BROKEN;
		goto out;
	}
	/* A line with the key, a line with the value. */
	for (rest = m->text; rest.n && str_split(&rest, '\n', &key) &&
	    rest.n && str_split(&rest, '\n', &text); )
		if (str_eq(key, buf_str(&want))) {
			/* A longer value than a script can hold is cut. */
			(void)add_unquoted(text, value);
			r = ENGINE_YES;
			break;
		}
out:
	buf_release(&want);
	return r;
}
