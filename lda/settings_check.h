/*
 * A closer look at a string, where bounds and words do not say enough. Each
 * returns 0, or -1 with `why` saying what would be right. The value has no
 * control characters and is within its row's length.
 */
#ifndef LDA_SETTINGS_CHECK_H
#define LDA_SETTINGS_CHECK_H

#include "store/base/buf.h"

/* A name of passwd(5) or group(5), or a number; "" where the row allows it. */
int settings_check_account(const char *value, struct buf *why);
/* "fs", "file:PATH", "sqlite:PATH", "pgsql:PATH", "socketmap:unix:PATH:MAP",
 * "socketmap:inet:HOST:PORT:MAP". */
int settings_check_directory(const char *value, struct buf *why);
int settings_check_hostname(const char *value, struct buf *why);
/* USER or USER@DOMAIN. */
int settings_check_mailbox(const char *value, struct buf *why);
int settings_check_delimiter(const char *value, struct buf *why);
/* An absolute path, or "smtp:HOST:PORT". */
int settings_check_submit(const char *value, struct buf *why);
/* "unix:PATH" or "inet:HOST:PORT". */
int settings_check_scanner(const char *value, struct buf *why);
int settings_check_listen(const char *value, struct buf *why);
/* ADDRESS or ADDRESS/BITS, IPv4 or IPv6. */
int settings_check_network(const char *value, struct buf *why);
/* syslog, stderr, journal, "file:PATH". */
int settings_check_log_target(const char *value, struct buf *why);
/* "default", "all", a capability, or one with + or - in front. */
int settings_check_capability(const char *value, struct buf *why);
/* A rule of filters/content.h. */
int settings_check_content(const char *value, struct buf *why);
/* A mailbox folder's name, or "maildir:" and a path template. */
int settings_check_quarantine(const char *value, struct buf *why);
/* A rule of quota_rule.h. */
int settings_check_quota_folder(const char *value, struct buf *why);
/* A mailbox folder's name. */
int settings_check_folder(const char *value, struct buf *why);
/* The header field of a scanner: "NAME", or "NAME: REGEX", whose first group
 * is the value. */
int settings_check_scan_header(const char *value, struct buf *why);
/* A number above 0, perhaps with a fraction. */
int settings_check_decimal(const char *value, struct buf *why);
/* "N=TEXT", N from 0 to 10, or 0 to 5 (RFC 5235). */
int settings_check_spamtest(const char *value, struct buf *why);
int settings_check_virustest(const char *value, struct buf *why);
/* "MAILBOX=\Use", or more uses divided by blanks (RFC 6154). */
int settings_check_special_use(const char *value, struct buf *why);
/* "NAME=PATH", a template (RFC 6134). */
int settings_check_external_list(const char *value, struct buf *why);

#endif
