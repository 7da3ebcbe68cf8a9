#include "store/directory/sql_row.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/num.h"

enum column {
	COLUMN_OTHER,
	COLUMN_LOCAL, COLUMN_DOMAIN, COLUMN_NAME, COLUMN_ALIAS_OF,
	COLUMN_CATCH_ALL, COLUMN_FORMAT, COLUMN_HOST, COLUMN_STATE,
	COLUMN_REASON, COLUMN_UNTIL, COLUMN_QUOTA_BYTES,
	COLUMN_QUOTA_MESSAGES, COLUMN_USER_QUOTA_BYTES,
	COLUMN_USER_QUOTA_MESSAGES, COLUMN_HOME, COLUMN_FORWARD, COLUMN_KEEP,
	COLUMN_PASSWORD, COLUMN_CONTENT, COLUMN_TARGETS, COLUMN_TARGET,
	COLUMN_COUNT
};

static const char *const column_names[COLUMN_COUNT] = {
	[COLUMN_OTHER] = "",
	[COLUMN_LOCAL] = "local", [COLUMN_DOMAIN] = "domain",
	[COLUMN_NAME] = "name", [COLUMN_ALIAS_OF] = "alias_of",
	[COLUMN_CATCH_ALL] = "catch_all", [COLUMN_FORMAT] = "format",
	[COLUMN_HOST] = "host", [COLUMN_STATE] = "state",
	[COLUMN_REASON] = "reason", [COLUMN_UNTIL] = "until",
	[COLUMN_QUOTA_BYTES] = "quota_bytes",
	[COLUMN_QUOTA_MESSAGES] = "quota_messages",
	[COLUMN_USER_QUOTA_BYTES] = "user_quota_bytes",
	[COLUMN_USER_QUOTA_MESSAGES] = "user_quota_messages",
	[COLUMN_HOME] = "home", [COLUMN_FORWARD] = "forward",
	[COLUMN_KEEP] = "keep", [COLUMN_PASSWORD] = "password",
	[COLUMN_CONTENT] = "content",
	[COLUMN_TARGETS] = "targets", [COLUMN_TARGET] = "target",
};

/* --- values ------------------------------------------------------------------ */

static int
number(struct str value, uint64_t *to)
{
	return value.n == 0 ? 0 : num_u64(value, INT64_MAX, to);
}

static int
until(struct str value, int64_t *to)
{
	return value.n == 0 ? 0 : directory_until_parse(value, to);
}

static int
state(struct str value, enum account_state *to)
{
	return value.n == 0 ? 0 : account_state_parse(value, to);
}

static int
format(struct str value, struct str *to)
{
	*to = value;
	return directory_format_check(value);
}

/* 0 and false of any dialect. */
static int
keep(struct str value, enum forward_keep *to)
{
	if (str_eq(value, STR("0")) || str_caseeq(value, STR("f")) ||
	    str_caseeq(value, STR("false")) || str_caseeq(value, STR("no")))
		*to = FORWARD_DROP;
	return 0;
}

static int
text(struct str value, struct str *to)
{
	*to = value;
	return 0;
}

static int
domain_column(enum column c, struct str value, struct arena *a,
    struct domain_record *r)
{
	switch (c) {
	case COLUMN_NAME:
	case COLUMN_DOMAIN:
		return text(value, &r->name);
	case COLUMN_ALIAS_OF:
		return text(value, &r->alias_of);
	case COLUMN_CATCH_ALL:
		return directory_list_parse(value, a, &r->catch_all);
	case COLUMN_FORMAT:
		return format(value, &r->format);
	case COLUMN_HOST:
		return text(value, &r->host);
	case COLUMN_STATE:
		return state(value, &r->state.state);
	case COLUMN_REASON:
		return text(value, &r->state.reason);
	case COLUMN_UNTIL:
		return until(value, &r->state.until);
	case COLUMN_QUOTA_BYTES:
		return number(value, &r->quota_bytes);
	case COLUMN_USER_QUOTA_BYTES:
		return number(value, &r->user_quota_bytes);
	case COLUMN_USER_QUOTA_MESSAGES:
		return number(value, &r->user_quota_messages);
	default:
		return 0;
	}
}

static int
user_column(enum column c, struct str value, struct arena *a,
    struct account *r)
{
	switch (c) {
	case COLUMN_LOCAL:
		return text(value, &r->local);
	case COLUMN_DOMAIN:
		return text(value, &r->domain);
	case COLUMN_HOME:
		return text(value, &r->home);
	case COLUMN_FORMAT:
		return format(value, &r->format);
	case COLUMN_HOST:
		return text(value, &r->host);
	case COLUMN_STATE:
		return state(value, &r->state.state);
	case COLUMN_REASON:
		return text(value, &r->state.reason);
	case COLUMN_UNTIL:
		return until(value, &r->state.until);
	case COLUMN_QUOTA_BYTES:
		return number(value, &r->quota_bytes);
	case COLUMN_QUOTA_MESSAGES:
		return number(value, &r->quota_messages);
	case COLUMN_FORWARD:
		return directory_list_parse(value, a, &r->forwards);
	case COLUMN_KEEP:
		return keep(value, &r->keep);
	case COLUMN_PASSWORD:
		return text(value, &r->password);
	case COLUMN_CONTENT:
		return text(value, &r->content);
	default:
		return 0;
	}
}

/* Appends; a site's table may have a row for each target. */
static int
add_targets(struct str value, struct arena *a, struct directory_list *to)
{
	struct directory_list more;
	struct str *both;

	if (directory_list_parse(value, a, &more) < 0)
		return -1;
	if (to->count == 0) {
		*to = more;
		return 0;
	}
	both = arena_array(a, to->count + more.count, sizeof(*both));
	if (both == NULL)
		return -1;
	memcpy(both, to->list, to->count * sizeof(*both));
	if (more.count > 0)
		memcpy(both + to->count, more.list,
		    more.count * sizeof(*both));
	*to = (struct directory_list){ both, to->count + more.count };
	return 0;
}

static int
alias_column(enum column c, struct str value, struct arena *a,
    struct alias_record *r)
{
	switch (c) {
	case COLUMN_LOCAL:
		return text(value, &r->local);
	case COLUMN_DOMAIN:
		return text(value, &r->domain);
	case COLUMN_TARGETS:
	case COLUMN_TARGET:
		return add_targets(value, a, &r->targets);
	default:
		return 0;
	}
}

static int
set_column(struct directory_entry *e, enum column c, struct str value,
    struct arena *a)
{
	if (c == COLUMN_OTHER || value.p == NULL)
		return 0;
	value = arena_copy(a, value);
	if (value.p == NULL)
		return -1;
	switch (e->kind) {
	case ENTRY_DOMAIN:
		return domain_column(c, value, a, &e->is.domain);
	case ENTRY_USER:
		return user_column(c, value, a, &e->is.user);
	case ENTRY_ALIAS:
		return alias_column(c, value, a, &e->is.alias);
	}
	abort();
}

/* --- rows ---------------------------------------------------------------------- */

static enum column
column_named(const char *name)
{
	for (int c = COLUMN_LOCAL; c < COLUMN_COUNT; c++)
		if (strcmp(name, column_names[c]) == 0)
			return (enum column)c;
	return COLUMN_OTHER;
}

static void
learn_columns(const struct sql_row *row, struct sql_columns *c)
{
	size_t n = row->count < SQL_COLUMNS_MAX ? row->count : SQL_COLUMNS_MAX;

	if (c->count == n)
		return;
	for (size_t i = 0; i < n; i++)
		c->meaning[i] = (unsigned char)column_named(row->names[i]);
	c->count = n;
}

int
sql_row_entry(const struct sql_row *row, struct sql_columns *columns,
    struct arena *a, struct directory_entry *entry, struct verdict *v)
{
	learn_columns(row, columns);
	for (size_t i = 0; i < columns->count; i++) {
		enum column c = (enum column)columns->meaning[i];

		if (set_column(entry, c, row->values[i], a) < 0)
			return verdict_set(v, V_DIRECTORY_DOWN,
			    "directory: column %s makes no sense",
			    column_names[c]);
	}
	return 0;
}

/* --- what there is --------------------------------------------------------------- */

static int
take_name(const struct sql_row *row, void *arg, struct verdict *v)
{
	(void)v;
	if (row->count > 0 && str_eq(row->values[0],
	    str_of(column_names[COLUMN_CONTENT])))
		*(bool *)arg = true;
	return 0;
}

int
sql_columns_current(const struct sql_driver *driver, void *db,
    bool *current_r, struct verdict *v)
{
	struct sql_statement st = { .slot = SQL_ONCE, .text = driver->columns };
	bool there = false;

	if (driver->query(db, &st, take_name, &there, v) < 0)
		return -1;
	*current_r = there;
	return 0;
}
