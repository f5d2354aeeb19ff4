/* SPDX-License-Identifier: MIT */
/*
 * What each type of option takes: a row of types[]. What is common to several is in conf/number,
 * duration, size, ports and cidr.
 */
#include "conf/value.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/i18n.h"
#include "conf/duration.h"
#include "conf/number.h"
#include "conf/size.h"
#include "conf/utc.h"

/* ---- setting: as value_set(), of a field that is of the option's type ---- */

static int set_string(const struct option *o, const char *text, void *field)
{
    (void)o;
    *(const char **)field = text;
    return 0;
}

static int set_secret(const struct option *o, const char *text, void *field)
{
    size_t n = strlen(text);
    (void)o;
    if (n > OPTION_SECRET_MAX)
        return ERR_LIMIT;
    memcpy(field, text, n + 1);
    return 0;
}

static int set_int(const struct option *o, const char *text, void *field)
{
    (void)o;
    return number_parse(text, field);
}

static int set_duration(const struct option *o, const char *text, void *field)
{
    (void)o;
    return duration_parse(text, field);
}

static int set_ports(const struct option *o, const char *text, void *field)
{
    (void)o;
    return ports_parse(text, field);
}

static int set_cidrs(const struct option *o, const char *text, void *field)
{
    (void)o;
    return cidrs_parse(text, field);
}

static int set_choice(const struct option *o, const char *text, void *field)
{
    size_t len = strlen(text);
    int index = 0;
    for (const char *word = o->choices; *word; index++) {
        size_t n = strcspn(word, " ");
        if (n == len && memcmp(word, text, n) == 0) {
            *(int *)field = index;
            return 0;
        }
        word += n + (word[n] == ' ');
    }
    return ERR_INVAL;
}

static int set_threads(const struct option *o, const char *text, void *field)
{
    int64_t n;
    int err = number_parse(text, &n);
    (void)o;
    if (err < 0)
        return err;
    if (n < 1 || n > OPTION_THREADS_MAX)
        return ERR_RANGE;
    *(int *)field = (int)n;
    return 0;
}

static int set_window(const struct option *o, const char *text, void *field)
{
    int64_t ns;
    int err = duration_parse(text, &ns);
    (void)o;
    if (err < 0)
        return err;
    if (ns < 0 || ns > OPTION_WINDOW_MAX_S * INT64_C(1000000000))
        return ERR_RANGE;
    *(int64_t *)field = ns;
    return 0;
}

/* A number of digits; *ret is what it says, 1 to max, or ERR_RANGE. Behind it; NULL: there is none. */
static const char *take_number(const char *s, int max, int *ret)
{
    const char *begin = s;
    int64_t n = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        n = n > max ? n : n * 10 + (*s - '0');
    *ret = n >= 1 && n <= max ? (int)n : ERR_RANGE;
    return s > begin ? s : NULL;
}

static int set_rates(const struct option *o, const char *text, void *field)
{
    struct rates *to = field, r = *to;
    const char *s = take_number(text, OPTION_RATE_MAX, &r.all);
    (void)o;
    if (s && *s == ',')
        s = take_number(s + 1, OPTION_RATE_MAX, &r.source);
    if (!s || *s)
        return ERR_INVAL;
    if (r.all < 0 || r.source < 0)
        return ERR_RANGE;
    *to = r;
    return 0;
}

/* A number from 1 to max, with its unit or without. */
static int set_count(const char *text, int max, const char *unit, int *ret)
{
    int n;
    const char *s = take_number(text, max, &n);
    if (!s || (*s && strcmp(s, unit) != 0))
        return ERR_INVAL;
    if (n < 0)
        return ERR_RANGE;
    *ret = n;
    return 0;
}

static int set_rate(const struct option *o, const char *text, void *field)
{
    (void)o;
    return set_count(text, OPTION_RATE_MAX, "/s", field);
}

static int set_memory(const struct option *o, const char *text, void *field)
{
    int64_t bytes;
    int err = size_parse(text, &bytes);
    (void)o;
    if (err < 0)
        return err;
    if (bytes >> 20 < OPTION_MEMORY_MIN_MIB || bytes > (int64_t)OPTION_MEMORY_MAX_MIB << 20)
        return ERR_RANGE;
    *(int64_t *)field = bytes;
    return 0;
}

static int set_limit(const struct option *o, const char *text, void *field)
{
    (void)o;
    return set_count(text, OPTION_LIMIT_MAX, "", field);
}

static int set_moment(const struct option *o, const char *text, void *field)
{
    (void)o;
    return utc_parse(text, field);
}

static int set_tunnels(const struct option *o, const char *text, void *field)
{
    (void)o;
    return tunnels_parse(text, field);
}

/* strconv.ParseBool */
static int set_bool(const struct option *o, const char *text, void *field)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False",
                                        "1", "t", "T", "true",  "TRUE",  "True"};
    (void)o;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *(bool *)field = i >= ARRAY_LEN(words) / 2;
            return 0;
        }
    }
    return ERR_INVAL;
}

/* ---- what a type takes, where the sentence has a value in it ---- */

static void want_secret(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("longer than %d bytes"), OPTION_SECRET_MAX);
}

static void want_cidrs(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX,
                   _("must be up to %d networks and addresses like 10.0.0.0/8,2001:db8::1"),
                   CIDRS_MAX);
}

static void want_choice(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be one of: %s"), o->choices);
}

static void want_threads(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be a number from 1 to %d"), OPTION_THREADS_MAX);
}

static void want_window(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be a duration from 0 to %dm, like 30s"),
                   OPTION_WINDOW_MAX_S / 60);
}

static void want_rates(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be one or two numbers from 1 to %d, like 200,10"),
                   OPTION_RATE_MAX);
}

static void want_rate(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be so many a second, 1 to %d, like 50/s"),
                   OPTION_RATE_MAX);
}

static void want_memory(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be a size from %dM to %dT, like 64M"),
                   OPTION_MEMORY_MIN_MIB, OPTION_MEMORY_MAX_MIB >> 20);
}

static void want_limit(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    (void)o, (void)err;
    (void)snprintf(ret, VALUE_REASON_MAX, _("must be a number from 1 to %d"), OPTION_LIMIT_MAX);
}

static void want_tunnels(char ret[VALUE_REASON_MAX], const struct option *o, int err)
{
    const char *text = _("must be PORT=TARGET or NAME=PORT=TARGET, like 8080=127.0.0.1:3000");
    (void)o;
    if (err == ERR_LIMIT) {
        (void)snprintf(ret, VALUE_REASON_MAX, _("a client has at most %d tunnels"), TUNNELS_MAX);
        return;
    }
    if (err == ERR_EXISTS)
        text = _("another tunnel has this name already");
    else if (err == ERR_INUSE)
        text = _("another tunnel has the same public port");
    else if (err == ERR_RANGE)
        text = _("a public port is 0 to 65535");
    else if (err == ERR_NOMEM)
        text = err_text(err);
    (void)snprintf(ret, VALUE_REASON_MAX, "%s", text);
}

/* ---- the types ---- */

static const struct type {
    int (*set)(const struct option *o, const char *text, void *field);
    const char *text; /* why not: N_(); or want makes it; neither: the error says it */
    void (*want)(char ret[VALUE_REASON_MAX], const struct option *o, int err);
} types[] = {
    [OPTION_STRING] = {set_string, NULL, NULL}, /* takes all */
    [OPTION_SECRET] = {set_secret, NULL, want_secret},
    [OPTION_INT] = {set_int, NULL, NULL},
    [OPTION_DURATION] = {set_duration, N_("parse error: must be a duration like 30s, 5m or 1h30m"),
                         NULL},
    [OPTION_PORTS] = {set_ports, N_("must be ports and ranges like 8000-8999,80"), NULL},
    [OPTION_CIDRS] = {set_cidrs, NULL, want_cidrs},
    [OPTION_CHOICE] = {set_choice, NULL, want_choice},
    [OPTION_THREADS] = {set_threads, NULL, want_threads},
    [OPTION_WINDOW] = {set_window, NULL, want_window},
    [OPTION_RATES] = {set_rates, NULL, want_rates},
    [OPTION_RATE] = {set_rate, NULL, want_rate},
    [OPTION_MEMORY] = {set_memory, NULL, want_memory},
    [OPTION_TUNNELS] = {set_tunnels, NULL, want_tunnels},
    [OPTION_LIMIT] = {set_limit, NULL, want_limit},
    [OPTION_MOMENT] = {set_moment, N_("must be a moment in UTC, like 2027-01-31T00:00:00Z"), NULL},
    [OPTION_BOOL] = {set_bool, N_("parse error: write true or false"), NULL},
};
_Static_assert(ARRAY_LEN(types) == OPTION_TYPES, "each type has its row");

int value_set(const struct option *o, const char *text, void *opt)
{
    return types[o->type].set(o, text, (char *)opt + o->at);
}

int value_add(const struct option *o, const char *text, void *opt)
{
    void *field = (char *)opt + o->at;
    struct ports ports;
    struct cidrs cidrs;
    int err = ERR_INVAL;
    if (o->type == OPTION_PORTS && (err = ports_parse(text, &ports)) == 0)
        return ports_add(field, &ports);
    if (o->type == OPTION_CIDRS && (err = cidrs_parse(text, &cidrs)) == 0)
        return cidrs_add(field, &cidrs);
    return err;
}

/* ---- why not ---- */

/* A duration without its unit, as in other programs: 30. */
static bool is_number(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < 20 && strspn(text, "0123456789") == n;
}

/* A slip that is seen, and what was meant. */
static bool say_slip(char ret[VALUE_REASON_MAX], const struct option *o, const char *text)
{
    char network[CIDR_BUF];
    if ((o->type == OPTION_DURATION || o->type == OPTION_WINDOW) && is_number(text)) {
        (void)snprintf(ret, VALUE_REASON_MAX, _("parse error: a duration has a unit: write %ss"),
                       text);
        return true;
    }
    if (o->type == OPTION_CIDRS && cidrs_slip(text, network)) {
        (void)snprintf(
            ret, VALUE_REASON_MAX,
            _("an address has bits behind its prefix: if the network is meant, write %s"), network);
        return true;
    }
    return false;
}

void value_reason(char ret[VALUE_REASON_MAX], const struct option *o, const char *text, int err)
{
    const struct type *t = &types[o->type];
    if (say_slip(ret, o, text))
        return;
    if (t->want) {
        t->want(ret, o, err);
        return;
    }
    const char *words = t->text            ? _(t->text)
                        : err == ERR_RANGE ? _("value out of range")
                                           : _("parse error: must be a whole number");
    (void)snprintf(ret, VALUE_REASON_MAX, "%s", words);
}
