/* SPDX-License-Identifier: MIT */
/* Secrets from files, standard input and the environment. */
#include "app/secret.h"

#include <string.h>

#include "app/secret_text.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/secure.h"

/* What no peer could ever send. */
static int check(const struct secret_text *t, const char *from, struct errmsg *why)
{
    if (memchr(t->bytes, '\0', t->n))
        return errmsg_set(why, ERR_INVAL, _("%s has a zero byte in it"), from);
    if (memchr(t->bytes, '\n', t->n))
        return errmsg_set(why, ERR_INVAL, _("%s has a line feed in it: a secret is one line"),
                          from);
    return 0;
}

static int from_file(struct secret_text *t, const char *file, struct errmsg *why)
{
    const char *words = _("the secret on standard input");
    int err = secret_text_read(t, file, words, why);
    return err < 0 ? err : check(t, strcmp(file, "-") == 0 ? words : file, why);
}

int secret_find(struct common_options *o, struct errmsg *why)
{
    struct secret_text t = {.n = 0};
    why->text[0] = '\0';
    bool is_there = *o->secret != '\0';
    bool in_argv = is_there && !o->secret_in_config;
    o->secret_in_argv = in_argv;
    bool in_file = !is_there && *o->secret_file;
    bool wanted = !is_there && !in_file && !o->has_own_key;
    int err = secret_text_environment(&t, SECRET_VARIABLE, wanted, why);
    if (err == 0 && t.n > 0)
        err = check(&t, SECRET_VARIABLE, why);
    if (err == 0 && in_file)
        err = from_file(&t, o->secret_file, why);
    if (err == 0 && t.n > 0)
        memcpy(o->secret, t.bytes, t.n + 1);
    secure_zero(&t, sizeof t);
    if (in_argv && strchr(o->secret, '\n'))
        err = errmsg_set(why, ERR_INVAL, _("%s has a line feed in it: a secret is one line"),
                         "-secret");
    return err;
}

void secret_warn(const struct common_options *o)
{
    if (o->secret_in_argv)
        event_secret_in_argv();
}
