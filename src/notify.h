/* SPDX-License-Identifier: MIT */
/*
 * notify.h -- tell the service manager how we are (sd_notify(3)).
 *
 * One datagram to the unix socket that NOTIFY_SOCKET names; nothing happens
 * where it names none.  No library is needed for that.
 */
#ifndef RD_SRC_NOTIFY_H
#define RD_SRC_NOTIFY_H

#include <stdint.h>

#include <redistribute/error.h>

/* Sends assignments, one a line: "READY=1\nSTATUS=2 workers". */
void rd_notify(const char *fmt, ...) RD_PRINTF(1, 2);
/* "RELOADING=1" with the time that newer systemd wants beside it. */
void rd_notify_reloading(void);
/* How often WATCHDOG=1 must be sent, half of what is granted; 0: never. */
uint64_t rd_notify_watchdog_ms(void);

#endif
