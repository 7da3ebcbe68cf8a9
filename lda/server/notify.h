/*
 * sd_notify(3), spoken directly: one datagram to $NOTIFY_SOCKET.
 */
#ifndef LDA_SERVER_NOTIFY_H
#define LDA_SERVER_NOTIFY_H

#include <stdint.h>

/* Reads and removes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Before
 * root is given up and before anything is forked. */
void notify_init(void);
/* Nobody listens: nothing happens. */
void notify_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "RELOADING=1" with the time that systemd wants to see. */
void notify_reloading(void);
/* How often "WATCHDOG=1" is to be said, in ms; 0: never. */
int64_t notify_watchdog_ms(void);

#endif
