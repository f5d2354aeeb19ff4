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
#include "conf/duration.h"
#include "conf/nearest.h"
#include "conf/number.h"
#include "conf/quote.h"
#include "conf/size.h"

/* ---- values ---- */

static int set_choice(const struct option *o, const char *text, int *ret)
{
    size_t len = strlen(text);
    int index = 0;
    for (const char *word = o->choices; *word; index++) {
        size_t n = strcspn(word, " ");
        if (n == len && memcmp(word, text, n) == 0) {
            *ret = index;
            return 0;
        }
        word += n + (word[n] == ' ');
    }
    return ERR_INVAL;
}

/* strconv.ParseBool */
static int set_bool(const char *text, bool *ret)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False",
                                        "1", "t", "T", "true",  "TRUE",  "True"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i >= ARRAY_LEN(words) / 2;
            return 0;
        }
    }
    return ERR_INVAL;
}

static int set_secret(const char *text, char ret[OPTION_SECRET_MAX + 1])
{
    size_t n = strlen(text);
    if (n > OPTION_SECRET_MAX)
        return ERR_LIMIT;
    memcpy(ret, text, n + 1);
    return 0;
}

static int set_threads(const char *text, int *ret)
{
    int64_t n;
    int err = number_parse(text, &n);
    if (err < 0)
        return err;
    if (n < 1 || n > OPTION_THREADS_MAX)
        return ERR_RANGE;
    *ret = (int)n;
    return 0;
}

static int set_window(const char *text, int64_t *ret)
{
    int64_t ns;
    int err = duration_parse(text, &ns);
    if (err < 0)
        return err;
    if (ns < 0 || ns > OPTION_WINDOW_MAX_S * INT64_C(1000000000))
        return ERR_RANGE;
    *ret = ns;
    return 0;
}

static int set_memory(const char *text, int64_t *ret)
{
    int64_t bytes;
    int err = size_parse(text, &bytes);
    if (err < 0)
        return err;
    if (bytes >> 20 < OPTION_MEMORY_MIN_MIB || bytes > (int64_t)OPTION_MEMORY_MAX_MIB << 20)
        return ERR_RANGE;
    *ret = bytes;
    return 0;
}

/* A number of digits; *ret is what it says, or ERR_RANGE. Behind it; NULL: there is none. */
static const char *take_rate(const char *s, int *ret)
{
    const char *begin = s;
    int n = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        n = n > OPTION_RATE_MAX ? n : n * 10 + (*s - '0');
    *ret = n >= 1 && n <= OPTION_RATE_MAX ? n : ERR_RANGE;
    return s > begin ? s : NULL;
}

static int set_rates(const char *text, struct rates *ret)
{
    struct rates r = *ret;
    const char *s = take_rate(text, &r.all);
    if (s && *s == ',')
        s = take_rate(s + 1, &r.source);
    if (!s || *s)
        return ERR_INVAL;
    if (r.all < 0 || r.source < 0)
        return ERR_RANGE;
    *ret = r;
    return 0;
}

/* Sets o's field from text. 0 or a negative error; the field is then as before. */
static int set(const struct option *o, const char *text, void *opt)
{
    void *field = (char *)opt + o->at;
    switch (o->type) {
    case OPTION_STRING:
        *(const char **)field = text;
        return 0;
    case OPTION_SECRET:
        return set_secret(text, field);
    case OPTION_INT:
        return number_parse(text, field);
    case OPTION_DURATION:
        return duration_parse(text, field);
    case OPTION_PORTS:
        return ports_parse(text, field);
    case OPTION_CIDRS:
        return cidrs_parse(text, field);
    case OPTION_CHOICE:
        return set_choice(o, text, field);
    case OPTION_THREADS:
        return set_threads(text, field);
    case OPTION_WINDOW:
        return set_window(text, field);
    case OPTION_RATES:
        return set_rates(text, field);
    case OPTION_MEMORY:
        return set_memory(text, field);
    case OPTION_BOOL:
        return set_bool(text, field);
    }
    return ERR_INVAL; /* not reached */
}

void flags_defaults(const struct mode *m, void *opt)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
        if (*o->def || o->type == OPTION_STRING) {
            int err = set(o, o->def, opt);
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

/* A duration without its unit, as in other programs: 30. */
static bool is_number(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < 20 && strspn(text, "0123456789") == n;
}

/* value: text in quotes. */
static enum flags_outcome bad_cidrs(struct flags_error *why, const struct option *o,
                                    const char *text, const char *value)
{
    char network[CIDR_BUF];
    if (cidrs_slip(text, network))
        return bad(why,
                   _("invalid value %s for flag -%s: an address has bits behind its prefix: if the "
                     "network is meant, write %s"),
                   value, o->name, network);
    return bad(why,
               _("invalid value %s for flag -%s: must be up to %d networks and addresses like "
                 "10.0.0.0/8,2001:db8::1"),
               value, o->name, CIDRS_MAX);
}

/* Go's words for a value that is not taken; for the types Go does not have, words like them. What to
   write instead follows. */
static enum flags_outcome bad_value(struct flags_error *why, const struct option *o,
                                    const char *text, int err)
{
    char value[768];
    if (o->type == OPTION_SECRET)
        return bad(why, _("invalid value for flag -%s: longer than %d bytes"), o->name,
                   OPTION_SECRET_MAX);
    (void)quote(value, sizeof value, text); /* cut on purpose */
    if ((o->type == OPTION_DURATION || o->type == OPTION_WINDOW) && is_number(text))
        return bad(
            why, _("invalid value %s for flag -%s: parse error: a duration has a unit: write %ss"),
            value, o->name, text);
    switch (o->type) {
    case OPTION_BOOL:
        return bad(why, _("invalid boolean value %s for -%s: parse error: write true or false"),
                   value, o->name);
    case OPTION_CHOICE:
        return bad(why, _("invalid value %s for flag -%s: must be one of: %s"), value, o->name,
                   o->choices);
    case OPTION_THREADS:
        return bad(why, _("invalid value %s for flag -%s: must be a number from 1 to %d"), value,
                   o->name, OPTION_THREADS_MAX);
    case OPTION_WINDOW:
        return bad(why,
                   _("invalid value %s for flag -%s: must be a duration from 0 to %dm, like 30s"),
                   value, o->name, OPTION_WINDOW_MAX_S / 60);
    case OPTION_MEMORY:
        return bad(why,
                   _("invalid value %s for flag -%s: must be a size from %dM to %dT, like 64M"),
                   value, o->name, OPTION_MEMORY_MIN_MIB, OPTION_MEMORY_MAX_MIB >> 20);
    case OPTION_RATES:
        return bad(why,
                   _("invalid value %s for flag -%s: must be one or two numbers from 1 to %d, like "
                     "200,10"),
                   value, o->name, OPTION_RATE_MAX);
    case OPTION_PORTS:
        return bad(why,
                   _("invalid value %s for flag -%s: must be ports and ranges like 8000-8999,80"),
                   value, o->name);
    case OPTION_CIDRS:
        return bad_cidrs(why, o, text, value);
    case OPTION_DURATION:
        return bad(why,
                   _("invalid value %s for flag -%s: parse error: must be a duration like 30s, 5m "
                     "or 1h30m"),
                   value, o->name);
    case OPTION_INT:
    case OPTION_STRING: /* takes all */
    case OPTION_SECRET: /* above */
        break;
    }
    return bad(why,
               err == ERR_RANGE
                   ? _("invalid value %s for flag -%s: value out of range")
                   : _("invalid value %s for flag -%s: parse error: must be a whole number"),
               value, o->name);
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

/* Notes the first flag that is given again. seen: a bit for each row. */
static void note_seen(const struct mode *m, const struct option *o, uint64_t *seen,
                      struct flags_error *why)
{
    size_t row = (size_t)(o - m->options);
    assert(row < 64);
    if (*seen >> row & 1 && !why->repeated)
        why->repeated = o->name;
    *seen |= UINT64_C(1) << row;
}

static enum flags_outcome take_value(const struct option *o, char *value, void *opt,
                                     struct flags_error *why)
{
    int err = set(o, value, opt);
    if (o->type == OPTION_SECRET)
        secure_zero(value, strlen(value)); /* other users can read command lines */
    return err < 0 ? bad_value(why, o, value, err) : FLAGS_OK;
}

/* One flag at argv[*at]; *at moves behind it and its value. */
static enum flags_outcome take_flag(const struct mode *m, int argc, char **argv, int *at, void *opt,
                                    uint64_t *seen, struct flags_error *why)
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
    note_seen(m, o, seen, why);
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
    uint64_t seen = 0;
    enum flags_outcome r = FLAGS_OK;
    why->repeated = NULL;
    while (r == FLAGS_OK && at < argc && is_flag(argv[at])) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        r = take_flag(m, argc, argv, &at, opt, &seen, why);
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
    case OPTION_RATES:
    case OPTION_CHOICE:
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
    size_t len = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct option *o = &m->options[i];
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
