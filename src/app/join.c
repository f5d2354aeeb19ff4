/* SPDX-License-Identifier: MIT */
/* From a word that a person has copied to options. */
#include "app/join.h"

#include <stdlib.h>
#include <string.h>

#include "app/secret.h"
#include "app/secret_text.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "conf/diff.h"
#include "proto/sha256.h"

/* ---- which text ---- */

static int from_argument(struct secret_text *t, struct client_options *o, struct errmsg *why)
{
    if (strcmp(o->join_text, "-") == 0)
        return secret_text_read(t, "-", _("the join string on standard input"), why);
    t->n = strlen(o->join_text);
    memcpy(t->bytes, o->join_text, t->n + 1);
    o->join_in_argv = true;
    return 0;
}

static int find_text(struct secret_text *t, struct client_options *o, struct errmsg *why)
{
    const struct common_options *c = &o->common;
    bool in_argument = *o->join_text != '\0', in_file = !in_argument && *o->join_file;
    bool has_secret = *c->secret || *c->secret_file;
    bool wanted = !in_argument && !in_file && !has_secret;
    why->text[0] = '\0';
    t->n = 0;
    bool has_both = wanted && getenv(JOIN_VARIABLE) && getenv(SECRET_VARIABLE);
    int err = secret_text_environment(t, JOIN_VARIABLE, wanted, why);
    if (err == 0 && has_both)
        err = errmsg_set(why, ERR_INVAL, _("%s and %s are both in the environment: unset one"),
                         JOIN_VARIABLE, SECRET_VARIABLE);
    else if (err == 0 && in_argument)
        err = from_argument(t, o, why);
    else if (err == 0 && in_file)
        err = secret_text_read(t, o->join_file, _("the join string on standard input"), why);
    secure_zero(o->join_text, sizeof o->join_text);
    return err;
}

/* ---- what goes with it ---- */

static int check_others(const struct client_options *o, struct errmsg *why)
{
    const struct common_options *c = &o->common;
    if (*c->secret || *c->secret_file)
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("a join string has the client's own secret: leave out -secret and "
                            "-secret-file"));
    if (options_have(&client_mode, c->given, "ca"))
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("a join string says by which CA the server is known: leave out -ca"));
    if (c->legacy == LEGACY_ALLOW)
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("a client with a join string never speaks the old protocol: leave out "
                            "-legacy allow"));
    return 0;
}

static void apply(struct client_options *o)
{
    o->has_join = true;
    o->common.has_own_key = true;
    o->common.legacy = LEGACY_NEVER;
    join_server(o->join_server, &o->join);
    if (!*o->server)
        o->server = o->join_server;
}

int join_find(struct client_options *o, struct errmsg *why)
{
    struct secret_text t;
    struct errmsg doubt;
    int err = find_text(&t, o, why);
    doubt = *why;
    if (err == 0 && t.n > 0)
        err = check_others(o, why);
    if (err == 0 && t.n > 0)
        err = join_decode(&o->join, t.bytes, t.n, sha256, why);
    if (err == 0 && t.n > 0)
        apply(o);
    if (err == 0)
        *why = doubt;
    secure_zero(&t, sizeof t);
    return err;
}

void join_warn(const struct client_options *o)
{
    if (o->join_in_argv)
        event_join_in_argv();
}
