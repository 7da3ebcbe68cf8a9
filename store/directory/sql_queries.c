#include "store/directory/sql_queries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/file.h"
#include "store/base/mem.h"

#define QUERIES_FILE_MAX 65536
#define QUERIES_OPTION "?queries="

#define USER_COLUMNS "local, domain, home, format, host, state, reason, " \
	"until, quota_bytes, quota_messages, forward, keep"
#define NEWER_COLUMNS ", content"
#define BY_ADDRESS " WHERE domain = :domain AND local = :local"

static const char *const names[SQL_QUESTIONS] = {
	[SQL_QUESTION_DOMAIN] = "query_domain",
	[SQL_QUESTION_USER] = "query_user",
	[SQL_QUESTION_ALIAS] = "query_alias",
};

static const char *const presets[SQL_QUESTIONS] = {
	[SQL_QUESTION_DOMAIN] = ("SELECT name, alias_of, catch_all, format, "
	    "host, state, reason, until, quota_bytes, user_quota_bytes, "
	    "user_quota_messages FROM domains WHERE name = :domain"),
	[SQL_QUESTION_USER] = "SELECT " USER_COLUMNS NEWER_COLUMNS
	    " FROM accounts" BY_ADDRESS,
	[SQL_QUESTION_ALIAS] = "SELECT targets FROM aliases" BY_ADDRESS,
};

/* Delivery may lack the right to see passwords. */
static const char with_password[] = "SELECT " USER_COLUMNS NEWER_COLUMNS
    ", password FROM accounts" BY_ADDRESS;

/* Databases that were made before the last columns came. */
static const char before[] =
    "SELECT " USER_COLUMNS " FROM accounts" BY_ADDRESS;
static const char before_with_password[] =
    "SELECT " USER_COLUMNS ", password FROM accounts" BY_ADDRESS;

static const struct {
	const char *word;
	enum sql_param param;
} words[] = {
	{ ":local", SQL_PARAM_LOCAL },
	{ ":domain", SQL_PARAM_DOMAIN },
	{ ":address", SQL_PARAM_ADDRESS },
};

/* The number (from 1) of a parameter, each once: PostgreSQL wants none that
 * is not used. 0: too many. */
static size_t
param_number(struct sql_query *q, enum sql_param param)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->params[i] == param)
			return i + 1;
	if (q->count >= SQL_PARAMS_MAX)
		return 0;
	q->params[q->count++] = param;
	if (param == SQL_PARAM_ADDRESS)
		q->wants_address = true;
	return q->count;
}

/* Adds ?N for a word at the start of s and returns its length; 0: none. */
static size_t
take_word(struct sql_query *q, struct str s, struct buf *out)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct str word = str_of(words[i].word);
		char after = s.n > word.n ? s.p[word.n] : ' ';

		if (!str_starts(s, word) || ascii_isalnum(after) ||
		    after == '_')
			continue;
		(void)buf_addf(out, "?%zu", param_number(q, words[i].param));
		return word.n;
	}
	return 0;
}

/* The text with ?1 ... for the words outside of quotes; "a::text" stays. */
static void
compile(struct sql_query *q, struct str text)
{
	struct buf out;
	char quote = '\0';

	*q = (struct sql_query){ .text = NULL };
	buf_init(&out, SQL_TEXT_MAX);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		size_t n = 0;

		if (quote != '\0')
			quote = c == quote ? '\0' : quote;
		else if (c == '\'' || c == '"')
			quote = c;
		else if (c == ':' && (i == 0 || text.p[i - 1] != ':'))
			n = take_word(q, str_sub(text, i, text.n), &out);
		if (n > 0)
			i += n - 1;
		else
			(void)buf_addc(&out, c);
	}
	if (out.n > 0)
		q->text = mem_dupn(out.p, out.n);
	buf_release(&out);
}

/* A whole line with its continuations, joined by spaces. */
static bool
next_entry(struct str *rest, struct buf *entry)
{
	struct str line;

	buf_reset(entry);
	while (rest->p != NULL && rest->n > 0) {
		bool more = rest->p[0] == ' ' || rest->p[0] == '\t';

		if (entry->n > 0 && !more)
			return true;
		(void)str_split(rest, '\n', &line); /* there is one */
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (entry->n > 0)
			(void)buf_addc(entry, ' ');
		(void)buf_adds(entry, line);
	}
	return entry->n > 0;
}

/* Which question an entry sets, and to what; -1: none. */
static int
entry_question(struct str entry, struct str *text_r)
{
	for (int i = 0; i < SQL_QUESTIONS; i++) {
		struct str name = str_of(names[i]), rest;

		if (!str_starts(entry, name))
			continue;
		rest = str_trim(str_sub(entry, name.n, entry.n));
		if (rest.n == 0 || rest.p[0] != '=')
			continue;
		*text_r = str_trim(str_sub(rest, 1, rest.n));
		return i;
	}
	return -1;
}

static int
read_file(const char *path, struct buf *out, struct verdict *v)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;
	struct stat st;

	if (fd < 0) {
		verdict_errno(v, errno, "%s", path);
		v->why = V_CONFIG;
		return -1;
	}
	r = fstat(fd, &st);
	if (r == 0 && (!S_ISREG(st.st_mode) || (st.st_mode & S_IWOTH)))
		r = verdict_set(v, V_CONFIG,
		    "%s: not a plain file, or others can write it", path);
	else if (r < 0 || (r = file_read_whole(fd, out)) < 0)
		verdict_errno(v, errno, "%s", path);
	file_close(&fd);
	return r;
}

/* Takes the queries out of a file; what else it holds goes to `other`, or is
 * a mistake when that is NULL. */
static int
load_file(const char *path, struct sql_queries *q, struct buf *other,
    struct verdict *v)
{
	struct buf file, entry;
	struct str rest, text;
	size_t own = 0;
	int r = -1, i;

	buf_init(&file, QUERIES_FILE_MAX);
	buf_init(&entry, SQL_TEXT_MAX);
	if (read_file(path, &file, v) < 0)
		goto out;
	rest = buf_str(&file);
	while (next_entry(&rest, &entry)) {
		i = entry_question(buf_str(&entry), &text);
		if (i >= 0) {
			free(q->of[i].text);
			compile(&q->of[i], text);
			if (i == SQL_QUESTION_USER) {
				free(q->user_before.text);
				q->user_before.text = NULL;
			}
			own++;
		} else if (other == NULL) {
			verdict_set(v, V_CONFIG,
			    "%s: neither query_domain, query_user nor "
			    "query_alias: %.60s", path, entry.p);
			goto out;
		} else {
			if (other->n > 0)
				(void)buf_addc(other, ' ');
			(void)buf_adds(other, buf_str(&entry));
		}
	}
	q->all_own = own >= SQL_QUESTIONS;
	r = 0;
out:
	buf_release(&file);
	buf_release(&entry);
	return r;
}

int
sql_queries_load(const char *kind, const char *spec,
    enum directory_want want, struct sql_queries *q, struct buf *where,
    struct verdict *v)
{
	const char *option = strstr(spec, QUERIES_OPTION);
	int r = 0;

	if (spec[0] != '/')
		return verdict_set(v, V_CONFIG,
		    "directory \"%s:%s\": wants an absolute path", kind, spec);
	*q = (struct sql_queries){ .all_own = false };
	for (int i = 0; i < SQL_QUESTIONS; i++)
		compile(&q->of[i], str_of(i == SQL_QUESTION_USER &&
		    want == DIRECTORY_WANT_PASSWORD ? with_password :
		    presets[i]));
	compile(&q->user_before, str_of(want == DIRECTORY_WANT_PASSWORD ?
	    before_with_password : before));
	if (strcmp(kind, "pgsql") == 0) {
		r = load_file(spec, q, where, v);
	} else if (option != NULL) {
		(void)buf_add(where, spec, (size_t)(option - spec));
		r = load_file(option + strlen(QUERIES_OPTION), q, NULL, v);
	} else {
		(void)buf_addz(where, spec);
	}
	if (r < 0)
		sql_queries_release(q);
	return r;
}

void
sql_queries_release(struct sql_queries *q)
{
	for (int i = 0; i < SQL_QUESTIONS; i++) {
		free(q->of[i].text);
		q->of[i].text = NULL;
	}
	free(q->user_before.text);
	q->user_before.text = NULL;
}
