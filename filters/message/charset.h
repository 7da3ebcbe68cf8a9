/*
 * Charsets of mail to UTF-8.
 *
 * UTF-8, UTF-7, UTF-16, US-ASCII, ISO-8859-*, windows-125*, KOI8-* and some
 * other single-byte charsets are converted here and need nothing from
 * outside. The multi-byte ones of East Asia go through iconv(3), whose
 * tables are files: a process that will lose its file system calls
 *
 *	charset_preload();			long-lived: all of them
 * or	charset_preload_for(message);		one message: those it names
 *	charset_seal();				from here on nothing is opened
 *
 * before. Without charset_seal() descriptors are opened when first needed
 * and kept. Only names of our own list ever reach iconv_open(3). The
 * descriptors belong to the process; this is not for threads.
 */
#ifndef FILTERS_MESSAGE_CHARSET_H
#define FILTERS_MESSAGE_CHARSET_H

#include <stdbool.h>

#include "store/base/buf.h"
#include "store/base/str.h"

enum charset_answer {
	CHARSET_CONVERTED,
	CHARSET_UNKNOWN,	/* name not known, or not to be had now */
};

/*
 * Appends `bytes` in this charset as UTF-8. What is appended is always valid
 * UTF-8: bytes that mean nothing, and those of unknown charsets that are not
 * UTF-8 by themselves, become U+FFFD. Stops when the buffer is full
 * (out->full). An empty name means US-ASCII; 8-bit bytes under US-ASCII that
 * are valid UTF-8 are taken as such.
 */
enum charset_answer charset_to_utf8(struct str charset, struct str bytes,
    struct buf *out);
/* Could charset_to_utf8() convert it now? */
bool charset_known(struct str charset);

/* Opens every descriptor of the list; returns how many are open. */
unsigned charset_preload(void);
/* Opens those that `message` names in encoded words or parameters. */
unsigned charset_preload_for(struct str message);
void charset_seal(void);
/* Closes all descriptors and lifts the seal. */
void charset_release(void);

#endif
