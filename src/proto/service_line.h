/* SPDX-License-Identifier: MIT */
/*
 * The lines of the control stream (docs/protocol.md): what a client says of its services, and
 * what the server answers. One JSON object a line, read as strictly as a hello, of at most
 * HELLO_MAX bytes with its LF. Which line may follow which is in session/services.h.
 *
 * Pure; no line is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "proto/hello.h"

enum {
    SERVICE_NAME_MAX = HELLO_ID_MAX, /* characters of a service's name */
    SERVICE_MESSAGE_MAX = 512,       /* bytes of a notice: escaped, it still fits into a line */
};

/* ---- collecting lines ---- */

/* Collects lines from bytes that come in any pieces; holds memory only while a line is there. */
struct service_reader {
    /* private */
    struct hello_reader *line; /* NULL: between two lines */
    bool is_complete;
};

void service_reader_init(struct service_reader *r);
void service_reader_fini(struct service_reader *r);

/*
 * Takes bytes up to the next LF and no further: *ret_used says how many. 0: a line is complete, see
 * service_reader_line(); ERR_AGAIN: all n bytes are taken, and no line is complete. Call it until it
 * says so. ERR_PROTO: a line is empty, does not begin with a brace or has a control character;
 * ERR_LIMIT: it is longer than HELLO_MAX; both are final, and the same for every way to cut the
 * input. ERR_NOMEM: nothing is taken.
 */
int service_reader_feed(struct service_reader *r, const uint8_t *p, size_t n,
                        size_t *ret_used) MUST_USE;

/* The line that is complete, without its LF; valid until the reader is fed again. */
struct hello_text service_reader_line(const struct service_reader *r);

/* ---- what lines say ---- */

enum service_op {
    /* of the client */
    SERVICE_OPEN,   /* this is wanted, as svc */
    SERVICE_CHANGE, /* of svc, in place */
    SERVICE_CLOSE,  /* svc is not wanted any more */
    /* of the server */
    SERVICE_OPENED,  /* it listens */
    SERVICE_REFUSED, /* the answer to an open: no; svc is free */
    SERVICE_CLOSED,  /* it does not listen any more; svc is free */
    SERVICE_NOTICE,  /* something for the client's log */
    SERVICE_OPS,
};

enum service_kind {
    SERVICE_KIND_OTHER, /* read only: a word that this version does not know */
    SERVICE_KIND_TCP,
    SERVICE_KINDS,
};

/* Why not, or why not any more. */
enum service_error {
    SERVICE_OK,        /* of CLOSED: as the client has asked */
    SERVICE_ERR_PORT,  /* the system does not give the port: errno_word */
    SERVICE_ERR_TAKEN, /* another client has it: by */
    SERVICE_ERR_RIGHT, /* this client may not have it, or not any more */
    SERVICE_ERR_LIMIT, /* too many services, no memory; also what a word means that is not known */
    SERVICE_ERR_KIND,  /* this server does not serve the kind */
    SERVICE_ERR_NAME,  /* this server cannot serve the name */
    SERVICE_ERR_MESSAGE,  /* the fields do not go together */
    SERVICE_ERR_REVOKED,  /* the client's credential ended */
    SERVICE_ERR_MOVED,    /* another server has it from now on */
    SERVICE_ERR_SHUTDOWN, /* this server is stopping */
    SERVICE_ERRORS,
};

/* What a client wants. */
struct service_wanted {
    char name[SERVICE_NAME_MAX + 1]; /* as hello_id_is_valid() has it */
    enum service_kind kind;
    int32_t port;                /* 0 .. 65535; 0: the server chooses */
    char bind[ADDRESS_HOST_BUF]; /* an IP address in digits to listen on; "": any */
    bool ready;                  /* the target takes connections */
};

struct service_line {
    enum service_op op;
    uint32_t svc; /* 1 .. 2^32 - 1; 0 in a NOTICE */
    union {
        struct service_wanted wanted; /* OPEN */
        struct {
            bool has_ready, ready;
        } change;          /* CHANGE: what it names */
        uint32_t drain_ms; /* CLOSE: running connections have so long; UINT32_MAX: until they end */
        struct {
            char address[HELLO_WORD_BUF]; /* that listens: printable ASCII, no blanks */
            int32_t port;                 /* and its port, 0 .. 65535 */
        } opened;
        struct service_why {
            enum service_error error;          /* never SERVICE_OK in a REFUSED */
            char errno_word[HELLO_WORD_BUF];   /* "EADDRINUSE"; "": not said */
            char by[HELLO_WORD_BUF];           /* address of who has it; "": not said */
        } why;                                 /* REFUSED, CLOSED */
        char message[SERVICE_MESSAGE_MAX + 1]; /* NOTICE: UTF-8; escape it before printing */
    };
};

/* May this be a service's address to listen on: digits of an IP address without scope, or ""? */
bool service_bind_is_valid(const char *bind);

/* Who has written a line. */
enum service_end { SERVICE_CLIENT, SERVICE_SERVER };

/*
 * What a line (without LF) says that came from that end. ERR_NOTFOUND: an op that this version does
 * not know in that direction: pass it over, it is useless. ERR_PROTO: no object, no op, or one that
 * is known with a field that is missing or wrong: the session ends. ERR_NOMEM, where the library can
 * tell. *ret is set only on success. Fields of other names are passed over.
 */
int service_line_get(struct hello_text line, enum service_end from,
                     struct service_line *ret) MUST_USE;

/* Writes a line with its LF, and a NUL: its length without the NUL. All fields must be such as _get
   would take, kinds such as are known; a message is UTF-8. */
size_t service_line_put(char buf[HELLO_MAX], const struct service_line *l);

/* Words as on the wire and in logs: "taken" ("" for SERVICE_OK); "open"; "tcp" ("" for OTHER). Static. */
const char *service_error_word(enum service_error e);
const char *service_op_word(enum service_op op);
const char *service_kind_word(enum service_kind kind);
