/*
 * Names of users and domains, judged and brought to one form in one place.
 * What passes here may become part of a path; what does not is answered
 * 553 5.1.3 before anything looks at a disk or a database.
 *
 * Canonical form: ASCII letters in lower case; a domain in its ASCII form
 * (xn-- labels) without a final dot; a local part that is not ASCII in lower
 * case and NFC. So müller@bücher.example, MÜLLER@BÜCHER.example and
 * müller@xn--bcher-kva.example are one address.
 *
 * Refused: empty; NUL and control characters, space; `/`; a first character
 * `.`, `-` or `~`; "." and ".."; the end ".lock" (a dotlock of another user's
 * mbox), the names tmp, new and cur; a local part over 128 bytes (RFC 5321
 * section 4.5.3.1.1 wants 64 taken; VERP and SRS make longer ones), a domain
 * over 255, a label over 63; what is not UTF-8; in a local part `%`, quotes
 * and what would need them; in a domain anything but letters, digits, hyphens
 * and dots (and `_`).
 *
 * Non-ASCII names need libidn2 and libunistring, which lie in a module and
 * cost an ASCII name nothing.
 */
#ifndef STORE_DIRECTORY_NAME_H
#define STORE_DIRECTORY_NAME_H

#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

#define NAME_LOCAL_MAX 128
#define NAME_DOMAIN_MAX 255
#define NAME_LABEL_MAX 63

/* Where directory_idn.so lies; NULL: VBOX_LIBDIR. Borrowed. */
void name_set_module_dir(const char *dir);
/* Loads the module now: before a sandbox closes the file system. 0 or -1. */
int name_preload(struct verdict *v);

/* Canonical forms in the arena; quotes around a local part are taken off
 * ("fred" is fred, RFC 5321 section 4.1.2). 0, or -1 with V_BAD_ADDRESS (V_TROUBLE when
 * the module cannot be loaded: "could not ask" is never "not there"). */
int name_local(struct str local, struct arena *a, struct str *local_r,
    struct verdict *v);
int name_domain(struct str domain, struct arena *a, struct str *domain_r,
    struct verdict *v);
/* LOCAL@DOMAIN, split at the last `@`. An address without `@` gives an empty
 * domain. */
int name_address(struct str address, struct arena *a, struct str *local_r,
    struct str *domain_r, struct verdict *v);

/* The domain as a person reads it: xn-- labels in Unicode; as given when the
 * module is not there. For display only. */
struct str name_domain_display(struct str domain, struct arena *a);

#endif
