/*
 * What is attached to a message: each MIME leaf, and the members of zip and
 * gzip archives in them, with its real type by libmagic beside the declared
 * one. Pure logic: facts in a list; policy is somebody else's.
 *
 *	struct attachment_typer t;
 *	attachment_typer_open(&t, "/usr/share/misc/magic.mgc", &v);   once
 *	attachment_scan(&t, &arena, message_mime(&m), &list);	per message
 *	attachment_typer_close(&t);
 *
 * Only opening reads a file, so a process may lose its file system
 * afterwards. A scan never fails: what could not be looked into is in the
 * list and says why. Every ceiling is a number below.
 */
#ifndef FILTERS_ATTACHMENT_H
#define FILTERS_ATTACHMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/message/mime.h"
#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* Entries of one list: leaves and members together. Office documents have up
 * to some hundred members. */
#define ATTACHMENT_COUNT_MAX 2000u
/* Archives in archives. 42.zip has six levels; nobody sends three. */
#define ATTACHMENT_DEPTH_MAX 3u
/* Bytes of one decoded leaf that is an archive, and of one unpacked archive in an
 * archive. Of a large leaf in base64 that is none only both ends are decoded. */
#define ATTACHMENT_BYTES_MAX (16u * 1024u * 1024u)
/* Bytes that all members of a message may unpack to, and that may be read to
 * do so: inflating does about 300 MB/s, so this is a tenth of a second. */
#define ATTACHMENT_UNPACKED_MAX (32u * 1024u * 1024u)
/* Bytes that libmagic is shown, of a leaf and of a member; nearly all types are
 * known from the first 4 KB. Of a text fewer: there each byte costs. */
#define ATTACHMENT_TYPED_BYTES (8u * 1024u)
#define ATTACHMENT_TYPED_TEXT 2048u
/* Times that libmagic is asked for one message: half a second at worst. */
#define ATTACHMENT_ASKED_MAX 1000u
/* Size told by an archive against its packed size: deflate cannot do better
 * than 1032, text does 10, a table of zeros 100. Asked from 1 MB up. */
#define ATTACHMENT_RATIO_MAX 200u
#define ATTACHMENT_RATIO_FROM (1024u * 1024u)
/* Bytes of a member's name. */
#define ATTACHMENT_NAME_MAX 1024u

enum attachment_flag {
	ATTACHMENT_MISMATCH = 1 << 0,	/* the name says another type */
	ATTACHMENT_ENCRYPTED = 1 << 1,
	ATTACHMENT_CUT = 1 << 2,	/* a ceiling: not all was looked at */
	ATTACHMENT_BOMB = 1 << 3,	/* ATTACHMENT_RATIO_MAX */
	ATTACHMENT_BROKEN = 1 << 4,	/* an archive that ends early or
					 * contradicts itself */
	ATTACHMENT_ARCHIVE = 1 << 5,	/* its members follow it in the list */
	ATTACHMENT_EXECUTABLE = 1 << 6,	/* real type: a program or script */
};

struct attachment {
	const struct mime_part *part;
	const struct attachment *inside;	/* archive; NULL: a leaf */
	unsigned depth;			/* 0: a leaf */
	unsigned flags;
	struct str name;		/* UTF-8, perhaps empty; a member's with
					 * its path as the archive has it */
	struct str extension;		/* of the name, lower case, no dot */
	struct str other_name;		/* a leaf's by name= of Content-Type,
					 * where that is another one; which
					 * counts is the reader's choice */
	struct str other_extension;
	struct str declared;		/* Content-Type; members: empty */
	struct str type;		/* by libmagic; empty when it failed */
	uint64_t size;			/* decoded; as the archive tells for
					 * members */
};

struct attachments {
	struct attachment **list;
	size_t n;
	unsigned flags;			/* of all together */
	uint64_t unpacked;
};

struct attachment_typer {
	void *magic;			/* a magic_t */
};

/* Loads libmagic itself, for a process that will not be able to. The others do
 * it, too. 0, or -1 with V_CONFIG. */
int attachment_preload(struct verdict *v);
/* Loads a compiled database; NULL: libmagic's own. 0, or -1 with V_CONFIG. */
int attachment_typer_open(struct attachment_typer *t, const char *database,
    struct verdict *v);
/* The same from memory that outlives the typer. */
int attachment_typer_load(struct attachment_typer *t, void *database, size_t n,
    struct verdict *v);
void attachment_typer_close(struct attachment_typer *t);

/* Walks the leaves; the list lives in the arena. */
void attachment_scan(const struct attachment_typer *t, struct arena *a,
    const struct mime_tree *tree, struct attachments *list_r);
/* Does a file of this extension (lower case) have this type? True for
 * extensions and types that are not known. */
bool attachment_type_fits(struct str extension, struct str type);

#endif
