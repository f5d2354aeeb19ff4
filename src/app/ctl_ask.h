/* SPDX-License-Identifier: MIT */
/* Who asks at a control socket (app/ctl.h). Blocks, for an answer up to a minute: a reload waits for the disk. */
#pragma once

#include "app/ctl.h"
#include "base/attr.h"
#include "base/err.h"
#include "proto/ctl.h"

/* The n-th place, from 0, where the socket of a server may be that works in the folder state: the one given, alone; or else
   first `control` in that folder, where `gotunnel up` has it, then that of a program of ours with our environment, or of
   our unit. False: that was all. A longer path is cut. */
bool ctl_server_place(const char *given, const char *state, unsigned n, char ret[CTL_PATH_MAX + 1]);

/* A descriptor; ERR_NOTFOUND: nobody answers there; ERR_PERM: we may not ask; or another error, with a
   sentence. */
int ctl_reach(const char *path, struct errmsg *why) MUST_USE;

/* Asks, and takes all of the answer: lines, NUL-terminated, the caller's. NULL: there is none, with a
   sentence. */
char *ctl_ask(int fd, const struct ctl_request *req, struct errmsg *why) MUST_USE;

/* A line of an answer, without its line feed, NUL-terminated. False: no more are wanted. */
typedef bool ctl_take_line(void *ctx, const char *line, size_t n);

/* Asks, and gives each line of the answer as it comes, of CTL_ANSWER_MAX bytes at the most, until the last one (take()
   knows it). 0; ERR_IO: it broke off, ERR_TIMEOUT: nothing comes,
   ERR_LIMIT: a line is longer, ERR_NOMEM: with a sentence. */
int ctl_ask_lines(int fd, const struct ctl_request *req, ctl_take_line *take, void *ctx,
                  struct errmsg *why) MUST_USE;
