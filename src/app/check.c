/* SPDX-License-Identifier: MIT */
/* A file that is only looked at. */
#include "app/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "app/join.h"
#include "app/secret.h"
#include "base/err.h"
#include "base/i18n.h"
#include "base/log.h"
#include "proto/hello.h"

void check_tell(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("  ", stdout);
    (void)vprintf(fmt, ap);
    (void)putchar('\n');
    va_end(ap);
}

void check_wrong(struct check *c, const char *fmt, ...)
{
    char text[sizeof((struct errmsg *)0)->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut on purpose */
    va_end(ap);
    config_file_say(c->file, "%s", text);
    c->problems++;
}

int check_end(const struct check *c)
{
    return c->problems > 0 ? EXIT_STATUS_USAGE : EXIT_STATUS_OK;
}

/* ---- the secret ---- */

static void tell_source(const struct common_options *o)
{
    if (strcmp(o->secret_file, "-") == 0)
        check_tell("%s", _("takes the secret from the standard input"));
    else if (o->secret_in_config)
        check_tell("%s", _("has the secret in the file itself"));
    else if (*o->secret_file)
        check_tell(_("takes the secret from %s"), o->secret_file);
    else
        check_tell(_("takes the secret from %s"), SECRET_VARIABLE);
}

void check_secret(struct check *c, const struct common_options *o)
{
    bool is_awaited = strcmp(o->secret_file, "-") == 0;
    if (!is_awaited && !*o->secret)
        return; /* that was said */
    tell_source(o);
    if (is_awaited || hello_secret_is_long_enough(o->secret))
        return;
    if (o->legacy == LEGACY_NEVER)
        check_wrong(c,
                    _("the secret has less than %d bytes, and -legacy never needs more: 'gotunnel "
                      "genkey' makes one"),
                    HELLO_SECRET_MIN);
    else
        config_file_say(c->file,
                        _("the secret has less than %d bytes: connections will not survive a break "
                          "of the tunnel, and the secret itself is sent; 'gotunnel genkey' makes a "
                          "better one"),
                        HELLO_SECRET_MIN);
}

void check_no_secret(struct check *c)
{
    check_wrong(c, "%s",
                _("the secret is missing: 'secret-file' gives it, or GOTUNNEL_SECRET in "
                  "the environment"));
}

/* The standard input is left for the program itself. */
static void find_secret(struct check *c, struct common_options *o)
{
    struct errmsg why = {""};
    if (strcmp(o->secret_file, "-") != 0 && secret_find(o, &why) < 0)
        check_wrong(c, "%s", why.text);
    else if (c->mode == &client_mode && strcmp(o->secret_file, "-") != 0 && !*o->secret &&
             !o->has_own_key)
        check_no_secret(c); /* a server has clients with keys of their own, perhaps */
}

static void find_credential(struct check *c, struct common_options *o)
{
    struct errmsg why = {""};
    struct client_options *client = c->mode == &client_mode ? (struct client_options *)o : NULL;
    if (client && strcmp(client->join_file, "-") == 0)
        return;
    if (client && join_find(client, &why) < 0)
        check_wrong(c, "%s", why.text);
    else
        find_secret(c, o);
}

/* ---- the file ---- */

static int usage(int status)
{
    log_text(_("Usage of check: gotunnel check FILE says what a configuration file would do, and "
               "what is wrong with it\n"));
    return status;
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "-h") == 0 || strcmp(arg, "-help") == 0 || strcmp(arg, "--help") == 0;
}

/* Into a draft, and sealed. 0 or a negative error, which has been said. */
static int fill(struct check *c, struct config_file *f, struct snapshot *s)
{
    struct common_options *o = snapshot_draft(s);
    int err = config_file_apply(f, c->mode, o);
    if (err < 0)
        return err;
    (void)snprintf(c->tunnel, sizeof c->tunnel, "%s", config_file_tunnel(f));
    find_credential(c, o);
    err = snapshot_seal(s);
    if (err < 0)
        config_file_say(c->file, "%s", err_text(err));
    return err;
}

struct snapshot *check_begin(struct check *c, int argc, char **argv, int *ret_status)
{
    struct config_file *f;
    log_hold();
    *ret_status = EXIT_STATUS_USAGE;
    if (argc != 1 || argv[0][0] == '-') {
        *ret_status = usage(argc == 1 && is_help(argv[0]) ? EXIT_STATUS_OK : EXIT_STATUS_USAGE);
        return NULL;
    }
    *c = (struct check){.file = argv[0]};
    if (config_file_load(c->file, NULL, &f) < 0)
        return NULL;
    c->mode = config_file_mode(f);
    struct snapshot *s = snapshot_new(c->mode);
    if (s && fill(c, f, s) < 0) {
        snapshot_unref(s);
        s = NULL;
    }
    config_file_free(f);
    if (s)
        printf(_("%s: for 'gotunnel %s', which\n"), c->file, c->mode->name);
    return s;
}
