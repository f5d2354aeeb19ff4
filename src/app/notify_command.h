/* SPDX-License-Identifier: MIT */
/*
 * -notify COMMAND: a command of the user's runs when a session is up, lost, resumed or over, and when a port
 * is refused. The program itself is in a cage, where nothing can be run, and never waits: a helper that
 * was begun before stands outside, knows the command, and is told of events by datagrams.
 *
 *   event --> the program, any thread --datagram, or dropped--> helper --fork, sh -c--> command
 *
 * The helper is this program anew (an exec: nothing of our memory, descriptors or secrets is in it), as the
 * user whom the program becomes. It takes of a datagram what begins with GOTUNNEL_, and MESSAGE, and runs the one
 * command that it was begun with: whoever takes the program over can choose values, and no command.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"

enum {
    NOTIFY_BURST = 10,         /* commands that begin without a wait, then one a second */
    NOTIFY_WAITING = 16,       /* events that wait for their turn: one command runs at a time */
    NOTIFY_MOST_MS = 20000,    /* then a command is killed, with its process group */
    NOTIFY_COMMAND_MAX = 4096, /* bytes of it */
};

/* The helper's command line is "gotunnel notify-helper". */
#define NOTIFY_HELPER_WORD "notify-helper"

/*
 * Begins the helper, if o names a command: while there is one thread, before sandbox_begin() and the cage (app/sandbox.h), whose
 * user is the owner of state (NULL: who we are). mode: "server" or "client", for the command. 0, or
 * negative and logged: ERR_RANGE a command that is too long, ERR_IO no process can be made.
 */
int notify_command_begin(const struct common_options *o, const char *mode,
                         const char *state) MUST_USE;

/* The helper itself: returns its exit status when the program is gone and no command runs any more. */
int notify_helper_main(void);
