/* SPDX-License-Identifier: MIT */
/*
 * error.h -- every error of Redistribute, in one table.
 *
 * A function that can fail returns an int: RD_OK, or one of the negative
 * values below.  errno is translated where it happens and never travels.
 */
#ifndef REDISTRIBUTE_ERROR_H
#define REDISTRIBUTE_ERROR_H

/* name, value, the sentence that rd_strerror() returns */
#define RD_ERRORS(X)                                                           \
	X(RD_OK, 0, "no error")                                                \
	X(RD_EINVAL, -1, "an argument is not of the form that is expected")    \
	X(RD_EFORMAT, -2, "the input is malformed")                            \
	X(RD_ETOOBIG, -3, "the input is larger than its limit")                \
	X(RD_ENOTFOUND, -4, "there is no such thing")                          \
	X(RD_EEXIST, -5, "it exists already")                                  \
	X(RD_EAGAIN, -6, "not now, try again")                                 \
	X(RD_ETIMEOUT, -7, "no answer in time")                                \
	X(RD_ECONN, -8, "there is no connection to Redis")                     \
	X(RD_EUNKNOWN, -9, "the connection broke before the answer came")      \
	X(RD_EREDIS, -10, "Redis answered with an error")                      \
	X(RD_ECONFIG, -11, "the configuration is wrong")                       \
	X(RD_EIO, -12, "reading or writing failed")                            \
	X(RD_ELIMIT, -13, "a limit is reached")                                \
	X(RD_EBACKLOG, -14, "a team is behind: the channel takes no more now")

enum rd_error {
#define RD_ERROR_ENUM(name, value, text) name = (value),
	RD_ERRORS(RD_ERROR_ENUM)
#undef RD_ERROR_ENUM
};

/* The result of such a function must be looked at. */
#define RD_MUST_CHECK __attribute__((warn_unused_result))
/* The function takes a printf format at position f, its values from a on. */
#define RD_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Exported: handlers in shared objects may call it. */
#define RD_PUBLIC __attribute__((visibility("default")))

/* One English sentence for err, without a full stop.  Never NULL. */
RD_PUBLIC const char *rd_strerror(int err);
/* The name of err, "RD_ETIMEOUT".  Never NULL. */
RD_PUBLIC const char *rd_errname(int err);

#endif
