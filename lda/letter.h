/*
 * The parts of a message that we write: header fields that are folded, ASCII
 * where they have to be, and closed against whatever was put into them; text
 * bodies in an encoding that every relay passes. LF line ends; what does not
 * fit sets out->full.
 */
#ifndef LDA_LETTER_H
#define LDA_LETTER_H

#include <time.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* Longest line without its end (RFC 5322 section 2.1.1). */
#define LETTER_LINE_MAX 998
/* Where fields are folded. */
#define LETTER_FOLD 78

/* "Name: text", RFC 2047 words where it is not ASCII. */
void letter_field(struct buf *out, const char *name, struct str text);
/* The same, its name from outside: left out when it is none. */
void letter_field_named(struct buf *out, struct str name, struct str text);
/*
 * "Name: Fred <fred@example.com>" from one address with or without a name.
 * What is no address is replaced by `otherwise`; when that is none either,
 * the field is left out.
 */
void letter_address(struct buf *out, const char *name, struct str address,
    struct str otherwise);
/* "Name: a@b,\n c@d": those that are addresses; no field without one. */
void letter_addresses(struct buf *out, const char *name,
    const struct str *list, size_t n);
/* Message ids, divided by blanks: those that are well-formed. */
void letter_ids(struct buf *out, const char *name, struct str ids);
/* Date and a new Message-ID. */
void letter_date(struct buf *out, time_t now);
void letter_id(struct buf *out, time_t now, struct str hostname);

/*
 * The Content- fields, the empty line and the body of a text/plain part.
 * Any line ends become LF, the last line gets one, what is not UTF-8 is made
 * so. 7bit, 8bit, or quoted-printable when a line is too long or holds control
 * characters.
 */
void letter_text(struct buf *out, struct str text);
/* Only the body in quoted-printable (RFC 2045 section 6.7). */
void letter_quoted_printable(struct buf *out, struct str text);

enum letter_shape {
	LETTER_8BIT = 1,	/* bytes that are not ASCII */
	LETTER_LONG = 2,	/* a line longer than LETTER_LINE_MAX */
	LETTER_CONTROL = 4,	/* NUL, a bare CR or another control character */
};
unsigned letter_shape(struct str text);

/* A boundary of a multipart that occurs in none of the texts. */
#define LETTER_BOUNDARY 32
void letter_boundary(char boundary[LETTER_BOUNDARY], const struct str *texts,
    size_t n);

#endif
