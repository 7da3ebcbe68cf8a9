/*
 * Archives from bytes: ceilings hold, members stand behind what holds them,
 * names are UTF-8.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/attachment.h"
#include "filters/message/message.h"
#include "filters/message/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
attachment_check(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct attachment_typer typer;
	struct verdict v = VERDICT_INIT;
	struct attachments l;
	struct message m;
	struct arena a;
	struct buf b;

	if (size < 1 || size > 100000)
		return 0;
	if (!typer.magic)
		attachment_check(attachment_typer_open(&typer,
		    "/usr/share/misc/magic.mgc", &v) == 0);
	buf_init(&b, size + 100);
	(void)buf_addz(&b, "Content-Type: application/zip; name=x.gz\n\n");
	(void)buf_add(&b, data + 1, size - 1);
	arena_init(&a, data[0] & 0x80 ? (size_t)(data[0] & 0x7f) * 100 :
	    (size_t)32 << 20);
	message_init(&m, &a, buf_str(&b));
	attachment_scan(&typer, &a, message_mime(&m), &l);
	attachment_check(l.n <= ATTACHMENT_COUNT_MAX);
	attachment_check(l.unpacked <= ATTACHMENT_UNPACKED_MAX + 65536);
	for (size_t i = 0; i < l.n; i++) {
		const struct attachment *x = l.list[i];

		attachment_check(x->depth <= ATTACHMENT_DEPTH_MAX);
		attachment_check(utf8_valid(x->name) && utf8_valid(x->type));
		if (x->inside) {
			attachment_check(x->inside->depth + 1 == x->depth);
			attachment_check(x->inside->flags &
			    ATTACHMENT_ARCHIVE);
		}
	}
	arena_release(&a);
	buf_release(&b);
	return 0;
}
