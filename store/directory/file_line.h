/*
 * One line of the directory file, vbox-directory(5):
 *
 *	ADDRESS [SETTING ...]
 *	ADDRESS:PASSWORD:UID:GID:GECOS:HOME:SHELL:SETTING ...
 *
 * The second form is passwd(5) with an eighth field, as Dovecot's passwd-file
 * reads it; fields at the end may be missing. "@domain" is a domain,
 * an address with alias=... an alias, any other a user. Settings are
 * NAME=VALUE; a space, a comma or a percent sign in a reason is written %XX.
 */
#ifndef STORE_DIRECTORY_FILE_LINE_H
#define STORE_DIRECTORY_FILE_LINE_H

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"
#include "store/directory/record.h"

/* Longest line that is believed. */
#define FILE_LINE_MAX 65536

/* The address at the start of a line; empty for a comment or a blank line. */
struct str file_line_address(struct str line);
/* All of it, names canonical, bytes from the line or the arena. 0, or -1
 * with what is wrong in `why`. */
int file_line_parse(struct str line, struct arena *a, struct directory_entry *out_r,
    struct buf *why);
/* The record as a line without its newline: the short form, or the long one
 * when there is a password. */
void file_line_print(const struct directory_entry *line, struct buf *out);

#endif
