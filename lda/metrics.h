/*
 * What has been done, counted for all processes of the service.
 *
 *	metrics_init(&v);		before the workers are forked
 *	metrics_add(METRIC_MESSAGES, 1);
 *	metrics_delivery(&verdict, microseconds, bytes);
 *	metrics_render(&out);		OpenMetrics, for the socket
 *	metrics_write(path, &v);	for node_exporter's textfile collector
 *
 * The counters lie in a page that the workers inherit; adding is one atomic
 * instruction. Without metrics_init they count for this process alone. A new
 * counter is a name here and a row in metrics.c.
 */
#ifndef LDA_METRICS_H
#define LDA_METRICS_H

#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/verdict.h"

#define METRICS_CONTENT_TYPE \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"

/* In the order of the rows. */
enum metric {
	METRIC_BYTES,			/* of what was stored */
	METRIC_CONNECTIONS,
	METRIC_CONNECTIONS_REFUSED,
	METRIC_CONNECTIONS_NOW,		/* goes down too */
	METRIC_MESSAGES,
	METRIC_RECIPIENTS_OK,
	METRIC_RECIPIENTS_LATER,
	METRIC_RECIPIENTS_REFUSED,
	METRIC_PROTOCOL_ERRORS,
	METRIC_TIMEOUTS,
	METRIC_WORKERS_NOW,		/* goes down too */
	METRIC_WORKER_CRASHES,
	METRIC_RELOADS,
	METRIC_LOOKUP_FOUND,
	METRIC_LOOKUP_ABSENT,
	METRIC_LOOKUP_BROKEN,
	METRIC_CACHE_HIT,
	METRIC_CACHE_MISS,
	METRIC_CACHE_STALE,
	METRIC_LOCK_TIMEOUTS,
	METRIC_DOTLOCKS_REMOVED,
	METRIC_MBOX_REPAIRS,
	METRIC_RETRIES_KNOWN,		/* of the retry journal */
	METRIC_LOGGED,			/* by the delivery log */
	METRIC_LOG_FULL,
	METRIC_LOG_REPLAYED,
	METRIC_LOG_MENDED,
	METRIC_LOG_ASIDE,
	METRIC_LOG_ROOM,		/* goes down too */
	METRIC_REDIRECTS,
	METRIC_REPLIES,
	METRIC_SIEVE_ERRORS,
	METRIC_SCAN_CLEAN,
	METRIC_SCAN_FOUND,
	METRIC_SCAN_UNASKED,
	METRIC_SCAN_FAILED,
	METRIC_FILTER_CRASHES,
	METRIC_FILTER_TIMEOUTS,
	METRIC_CONTENT_ACCEPTED,
	METRIC_CONTENT_TAGGED,
	METRIC_CONTENT_QUARANTINED,
	METRIC_CONTENT_REJECTED,
	METRIC_CONTENT_FAILED,
	METRIC_QUOTA_WARNINGS,
	METRIC_MAP_FOUND,
	METRIC_MAP_ABSENT,
	METRIC_MAP_BROKEN,
	METRIC_POLICY_ANSWERS,
	METRIC_COUNT
};

/* 0, or -1 when there is no memory to share. */
int metrics_init(struct verdict *v);
void metrics_release(void);

void metrics_add(enum metric m, uint64_t n);
/* For those that go down too. */
void metrics_subtract(enum metric m, uint64_t n);
/* One recipient is done with: its verdict, how long it took, what was
 * stored. */
void metrics_delivery(const struct verdict *v, uint64_t us, uint64_t bytes);
/* For tests. */
uint64_t metrics_value(enum metric m);

void metrics_render(struct buf *out);
/* Writes the older Prometheus text format, which is what node_exporter
 * reads, to a new file that then takes the place of `path`. */
int metrics_write(const char *path, struct verdict *v);

#endif
