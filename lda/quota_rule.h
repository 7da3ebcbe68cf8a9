/*
 * A rule of the setting quota_folders: "Junk=ignore", "Trash=+10%",
 * "Archive=+500M".
 */
#ifndef LDA_QUOTA_RULE_H
#define LDA_QUOTA_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/str.h"

#define QUOTA_RULE_PERCENT_MAX 1000

struct quota_rule {
	struct str folder;	/* borrowed from the text */
	bool ignore;		/* it does not count */
	/* By how much the limit is passed when something goes there: percent
	 * of every limit, bytes. */
	uint64_t percent, bytes;
};

/* 0, or -1 when it is none. */
int quota_rule_parse(struct str text, struct quota_rule *r_r);

#endif
