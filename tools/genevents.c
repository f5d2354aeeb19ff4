/* SPDX-License-Identifier: MIT */
/*
 * Renders docs/events.md from the one table of events (base/events.def). Run by hand after a change of it,
 * and by a test that compares:
 *
 *   build/packaging/genevents > docs/events.md
 */
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "base/log_record.h"

#define LIST(...) __VA_ARGS__

static const struct event_row rows[] = {
#define EVENT(word, level, text, params, line, fields) {#word, level, text, {LIST fields}},
#include "base/events.def"
#undef EVENT
};

static const char head[] =
    "# Events: the words of the log\n"
    "\n"
    "Made from `src/base/events.def` by `tools/genevents.c`; a test sees to it that it is current.\n"
    "\n"
    "Each line of the log is one event. Its *word* never changes once it is released: search and count by it, not by the\n"
    "text, which follows the user's language. `-log-format` chooses the form:\n"
    "\n"
    "| form | a line |\n"
    "|---|---|\n"
    "| `text` | `2026/01/02 15:04:05.000000` in local time, and the text. Only about strangers it has words for programs: "
    "`event=` (the word without `stranger_`) and `src=` |\n"
    "| `json` | one object: `ts` (UTC), `level`, `event`, the fields of the event, `message` (the text) |\n"
    "| `journal` | one entry of systemd's journal, if the standard error is the journal (else text, and a line that says so): "
    "`PRIORITY`, `MESSAGE_ID`, `SYSLOG_IDENTIFIER=gotunnel`, `MESSAGE`, `GOTUNNEL_EVENT`, and each field as `GOTUNNEL_` and its "
    "name in capitals |\n"
    "\n"
    "    gotunnel server -log-format json ... 2>&1 | jq 'select(.event == \"session_resumed\") | [.ts, .client, .silent]'\n"
    "    journalctl GOTUNNEL_EVENT=session_detached GOTUNNEL_CLIENT=nas\n"
    "\n"
    "A field has the same name for the same thing in all events. `client` is two of them: `client`, the id, where there is\n"
    "one (the original's wire has none), and `peer`, the address. Times are seconds with three decimals. Text of others is escaped\n"
    "as in the text form, and is cut: 1 KiB a field, 4 KiB a message. Bytes that are no UTF-8 are U+FFFD in JSON.\n"
    "\n"
    "Levels, and the journal's priorities: `error` 3, `warn` 4, `notice` 5 (what a person has asked for by a signal: it is written\n"
    "whatever `-log-level` says), `info` 6, `debug` 7. An event that is said again and again is `debug` from the second time on.\n"
    "\n"
    "Lines that are no event have words of their own: `debug` (for developers, in English, without fields), `text` (help, and "
    "what is wrong\nwith a file), `lines_lost` (`lines`: so many found no reader). What is wrong with the command line itself is said as "
    "text, before its\nflags count.\n"
    "\n"
    "| event | level | fields | text | MESSAGE_ID |\n"
    "|---|---|---|---|---|\n";

static void put_fields(const struct event_row *row)
{
    for (unsigned i = 0; i < EVENT_FIELDS_MAX && row->fields[i].name; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (row->fields[i].kind == EVENT_KIND_CLIENT)
            printf("%s`client`, `peer`", comma);
        else
            printf("%s`%s`", comma, row->fields[i].name);
    }
}

/* A bar would end the cell. */
static void put_cell(const char *text)
{
    for (; *text; text++)
        printf(*text == '|' ? "\\|" : *text == '<' ? "&lt;" : "%c", *text);
}

int main(void)
{
    (void)fputs(head, stdout);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[LOG_RECORD_ID];
        log_record_id(id, rows[i].word);
        printf("| `%s` | %s | ", rows[i].word, log_record_level(rows[i].level));
        put_fields(&rows[i]);
        printf(" | ");
        put_cell(rows[i].text);
        printf(" | `%s` |\n", id);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
