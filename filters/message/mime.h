/*
 * The MIME tree of a message (RFC 2045, 2046, 2183, 2231), parts borrowed
 * from the message's bytes.
 *
 *	struct mime_part *root = message_mime(&m);	message.h
 *	for (p = root; p; p = mime_next(root, p)) ...	depth first
 *
 * What cannot be followed is a leaf: multiparts without a boundary, nesting
 * past MIME_DEPTH_MAX, a message/rfc822 that is encoded. After
 * MIME_PARTS_MAX parts the rest of the message is not looked at. Both set
 * tree.cut. A missing final boundary ends the part where its container
 * ends. A boundary line is "--", the boundary, perhaps "--", blanks; nothing
 * else, so a boundary that is a prefix of another is not mistaken for it;
 * the innermost part with that boundary is meant.
 */
#ifndef FILTERS_MESSAGE_MIME_H
#define FILTERS_MESSAGE_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "filters/message/header.h"
#include "filters/message/transfer.h"
#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"

struct mime_param {
	struct str name;	/* lower case, without "*0*" */
	struct str value;	/* unquoted, RFC 2231 joined and decoded (and
				 * RFC 2047, which senders put there), UTF-8 */
};

/* "text/plain; charset=utf-8", "attachment; filename=x". */
struct mime_value {
	struct str value;	/* before the first semicolon, lower case, no
				 * comments: "text/plain", "attachment" */
	struct str type;	/* before its slash (all of it without one) */
	struct str subtype;	/* behind it, or empty */
	struct mime_param *params;
	size_t n_params;
	bool cut;
	struct str written;	/* value as the message has it, in its case;
				 * empty where the field is not there */
};

/* Takes any structured field value of this form apart (RFC 5703 4.2 asks for
 * it of any header). Folds may be in it. */
void mime_value_parse(struct arena *a, struct str raw, struct mime_value *v_r);
/* The first parameter of this name, case folded; p NULL when there is none. */
struct str mime_param(const struct mime_value *v, struct str name);

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART,		/* children are its parts */
	MIME_MESSAGE,		/* one child: the message inside, whose header
				 * is that message's */
};

struct mime_part {
	struct mime_part *parent, *next, *child;	/* next: sibling */
	enum mime_kind kind;
	unsigned depth;		/* root 0 */
	unsigned number;	/* from 0, in the order of mime_next() */
	struct header *header;	/* the root's is the message's own, overlay
				 * and all */
	struct str raw;		/* header, empty line and body */
	struct str body;	/* as it came: still encoded */
	struct str preamble;	/* multipart: before the first boundary */
	struct str epilogue;	/* and behind the last */
	struct mime_value type;	/* text/plain when absent or unusable;
				 * message/rfc822 in a multipart/digest */
	bool type_given;
	struct mime_value disposition;	/* value empty when absent */
	enum transfer_encoding encoding;
	struct str id;		/* Content-ID without < > */
	struct str filename;	/* of the disposition, else name= of the type;
				 * UTF-8; not made safe: may hold "/" */
	bool closed;		/* multipart: its final boundary was there */
};

struct mime_tree {
	struct mime_part *root;	/* NULL only when the arena is full */
	size_t n_parts;
	bool cut;
};

/* `header` was made from the front of `bytes` by header_init(), `body` is
 * what it returned. */
void mime_parse(struct arena *a, struct str bytes, struct header *header,
    struct str body, struct mime_tree *tree_r);

/* The next part of the tree below (and with) `top`, depth first; NULL at its
 * end. */
struct mime_part *mime_next(const struct mime_part *top,
    const struct mime_part *p);
/* type and subtype, case folded; an empty subtype means any. */
bool mime_is(const struct mime_part *p, struct str type, struct str subtype);

/* The body decoded, up to the buffer's ceiling: 0, or -1 when it was cut
 * there (what fitted is in it). Multiparts have no encoding. */
int mime_decode(const struct mime_part *p, struct buf *out);
/* The same for text, converted from its charset to UTF-8, always valid. CRLF
 * becomes LF. An unknown charset: bytes made valid. */
int mime_decode_text(const struct mime_part *p, struct buf *out);
/* The same with HTML (text/html, application/xhtml+xml) made plain text. */
int mime_extract_text(const struct mime_part *p, struct buf *out);

#endif
