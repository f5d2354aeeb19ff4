/* SPDX-License-Identifier: MIT */
/*
 * A checklist: what a command tries, one step after the other, each shown on stdout as soon as it is known.
 * A step has a word that stays, a state, what was found, and what a person can do about it.
 *
 *   ok    DNS: vps.example.com is 203.0.113.5
 *   fail  TCP: 203.0.113.5:7000: no answer (Connection timed out)
 *         is port 7000 open in the firewall there?
 *   tcp://vps.example.com:2222 -> 127.0.0.1:22
 *
 * A terminal gets colours, unless NO_COLOR is set or TERM is dumb. As JSON it is an object a line with these
 * keys, in this order, those without a value left out:
 *
 *   step    the word                  state   ok, warn, fail, unknown
 *   name    of the tunnel             value   what is to be copied: an address, a command
 *   target  where the tunnel leads    detail  what was found, in the user's language
 *   said    what somebody else said   hint    what to do, in the user's language
 *
 * Whoever shows a step never waits for stdout (base/outlet.h). A process has one stdout, so all checklists
 * share the outlet. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    CHECKLIST_TEXT_MAX =
        1024, /* bytes of each part of a step, as they are printed; what is more is cut */
    CHECKLIST_LINE_MAX = 8 * (CHECKLIST_TEXT_MAX + 16),
    CHECKLIST_FLUSH_MS = 1000,
};

enum checklist_state {
    CHECKLIST_OK,
    CHECKLIST_WARN,    /* not as it should be; what was asked for works all the same, or may soon */
    CHECKLIST_FAIL,    /* it does not work like this */
    CHECKLIST_UNKNOWN, /* cannot be told from here */
};

enum checklist_form { CHECKLIST_PLAIN, CHECKLIST_COLOUR, CHECKLIST_JSON };

/* All texts end in NUL; NULL or "": there is none. */
struct checklist_step {
    const char *word; /* 1 to 16 of a-z and -: never NULL */
    enum checklist_state state;
    const char *title; /* the word for a person, in his language; JSON has the word alone */
    const char *name;
    const char
        *detail; /* our words; in them text from others is escaped already, as for the log. Control
                           characters come out as blanks all the same */
    const char *said; /* from others, as it came: escaped here, and cut (base/escape.h) */
    const char *hint;
    const char
        *value; /* with it the step is a line of its own, the most visible one: value, or value ->
                          target. Text has neither word, state nor detail then */
    const char *target;
};

/* Which form stdout gets: no_color and term are what the environment says, NULL if it says nothing. */
enum checklist_form checklist_form(bool wants_json, bool is_terminal, const char *no_color,
                                   const char *term);

/* Takes -json out of a command line, for who has it beside the flags of a mode. True: it was there. */
bool checklist_take_json(int *argc, char **argv);

/* checklist_form() for this process's stdout. */
enum checklist_form checklist_form_of_stdout(bool wants_json);

/* The step as one or two lines of text, or a line of JSON, each with its LF. Returns the length without the NUL. */
size_t checklist_text(char out[CHECKLIST_LINE_MAX], enum checklist_form form,
                      const struct checklist_step *step);

/* Shows it. */
void checklist_show(enum checklist_form form, const struct checklist_step *step);

/* A program starts: until checklist_release() no thread is made for stdout (base/outlet.h). */
void checklist_hold(void);
void checklist_release(void);

/* Waits until stdout has taken what was shown, at most CHECKLIST_FLUSH_MS. Releases as well. */
void checklist_flush(void);
