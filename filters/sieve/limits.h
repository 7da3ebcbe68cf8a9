/*
 * Every ceiling of the Sieve engine, with its reason. What a user's script
 * or a stranger's message can make grow has its number here. Past a limit of
 * compiling a script is not accepted; past one of running the run ends with
 * an error and the mail is kept in INBOX.
 */
#ifndef FILTERS_SIEVE_LIMITS_H
#define FILTERS_SIEVE_LIMITS_H

/* --- compiling --- */

/* As ManageSieve servers commonly allow; Pigeonhole takes the same. */
#define LIMIT_SCRIPT_SIZE (1024 * 1024)
/* RFC 5228 section 2.10.7 asks for 15 of each at least. Parsing, checking and
 * running call themselves once per level, so this bounds the C stack. */
#define LIMIT_NESTING 32
/* Commands and tests in one script: 1 MB of "keep;" must not become 100 MB. */
#define LIMIT_NODES 65536
#define LIMIT_STRINGS 262144
/* Reported per script; the rest is counted. */
#define LIMIT_ERRORS 10
/* Memory for the syntax tree of one script. */
#define LIMIT_PARSE_ARENA (48u * 1024 * 1024)
/* An image: text, strings, nodes. */
#define LIMIT_IMAGE (32u * 1024 * 1024)
/* Registered extensions: one bit each. */
#define LIMIT_EXTENSIONS 64

/* --- running --- */

/* Pigeonhole's default; more is an accident or an attack. */
#define LIMIT_ACTIONS 32
/* One message must not become a hundred (RFC 5228 section 10). */
#define LIMIT_REDIRECTS 4
/* RFC 6609 section 3.2 wants a bound; cycles end here at the latest. */
#define LIMIT_INCLUDE_DEPTH 10
/* Scripts included in one run, repeats counted. */
#define LIMIT_INCLUDES 255
/* RFC 5229 section 6 asks for 128 variables of 4000 octets at least. */
#define LIMIT_VARIABLES 255
#define LIMIT_VARIABLE_NAME 64
#define LIMIT_VARIABLE_SIZE (8 * 1024)
/* RFC 5229 section 6: ${0} to ${9} at least; here to ${32}. */
#define LIMIT_MATCH_VALUES 33
/* A string after its variables are put in. */
#define LIMIT_STRING_SIZE (64 * 1024)
/* Text of reject, vacation and notify. */
#define LIMIT_REASON_SIZE (64 * 1024)
/* IMAP flags of one action, and the length of one. */
#define LIMIT_FLAGS_SIZE 4096
/* All memory of one run: variables, evaluated strings, parts. */
#define LIMIT_RUN_ARENA (24u * 1024 * 1024)
/*
 * Work: one unit is about a byte looked at, and every node costs some. 200
 * million units take well below one second here. It does not depend on the
 * machine, so the same mail always fares the same.
 */
#define LIMIT_WORK 200000000ull
#define WORK_NODE 32
/* Header fields that a script may add; a message grows by so much at most. */
#define LIMIT_ADDED_HEADERS 64
#define LIMIT_ADDED_BYTES (256 * 1024)
/* Snapshots of an edited header that a plan may hold. */
#define LIMIT_EDITIONS 16
/* RFC 5703 replace and enclose: how often, and bytes of all messages made by
 * them together, which the run's memory holds beside the first one. */
#define LIMIT_REWRITES 32
#define LIMIT_REWRITTEN (16u * 1024 * 1024)
/* body and extracttext look at so much of a body, and keep so much decoded
 * text of all parts together. */
#define LIMIT_BODY_TEXT (8u * 1024 * 1024)
/* foreverypart inside foreverypart (RFC 5703 section 3: at least four). */
#define LIMIT_LOOPS 8
/* PCRE2: steps of one match, backtracking depth, memory in KiB, and the
 * length of a pattern. (a+)+$ gives up after some milliseconds. */
#define LIMIT_REGEX_MATCH 200000
#define LIMIT_REGEX_DEPTH 20000
#define LIMIT_REGEX_HEAP 4096
#define LIMIT_REGEX_PATTERN 4096
#define LIMIT_REGEX_COMPILED (256 * 1024)
/* Compiled patterns kept in one run. */
#define LIMIT_REGEXES 128
/* An escaped pattern is checked against so much of a value. */
#define LIMIT_REGEX_SUBJECT (1024 * 1024)
/* Addresses that a notify mailto URI may name (RFC 5436 section 2.7). */
#define LIMIT_NOTIFY_TO 8
#define LIMIT_URI_SIZE 4096
/* Vacation: seconds. RFC 5230 section 4.1 lets a site bound the days. */
#define LIMIT_VACATION_MIN 86400
#define LIMIT_VACATION_DEFAULT (7 * 86400)
#define LIMIT_VACATION_MAX (366 * 86400ll)
/* Duplicate (RFC 7352 section 3.3): default and maximum as Pigeonhole. */
#define LIMIT_DUPLICATE_DEFAULT (12 * 3600)
#define LIMIT_DUPLICATE_MAX (2 * 86400)
/* A key handed to the state file. */
#define LIMIT_KEY_SIZE 512
/* Values of one test that a match looks at; 100,000 header fields pass. */
#define LIMIT_MAILBOX_NAME 1024
/* Trace: one value shows so many bytes. */
#define LIMIT_TRACE_VALUE 120

#endif
