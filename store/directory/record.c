#include "store/directory/record.h"

#include <string.h>
#include <time.h>

#include "store/base/num.h"

/* The year 9999: what follows has no RFC 3339 form. */
#define UNTIL_MAX ((uint64_t)253402300799)

static const char *const state_words[ACCOUNT_STATE_COUNT] = {
	[ACCOUNT_ACTIVE] = "active",
	[ACCOUNT_SUSPENDED] = "suspended",
	[ACCOUNT_DISABLED] = "disabled",
	[ACCOUNT_LOCKED] = "locked",
	[ACCOUNT_FORWARD_ONLY] = "forward-only",
};

void
account_init(struct account *r)
{
	*r = (struct account){
		.quota_bytes = DIRECTORY_UNSET,
		.quota_messages = DIRECTORY_UNSET,
	};
}

void
domain_record_init(struct domain_record *r)
{
	*r = (struct domain_record){
		.quota_bytes = DIRECTORY_UNSET,
		.user_quota_bytes = DIRECTORY_UNSET,
		.user_quota_messages = DIRECTORY_UNSET,
	};
}

enum account_state
directory_state_at(const struct directory_state *s, int64_t now)
{
	if (s->until != 0 && s->until <= now)
		return ACCOUNT_ACTIVE;
	return s->state;
}

const char *
account_state_word(enum account_state s)
{
	return state_words[s];
}

int
account_state_parse(struct str word, enum account_state *state_r)
{
	for (int s = 0; s < ACCOUNT_STATE_COUNT; s++) {
		if (str_caseeq(word, str_of(state_words[s]))) {
			*state_r = (enum account_state)s;
			return 0;
		}
	}
	return -1;
}

int
directory_format_check(struct str word)
{
	return word.n == 0 || str_eq(word, STR("mbox")) ||
	    str_eq(word, STR("maildir")) ? 0 : -1;
}

/* The number of n digits at the start of *s, then the character `after`;
 * moves *s behind both. */
static int
take_number(struct str *s, size_t n, char after, uint64_t max, int *value_r)
{
	uint64_t value;

	if (s->n < n || num_u64(str_sub(*s, 0, n), max, &value) < 0)
		return -1;
	*value_r = (int)value;
	*s = str_sub(*s, n, s->n);
	if (after == '\0')
		return 0;
	if (s->n == 0 || s->p[0] != after)
		return -1;
	*s = str_sub(*s, 1, s->n);
	return 0;
}

int
directory_until_parse(struct str text, int64_t *until_r)
{
	struct tm tm = { 0 };
	uint64_t seconds;
	time_t t;
	int mday;

	if (num_u64(text, UNTIL_MAX, &seconds) == 0) {
		*until_r = (int64_t)seconds;
		return 0;
	}
	if (take_number(&text, 4, '-', 9999, &tm.tm_year) < 0 ||
	    take_number(&text, 2, '-', 12, &tm.tm_mon) < 0 ||
	    take_number(&text, 2, '\0', 31, &tm.tm_mday) < 0)
		return -1;
	if (text.n > 0) {
		if (text.p[0] != 'T' && text.p[0] != 't' && text.p[0] != ' ')
			return -1;
		text = str_sub(text, 1, text.n);
		if (take_number(&text, 2, ':', 23, &tm.tm_hour) < 0 ||
		    take_number(&text, 2, '\0', 59, &tm.tm_min) < 0)
			return -1;
		if (text.n > 0 && text.p[0] == ':') {
			text = str_sub(text, 1, text.n);
			if (take_number(&text, 2, '\0', 59, &tm.tm_sec) < 0)
				return -1;
		}
		if (!str_caseeq(text, STR("Z")) && text.n != 0)
			return -1;
	}
	if (tm.tm_year < 1971 || tm.tm_mon < 1 || tm.tm_mday < 1)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	mday = tm.tm_mday;
	t = timegm(&tm);
	if (tm.tm_mday != mday) /* 31 February became March */
		return -1;
	*until_r = (int64_t)t;
	return 0;
}

int
directory_list_parse(struct str text, struct arena *a,
    struct directory_list *list_r)
{
	struct str *list;
	size_t count = 0, start = 0, most = 1;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == ',' || text.p[i] <= ' ')
			most++;
	list = arena_array(a, most, sizeof(*list));
	if (list == NULL)
		return -1;
	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != ',' &&
		    (unsigned char)text.p[i] > ' ')
			continue;
		if (i > start)
			list[count++] = str_sub(text, start, i - start);
		start = i + 1;
	}
	*list_r = (struct directory_list){ list, count };
	return 0;
}

/* --- packing ---------------------------------------------------------------
 * Lists come first, so that they are aligned as the room is. */

struct pack {
	char *room;	/* NULL: only count */
	size_t used;
};

static struct str
pack_str(struct pack *k, struct str s)
{
	struct str copy = STR("");

	if (s.n == 0)
		return copy;
	if (k->room != NULL) {
		memcpy(k->room + k->used, s.p, s.n);
		copy = str_mem(k->room + k->used, s.n);
	}
	k->used += s.n;
	return copy;
}

/* The array at the front of the room; its strings follow later. */
static struct str *
pack_array(struct pack *k, struct directory_list l)
{
	struct str *array = NULL;

	if (k->room != NULL)
		array = (struct str *)(void *)k->room;
	k->used += l.count * sizeof(struct str);
	return array;
}

static struct directory_list
pack_list(struct pack *k, struct str *array, struct directory_list l)
{
	for (size_t i = 0; i < l.count; i++) {
		struct str s = pack_str(k, l.list[i]);

		if (array != NULL)
			array[i] = s;
	}
	return (struct directory_list){ array, l.count };
}

size_t
account_pack(const struct account *from, void *room, struct account *to_r)
{
	struct pack k = { room, 0 };
	struct str *array = pack_array(&k, from->forwards);
	struct account to = *from;

	to.local = pack_str(&k, from->local);
	to.domain = pack_str(&k, from->domain);
	to.home = pack_str(&k, from->home);
	to.format = pack_str(&k, from->format);
	to.host = pack_str(&k, from->host);
	to.state.reason = pack_str(&k, from->state.reason);
	to.password = pack_str(&k, from->password);
	to.content = pack_str(&k, from->content);
	to.forwards = pack_list(&k, array, from->forwards);
	if (room != NULL)
		*to_r = to;
	return k.used;
}

size_t
domain_record_pack(const struct domain_record *from, void *room,
    struct domain_record *to_r)
{
	struct pack k = { room, 0 };
	struct str *array = pack_array(&k, from->catch_all);
	struct domain_record to = *from;

	to.name = pack_str(&k, from->name);
	to.alias_of = pack_str(&k, from->alias_of);
	to.format = pack_str(&k, from->format);
	to.host = pack_str(&k, from->host);
	to.state.reason = pack_str(&k, from->state.reason);
	to.catch_all = pack_list(&k, array, from->catch_all);
	if (room != NULL)
		*to_r = to;
	return k.used;
}

size_t
alias_record_pack(const struct alias_record *from, void *room,
    struct alias_record *to_r)
{
	struct pack k = { room, 0 };
	struct str *array = pack_array(&k, from->targets);
	struct alias_record to = *from;

	to.local = pack_str(&k, from->local);
	to.domain = pack_str(&k, from->domain);
	to.targets = pack_list(&k, array, from->targets);
	if (room != NULL)
		*to_r = to;
	return k.used;
}
