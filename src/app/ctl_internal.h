/* SPDX-License-Identifier: MIT */
/* Private to the control socket: its connections (ctl_conn.c) and its commands (ctl_run.c). */
#pragma once

#include "app/ctl.h"

/* Somebody may have connected, or CTL_CONNECTIONS are there no more. */
void ctl_watch(struct ctl *c);

/* Closes all that are there. */
void ctl_drop_all(struct ctl *c);

/* A row of ctl_run()'s table. */
void ctl_run_status(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                    void (**ret_then)(struct ctl *c));

/* Does what req asks for, and says so. *ret_then, if it is set, follows when the answer is on its way. */
void ctl_run(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
             void (**ret_then)(struct ctl *c));
