#include "lda/server/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "store/base/num.h"

static int notify_fd = -1;
static int64_t watchdog_ms;

static void
find_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n, p;

	if (usec && num_u64(str_of(usec), INT64_MAX, &n) == 0 &&
	    (!pid || (num_u64(str_of(pid), INT32_MAX, &p) == 0 &&
	    (pid_t)p == getpid())))
		watchdog_ms = (int64_t)(n / 2000); /* twice as often as due */
}

static void
find_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	socklen_t size;

	if (n < 2 || n >= sizeof(a.sun_path) || (*path != '/' && *path != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (*path == '@')
		a.sun_path[0] = '\0'; /* abstract */
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Connected now, since vmail may not be allowed to later. */
	if (notify_fd >= 0 &&
	    connect(notify_fd, (const struct sockaddr *)&a, size) < 0) {
		(void)close(notify_fd);
		notify_fd = -1;
	}
}

void
notify_init(void)
{
	find_watchdog();
	find_socket();
	(void)unsetenv("NOTIFY_SOCKET");	/* cannot fail */
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

void
notify_say(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	if (notify_fd < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)	/* systemd notices when nothing comes */
		(void)send(notify_fd, text, (size_t)n < sizeof(text) ?
		    (size_t)n : sizeof(text) - 1, MSG_NOSIGNAL);
}

void
notify_reloading(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* always there */
	notify_say("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

int64_t
notify_watchdog_ms(void)
{
	return notify_fd < 0 ? 0 : watchdog_ms;
}
