#include "lda/lmtp/stdio.h"

#include <signal.h>
#include <unistd.h>

#include "lda/lmtp/session.h"
#include "lda/lookup.h"
#include "lda/signals.h"

int
stdio_serve(const struct config *c, const char *hostname, struct verdict *v)
{
	struct directory *directory = NULL;
	struct resolver resolver = { .delimiters = NULL };
	struct agent agent = { .config = c, .resolver = &resolver,
	    .hostname = hostname, .mode = DELIVERY_REAL,
	    .stop = signals_pending };
	struct session_site site = { .agent = &agent, .done = report_log };
	struct wire wire = { .in = STDIN_FILENO, .out = STDOUT_FILENO };
	sigset_t none;

	if (lookup_open(c, LOOKUP_ONCE, &directory, v) < 0)
		return -1;
	resolver.directory = directory;
	/* Signals end us (exit 75) while we wait for a command, never within a
	 * delivery. */
	signals_hold();
	sigemptyset(&none);
	wire.waiting = &none;
	session_serve(&site, &wire, "local", SESSION_TRUSTED);
	directory_close(&directory);
	return 0;
}
