#include "lda/server/roles.h"

#include <string.h>

#include "lda/maps/policy.h"
#include "lda/maps/socketmap.h"
#include "lda/metrics.h"
#include "store/base/buf.h"
#include "store/base/clock.h"

static const struct setting_list *
lmtp_list(const struct settings *s)
{
	return &s->lmtp_listen;
}

static void
lmtp_serve(const struct visit *v)
{
	session_serve(v->site, v->wire, v->client, v->trust);
}

static const struct setting_list *
map_list(const struct settings *s)
{
	return &s->map_listen;
}

static const struct setting_list *
policy_list(const struct settings *s)
{
	return &s->policy_listen;
}

static const struct setting_list *
metrics_list(const struct settings *s)
{
	return &s->metrics_listen;
}

/* A scraper asks within this time or not at all. */
#define SCRAPE_MS 5000
#define SCRAPE_MAX 8192
#define METRICS_MAX (1024 * 1024)

/* HTTP/1.0: whatever is asked for, the metrics are the answer. */
static void
metrics_serve(const struct visit *v)
{
	int64_t deadline = clock_mono_ms() + SCRAPE_MS;
	struct buf ask, body, head;
	size_t got;

	buf_init(&ask, SCRAPE_MAX);
	buf_init(&body, METRICS_MAX);
	buf_init(&head, SCRAPE_MAX);
	while (str_find(buf_str(&ask), STR("\r\n\r\n")) < 0 &&
	    str_find(buf_str(&ask), STR("\n\n")) < 0) {
		if (buf_reserve(&ask, 1) < 0 || wire_read(v->wire,
		    ask.p + ask.n, ask.cap - 1 - ask.n, deadline, &got) != WIRE_OK)
			goto out;
		ask.n += got;
		ask.p[ask.n] = '\0';
	}
	metrics_render(&body);
	(void)buf_addf(&head, "HTTP/1.0 200 OK\r\nContent-Type: %s\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
	    METRICS_CONTENT_TYPE, body.n); /* fits */
	if (wire_write(v->wire, buf_str(&head), deadline) == WIRE_OK)
		(void)wire_write(v->wire, buf_str(&body), deadline);
out:
	buf_release(&ask);
	buf_release(&body);
	buf_release(&head);
}

const struct role roles[] = {
	{ "lmtp", lmtp_list, lmtp_serve, NULL,
	    "421 4.3.2 %s Too many connections, please try again later\r\n" },
	/* A client of these two that finds the connection closed tries later. */
	{ "map", map_list, NULL, &socketmap_protocol, "" },
	{ "policy", policy_list, NULL, &policy_protocol, "" },
	{ "metrics", metrics_list, metrics_serve, NULL,
	    "HTTP/1.0 503 Busy\r\nServer: %s\r\n\r\n" },
};
const size_t roles_count = sizeof(roles) / sizeof(roles[0]);

const struct role *
role_find(const char *name)
{
	if (!*name || strcmp(name, "unknown") == 0)
		return &roles[0];
	for (size_t i = 0; i < roles_count; i++)
		if (strcmp(roles[i].name, name) == 0)
			return &roles[i];
	return NULL;
}
