/*
 * A header: the fields of a message or of a MIME part, indexed once, the
 * bytes borrowed; with an overlay of added and deleted fields that every
 * look-up sees.
 *
 *	struct header h;
 *	struct str body = header_init(&h, &arena, bytes);
 *	for (f = header_find(&h, STR("to")); f; f = field_next(f))
 *		... field_text(&h, f) ...
 *
 * Lines end in LF or CRLF. The first empty line ends the header; without one
 * everything is header. A line that is no field (no colon, or blanks, or
 * control characters in its name, such as an mbox From_ line) does not end
 * it: it is kept, with an empty name, and so are its continuation lines.
 * "Subject : x" is a field (RFC 5322 4.5).
 *
 * Nothing here fails for the bytes it is given. When the arena's ceiling is
 * reached `full` is set, and what could not be made is missing or empty: the
 * engine looks at it once at the end. Fields past HEADER_FIELDS_MAX are not
 * indexed (`cut`) but stay in what header_pieces() gives.
 */
#ifndef FILTERS_MESSAGE_HEADER_H
#define FILTERS_MESSAGE_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"

struct address_list;
struct mime_value;

struct field {
	struct str name;	/* as written; n = 0: a line that is no field */
	struct str value;	/* raw: what follows the colon, folds and
				 * all, without its last line end */
	struct str raw;		/* the whole field with its line end */
	bool added;		/* by header_add(): `value` is the UTF-8 text
				 * as it was given, `raw` as it is written */
	/* What its user has made of it, in the same arena; NULL at first. */
	const struct address_list *addresses;
	const struct mime_value *mime;
	/* private */
	bool has_value, has_text;
	uint32_t hash;
	struct field *next, *prev, *same_next, *same_prev;
	struct str unfolded, text;
};

struct header {
	struct arena *arena;
	struct str bytes;	/* as it came, with its empty line */
	struct str eol;		/* "\n", or "\r\n" when the first line says so */
	size_t count;		/* fields now, lines that are none included */
	bool edited;		/* something was added or deleted */
	bool cut;
	bool full;
	/* private */
	struct str blank, beyond;
	struct field *first, *last;
	struct field **buckets, *single[2];	/* by hash of the name */
	uint32_t mask;
};

/* Indexes the header at the front of `bytes`; returns what is behind its
 * empty line. Everything lives in `a` or in `bytes`. */
struct str header_init(struct header *h, struct arena *a, struct str bytes);

/* By name, ASCII case folded: first and last in the order of the message;
 * NULL when there is none. */
struct field *header_find(const struct header *h, struct str name);
struct field *header_find_last(const struct header *h, struct str name);
/* The next or previous one of the same name. May be called on a field just
 * deleted: so deleting in a loop works. */
struct field *field_next(const struct field *f);
struct field *field_prev(const struct field *f);
/* All fields, lines that are none included. */
struct field *header_first(const struct header *h);
struct field *header_last(const struct header *h);
struct field *field_after(const struct field *f);
struct field *field_before(const struct field *f);

/*
 * The value unfolded (RFC 5322 2.2.3: line ends go, blanks stay), without
 * white space at both ends (RFC 5228 2.4.2.2), at most HEADER_VALUE_MAX
 * bytes. Borrowed when there is no fold. Made once and kept.
 */
struct str field_value(struct header *h, struct field *f);
/* The same decoded to UTF-8 (encoded.h); always valid UTF-8. */
struct str field_text(struct header *h, struct field *f);

/* May this be the name of a field (RFC 5322 2.2: 33 to 126, no colon)? */
bool header_name_valid(struct str name);

enum header_place {
	HEADER_TOP,	/* before all others, but behind a From_ line */
	HEADER_BOTTOM,
};
/*
 * Adds "name: text". The name must be valid; the text is UTF-8, encoded and
 * folded when needed, line breaks and controls made spaces. Look-ups give
 * the text as it is. NULL when the name is invalid, the text is longer than
 * HEADER_ADD_MAX or the arena is full (`full` tells).
 */
struct field *header_add(struct header *h, enum header_place place,
    struct str name, struct str text);
/* Takes f out. Its memory stays as it is. */
void header_delete(struct header *h, struct field *f);
/* Puts a new field in the place of f; name.p or text.p NULL: as f has it. As
 * header_add(), with f untouched on NULL. */
struct field *header_replace(struct header *h, struct field *f,
    struct str name, struct str text);

/*
 * The header as it is now, with its empty line, as a list of slices; those
 * that are neighbours in the message are one. Lives in the arena. An
 * untouched header is one slice. -1 when the arena is full. When the message
 * ended without an empty line, one is added only if the header was edited.
 */
int header_pieces(struct header *h, struct str **list_r, size_t *n_r);
/* Its bytes, the empty line's too. */
size_t header_size(const struct header *h);
/* The same into a buffer: 0, or -1 when it is full. */
int header_write(struct header *h, struct buf *out);

#endif
