#include "lda/sieve_set.h"

#include <limits.h>

#include "store/base/num.h"

/* 128 names of capabilities (lda/settings.c). */
#define EXTENSIONS_MAX 16384

static int
extensions_of(const struct settings *s, struct arena *a, struct str *list_r)
{
	struct buf b;

	buf_init(&b, EXTENSIONS_MAX);
	for (size_t i = 0; i < s->sieve_extensions.n; i++) {
		if (i)
			buf_addc(&b, ' ');
		buf_addz(&b, s->sieve_extensions.v[i]);
	}
	*list_r = b.full ? (struct str){ NULL, 0 } : arena_copy(a, buf_str(&b));
	buf_release(&b);
	return list_r->p ? 0 : -1;
}

/* The five settings of one test. */
struct scan {
	enum setting_scan type;
	const char *header;
	const char *max_value, *max_header;
	const struct setting_list *texts;
};

/* What is left out here was refused when the configuration was read. */
static struct engine_spam
scan_of(const struct scan *scan)
{
	static const enum engine_spam_type types[] = {
		[SET_SCAN_SCORE] = ENGINE_SPAM_SCORE,
		[SET_SCAN_STRLEN] = ENGINE_SPAM_STRLEN,
		[SET_SCAN_TEXT] = ENGINE_SPAM_TEXT,
	};
	struct engine_spam spam = { .type = ENGINE_SPAM_OFF };

	if (!scan->header[0])
		return spam;
	spam.type = types[scan->type];
	spam.header = str_of(scan->header);
	spam.max_header = str_of(scan->max_header);
	if (num_decimal(str_of(scan->max_value), &spam.max) < 0)
		spam.max = 0;
	for (size_t i = 0; i < scan->texts->n; i++) {
		struct str text = str_of(scan->texts->v[i]);
		size_t sign = (size_t)str_chr(text, '=');
		uint64_t n;

		if (num_u64(str_sub(text, 0, sign), 10, &n) == 0)
			spam.texts[n] = str_sub(text, sign + 1, text.n);
	}
	return spam;
}

int
sieve_set(const struct settings *s, struct arena *a,
    struct engine_settings *set_r)
{
	const struct scan spam = {
		.type = s->sieve_spamtest_status_type,
		.header = s->sieve_spamtest_status_header,
		.max_value = s->sieve_spamtest_max_value,
		.max_header = s->sieve_spamtest_max_header,
		.texts = &s->sieve_spamtest_text_values,
	};
	const struct scan virus = {
		.type = s->sieve_virustest_status_type,
		.header = s->sieve_virustest_status_header,
		.max_value = s->sieve_virustest_max_value,
		.max_header = s->sieve_virustest_max_header,
		.texts = &s->sieve_virustest_text_values,
	};

	*set_r = (struct engine_settings){
		.max_actions = (unsigned)s->sieve_max_actions,
		.max_redirects = s->sieve_max_redirects ?
		    (unsigned)s->sieve_max_redirects : UINT_MAX,
		.delimiter = str_of(s->recipient_delimiter),
		.vacation_min = (int64_t)(s->sieve_vacation_min / 1000),
		.vacation_max = (int64_t)(s->sieve_vacation_max / 1000),
		.spam = scan_of(&spam),
		.virus = scan_of(&virus),
	};
	return extensions_of(s, a, &set_r->extensions);
}
