/* SPDX-License-Identifier: MIT */
/* The client whose file `gotunnel join -save` has written. */
#include "client/install.h"

#include <stdio.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/join.h"
#include "base/i18n.h"
#include "proto/sha256.h"

static bool find_file(char ret[PATH_MAX])
{
    (void)snprintf(ret, PATH_MAX, "client.yaml");
    return access(ret, F_OK) == 0;
}

static int plan(struct service_plan *p)
{
    struct client_options *o = snapshot_draft(p->options);
    struct service *s = &p->service;
    struct errmsg why;
    if (!*o->join_file)
        return service_fail(
            _("%s: 'join-file' is missing in it: 'gotunnel join -save' writes files that have it"),
            p->file);
    if (join_find(o, &why) < 0)
        return service_fail("%s: %s", p->file, why.text);
    int err = join_encode(p->join, &o->join, sha256);
    if (err < 0)
        return cli_cannot_start(err);
    (void)snprintf(s->state, sizeof s->state, SERVICE_STATES "gotunnel-client/client"); /* fits */
    s->is_managers = true;
    s->has_join = true;
    return EXIT_STATUS_OK;
}

const struct service_kind client_service_kind = {
    .mode = &client_mode,
    .run = "gotunnel-client/client",
    .find = find_file,
    .missing = N_("there is no client to make a service of: 'gotunnel join STRING PORT -save' "
                  "writes the file "
                  "client.yaml, and this is run in its folder"),
    .plan = plan,
};
