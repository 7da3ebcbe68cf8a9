/*
 * What Dovecot writes and we read: an index, its log, the name of a folder on
 * disk. The first byte chooses. A name that comes back has to lead to the file
 * it came from.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/folder.h"
#include "store/guid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
name(enum mailbox_format format, struct str path)
{
	struct verdict v = VERDICT_INIT;
	struct buf name, again;

	buf_init(&name, FOLDER_NAME_MAX);
	buf_init(&again, FOLDER_NAME_MAX + 1);
	if (folder_name(format, path, &name) == 0 &&
	    folder_path(format, buf_str(&name), &again, &v) == 0 &&
	    !str_eq(buf_str(&again), path)) {
		/* "a&-&-b" and other spellings that we would not choose. */
		struct buf twice;

		buf_init(&twice, FOLDER_NAME_MAX);
		if (folder_name(format, buf_str(&again), &twice) < 0)
			abort();
		buf_release(&twice);
	}
	buf_release(&name);
	buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char guid[GUID_HEX + 1];
	struct str rest;

	if (n == 0)
		return 0;
	rest = str_mem((const char *)data + 1, n - 1);
	switch (data[0] % 4) {
	case 0:
		if (guid_in_index(rest.p, rest.n, guid) == 1 &&
		    strlen(guid) != GUID_HEX)
			abort();
		break;
	case 1:
		if (guid_in_log(rest.p, rest.n, guid) == 1 &&
		    strlen(guid) != GUID_HEX)
			abort();
		break;
	case 2:
		name(MAILBOX_MBOX, rest);
		break;
	default:
		name(MAILBOX_MAILDIR, rest);
	}
	return 0;
}
