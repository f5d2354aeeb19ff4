/* SPDX-License-Identifier: MIT */
/* Go's flag package, over our table. */
#include "conf/flags.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "conf/nearest.h"
#include "conf/quote.h"
#include "conf/value.h"

void flags_defaults(const struct mode *m, void *opt)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (*o->def || o->type == OPTION_STRING) {
            int err = value_set(o, o->def, opt);
            assert(err == 0); /* the table is ours */
            (void)err;
        }
    }
}

/* ---- errors ---- */

static enum flags_outcome bad(struct flags_error *why, const char *fmt, ...) PRINTF_LIKE(2, 3);

static enum flags_outcome bad(struct flags_error *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why->text, sizeof why->text, fmt, ap); /* cut on purpose */
    va_end(ap);
    return FLAGS_BAD;
}

/* Go's words for a value that is not taken, as far as a translation has them; then what to write. */
static enum flags_outcome bad_value(struct flags_error *why, const struct option *o,
                                    const char *text, int err)
{
    char value[768], reason[VALUE_REASON_MAX];
    value_reason(reason, o, text, err);
    if (o->type == OPTION_SECRET)
        return bad(why, _("invalid value for flag -%s: %s"), o->name, reason);
    (void)quote(value, sizeof value, text); /* cut on purpose */
    if (o->type == OPTION_BOOL)
        return bad(why, _("invalid boolean value %s for -%s: %s"), value, o->name, reason);
    return bad(why, _("invalid value %s for flag -%s: %s"), value, o->name, reason);
}

/* ---- the command line ---- */

static const struct option *find(const struct mode *m, const char *name, size_t n)
{
    for (size_t i = 0; i < m->count; i++)
        if (strlen(m->options[i].name) == n && memcmp(m->options[i].name, name, n) == 0)
            return &m->options[i];
    return NULL;
}

static bool is_help(const char *name, size_t n)
{
    return (n == 1 && *name == 'h') || (n == 4 && memcmp(name, "help", 4) == 0);
}

/* A word that Go takes for a flag: more than a lone dash. */
static bool is_flag(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

/* Go's words, and what may have been meant. */
static enum flags_outcome not_defined(const struct mode *m, const char *name, size_t n,
                                      struct flags_error *why)
{
    struct nearest near;
    nearest_init(&near, name, n);
    for (size_t i = 0; i < m->count; i++)
        nearest_try(&near, m->options[i].name);
    const char *meant = nearest_name(&near);
    if (meant)
        return bad(why, _("flag provided but not defined: -%.*s: did you mean -%s?"), (int)n, name,
                   meant);
    return bad(why, _("flag provided but not defined: -%.*s"), (int)n, name);
}

/* Notes that the command line has o, and the first one that it has again. */
static void note_given(const struct mode *m, const struct option *o, struct common_options *common,
                       struct flags_error *why)
{
    uint32_t bit = UINT32_C(1) << (o - m->options);
    if (common->given & bit && !why->repeated && o->type != OPTION_TUNNELS)
        why->repeated = o->name;
    common->given |= bit;
}

static enum flags_outcome take_value(const struct option *o, char *value, void *opt,
                                     struct flags_error *why)
{
    int err = value_set(o, value, opt);
    if (o->type == OPTION_SECRET)
        secure_zero(value, strlen(value)); /* other users can read command lines */
    return err < 0 ? bad_value(why, o, value, err) : FLAGS_OK;
}

/* One flag at argv[*at]; *at moves behind it and its value. */
static enum flags_outcome take_flag(const struct mode *m, int argc, char **argv, int *at, void *opt,
                                    struct flags_error *why)
{
    char *arg = argv[(*at)++];
    char *name = arg + (arg[1] == '-' ? 2 : 1);
    size_t n = strcspn(name, "=");
    if (name[0] == '-' || name[0] == '=' || name[0] == '\0')
        return bad(why, _("bad flag syntax: %s"), arg);
    char *value = name[n] == '=' ? name + n + 1 : NULL;
    const struct option *o = find(m, name, n);
    if (!o && is_help(name, n))
        return FLAGS_HELP;
    if (!o)
        return not_defined(m, name, n, why);
    note_given(m, o, opt, why);
    if (o->type == OPTION_BOOL && !value) {
        *(bool *)((char *)opt + o->at) = true;
        return FLAGS_OK;
    }
    if (!value && *at >= argc)
        return bad(why, _("flag needs an argument: -%.*s"), (int)n, name);
    return take_value(o, value ? value : argv[(*at)++], opt, why);
}

enum flags_outcome flags_parse(const struct mode *m, int argc, char **argv, void *opt,
                               int *ret_rest, struct flags_error *why)
{
    int at = 0;
    enum flags_outcome r = FLAGS_OK;
    why->repeated = NULL;
    while (r == FLAGS_OK && at < argc && is_flag(argv[at])) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        r = take_flag(m, argc, argv, &at, opt, why);
    }
    *ret_rest = at;
    return r;
}

/* ---- usage ---- */

static const char *type_word(enum option_type type)
{
    switch (type) {
    case OPTION_INT:
    case OPTION_THREADS:
    case OPTION_LIMIT:
        return " int";
    case OPTION_DURATION:
    case OPTION_WINDOW:
        return " duration";
    case OPTION_MEMORY:
        return " size";
    case OPTION_BOOL:
        return "";
    case OPTION_STRING:
    case OPTION_SECRET:
    case OPTION_PORTS:
    case OPTION_CIDRS:
    case OPTION_RATE:
    case OPTION_RATES:
    case OPTION_CHOICE:
    case OPTION_TUNNELS:
    case OPTION_MOMENT:
        return " string";
    }
    return ""; /* not reached */
}

/* Numbers and durations: Go prints their defaults without quotes. */
static bool is_bare(enum option_type type)
{
    return type == OPTION_INT || type == OPTION_DURATION || type == OPTION_THREADS ||
           type == OPTION_WINDOW || type == OPTION_MEMORY;
}

size_t flags_usage(const struct mode *m, char *out, size_t room)
{
    const struct option *rows[OPTIONS_MAX];
    size_t len = 0;
    mode_rows(m, rows);
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = rows[i];
        const char *mark = is_bare(o->type) ? "" : "\"";
        char def[128] = "";
        if (*o->def)
            (void)snprintf(def, sizeof def, " (default %s%s%s)", mark, o->def, mark);
        int n = snprintf(len < room ? out + len : NULL, len < room ? room - len : 0,
                         "  -%s%s\n    \t%s%s\n", o->name, type_word(o->type), _(o->help), def);
        len += n > 0 ? (size_t)n : 0;
    }
    return len;
}
