/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel service install` and `remove`: what was begun by hand, by `gotunnel up` or `gotunnel join -save`, as a
 * service of this machine, and the way back. Asks nothing.
 *
 *   who asks for it, and which manager is there --> what the program was told (service_kind.plan) --> nothing of
 *   it is there yet --> files --> commands of the manager; what fails takes back what was done before
 *
 * Files: SERVICE_CONFIG/MODE.yaml, a copy that begins with a line of ours; for a client with a join string
 * SERVICE_CONFIG/client.join, 0600; and the unit or script of the manager.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "app/config_file.h"
#include "app/managers.h"
#include "base/attr.h"
#include "conf/join.h"
#include "conf/snapshot.h"

/* What is to be installed. */
struct service_plan {
    struct service service;
    char file[PATH_MAX]; /* the configuration that it comes from, a whole path */
    struct config_file *config;
    struct snapshot *options; /* a draft, whose strings point into config */
    char join[JOIN_BUF];      /* "": none */
};

/* A program that can be a service. */
struct service_kind {
    const struct mode *mode;
    const char *run; /* its folder below /run */
    /* Is there something to install, where none was named? Its file, there or not. */
    bool (*find)(char ret_file[PATH_MAX]);
    const char *missing; /* what to do where that is not there */
    /* Fills the service but for mode, run and exe, and join, from options. An exit status, and it was said. */
    int (*plan)(struct service_plan *p);
    /* The service is gone: what the manager has done to what the options name is undone. NULL: nothing. */
    void (*undo)(const struct snapshot *options);
};

enum { SERVICE_KINDS = 2 };

/* argv without the program's name and the mode. An exit status (app/cli.h). */
int cmd_service(int argc, char **argv, const struct service_kind kinds[SERVICE_KINDS]) MUST_USE;

/* The sentence on stderr. EXIT_STATUS_FAILED. */
int service_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
