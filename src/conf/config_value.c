/* SPDX-License-Identifier: MIT */
/* The sentences about values of files. */
#include "conf/config_value.h"

#include <string.h>

#include "base/i18n.h"
#include "conf/quote.h"
#include "conf/value.h"

bool config_value_is_list(const struct option *o)
{
    return o->type == OPTION_PORTS || o->type == OPTION_CIDRS;
}

bool config_value_is_text(struct config_errors *errors, const char *key, const struct yaml_entry *e)
{
    if (e->kind != YAML_TEXT)
        config_errors_add(errors, e->at, _("'%s' takes one value"), key);
    else if (e->is_missing)
        config_errors_add(errors, e->at, _("'%s' has no value"), key);
    else if (strlen(e->text) != e->len)
        config_errors_add(errors, e->at, _("'%s' has a zero byte in its value"), key);
    else
        return true;
    return false;
}

bool config_value_set(struct config_errors *errors, const struct option *o, const char *key,
                      const struct yaml_entry *e, const char *text, bool is_more, void *opt)
{
    char reason[VALUE_REASON_MAX], quoted[128];
    int err = is_more ? value_add(o, text, opt) : value_set(o, text, opt);
    if (err == 0)
        return true;
    value_reason(reason, o, text, err);
    (void)quote(quoted, sizeof quoted, e->text); /* cut on purpose */
    if (o->type == OPTION_SECRET)
        config_errors_add(errors, e->at, "%s: %s", key, reason);
    else
        config_errors_add(errors, e->at, _("%s: invalid value %s: %s"), key, quoted, reason);
    return false;
}

/* ---- lists ---- */

void config_list_begin(struct config_list *l, const struct option *o, const struct yaml_entry *e)
{
    *l = (struct config_list){.option = o, .at = e->at, .is_empty = true};
}

void config_list_take(struct config_list *l, struct config_errors *errors,
                      const struct yaml_entry *e, void *opt)
{
    const struct option *o = l->option;
    if (config_value_is_text(errors, o->name, e) &&
        config_value_set(errors, o, o->name, e, e->text, l->has_items, opt))
        l->has_items = true;
    l->is_empty = false;
}

void config_list_end(struct config_list *l, struct config_errors *errors)
{
    if (l->option && l->is_empty)
        config_errors_add(errors, l->at, _("'%s' has no entry"), l->option->name);
    *l = (struct config_list){0};
}
