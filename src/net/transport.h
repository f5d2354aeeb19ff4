/* SPDX-License-Identifier: MIT */
/*
 * A TLS connection on the loop, with batched records.
 *
 * Plaintext goes in with transport_write(), which seals it into records in memory;
 * transport_flush() hands all waiting records to the kernel with one send. Reading is by large
 * receives. No SSL on the file descriptor: that costs 13-40 % more processor time (shared
 * measurement, docs/design.md).
 *
 * Events come through struct transport_events. A handler may call any function here, also
 * transport_close(); no function frees the transport while its caller still holds it: memory goes
 * at the end of the turn, after which the ctx is never used again. Loop thread only.
 *
 * Of all transports of a loop one goes on with its handshake in a turn: a crowd that shakes hands does
 * not hold up those that are open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/types.h>

#include "base/address.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"

/* transport_write() takes no more once this many sealed bytes wait for the kernel: 64 KiB keeps a
   keystroke from queueing behind bulk, and bounds memory towards a peer that does not read. */
enum { TRANSPORT_BACKLOG_MAX = 64 << 10 };

struct transport;

struct transport_events {
    /* The handshake succeeded (for a client: the server's certificate was verified). Once. */
    void (*on_ready)(void *ctx);
    /* Plaintext may be waiting: read until ERR_AGAIN, or until the budget of this turn is used and
       call transport_read_later(). */
    void (*on_readable)(void *ctx);
    /* transport_write() took less than it was given, and would take something again. Never from
       inside a call of the owner's. */
    void (*on_writable)(void *ctx);
    /* The connection failed or ended outside a transport_read(): in the handshake, in a write. Not
       after a transport_read() that told the same. Once; the owner then calls transport_close().
       err: ERR_EOF, ERR_RESET, ERR_CERT, ERR_TLS, ERR_IO ... */
    void (*on_error)(void *ctx, int err, const struct errmsg *why);
};

/*
 * Takes over the connected, non-blocking socket fd (closed with the transport, and closed on
 * failure here too) and begins the handshake as server or client, depending on what ctx was made
 * for. Who connects to a server has waited at the gate (net/gate.h) until he spoke TLS: here he costs
 * memory at once. Before transport_trust() the peer may make us hold at most TRANSPORT_PREAUTH_MAX
 * bytes of input. 0, ERR_NOMEM, or what poller_add() says.
 */
int transport_new(struct loop *loop, int fd, SSL_CTX *ctx, bool is_server,
                  const struct transport_events *ev, void *ev_ctx, struct transport **ret) MUST_USE;

/* Bytes of TLS input, the handshake's included, that a peer may send before transport_trust(); one
   more is ERR_LIMIT. A stranger cannot make us hold or decrypt more than that. */
enum { TRANSPORT_PREAUTH_MAX = 32 << 10 };

/* The peer has proved itself: large receive buffers (128 KiB, read-ahead) from here on. What it had
   to say before, a secret maybe, was wiped from libssl's buffers as it was read. */
void transport_trust(struct transport *t);

/*
 * Decrypts up to n bytes into buf. > 0: bytes; ERR_AGAIN: nothing now (on_readable follows);
 * ERR_EOF: close_notify or a bare end of the connection (as Go treats both alike); ERR_RESET,
 * ERR_TLS, ERR_IO, ERR_LIMIT: failed, why says more. Final errors repeat.
 */
ssize_t transport_read(struct transport *t, void *buf, size_t n, struct errmsg *why) MUST_USE;

/* Nothing has moved for a while: buffers that are empty are given back. */
void transport_idle(struct transport *t);

/* More may be buffered than was read: on_readable is called again in the next turn. */
void transport_read_later(struct transport *t);

/*
 * Seals up to n bytes; each call starts a record of its own, full records inside.
 * Returns how many were taken: less than n, also 0, once the backlog is at TRANSPORT_BACKLOG_MAX
 * (on_writable follows). Negative: ERR_TLS; ERR_BADSTATE before on_ready, after an error, or when
 * the peer takes no more (the error is still to come).
 */
ssize_t transport_write(struct transport *t, const void *p, size_t n) MUST_USE;

/* Sends what is sealed, as far as the kernel takes it; the rest goes when the socket is writable
   again. When the peer takes no more, on_readable is called at the end of the turn, never from
   inside this call: what the peer had said is read first, and then transport_read() tells why. */
void transport_flush(struct transport *t);

/* What of all that was written is not in flight yet. */
struct transport_queue {
    uint64_t sent;  /* bytes that the kernel has sent so far, of this connection */
    size_t waiting; /* bytes that it has not: sealed ones, and those in its own queue */
};

/* Asks the kernel: a system call. */
struct transport_queue transport_queue(const struct transport *t);

/* So many bytes the kernel takes at the most before it sends some (TCP_NOTSENT_LOWAT; a power of
   two is as good as any). A hint, free while it does not change. */
void transport_set_unsent_max(struct transport *t, size_t bytes);

/* A full record has so many bytes from now on, 1 .. TRANSPORT_RECORD_MAX, which it begins with. The
   peer reads nothing of a record before all of it has come. */
void transport_set_record_max(struct transport *t, size_t bytes);
enum { TRANSPORT_RECORD_MAX = 16384 }; /* RFC 8446, 5.1 */

/* on_writable is called once the kernel has sent what waits but for a part of that. */
void transport_tell_sent(struct transport *t);

/* True when transport_write() would take something now. */
bool transport_writable(const struct transport *t);

/* True when both ends agreed on this protocol by ALPN (RFC 7301). Once ready. */
bool transport_speaks(const struct transport *t, const char *alpn);

/* Keying material that both ends of this connection have and nobody else (RFC 5705, RFC 9266). Once
   ready. 0, or ERR_TLS. */
int transport_export(const struct transport *t, const char *label, uint8_t *ret, size_t n) MUST_USE;

enum { TRANSPORT_CA_BYTES = 32 };

/* A hash (SHA-256) of the key of the CA that the peer's certificate was verified by. Once ready.
   0; or ERR_TLS: it was not verified (a server does not ask for one). */
int transport_ca_key(const struct transport *t, uint8_t ret[TRANSPORT_CA_BYTES]) MUST_USE;

/* Sent bytes that nobody acknowledges for so long end the connection (RFC 5482). A hint. */
void transport_user_timeout(struct transport *t, int ms);

/* See sock_route_changed(). */
bool transport_route_changed(const struct transport *t);

/* Another owner, in the same thread, from here on. Also from inside a handler. */
void transport_set_owner(struct transport *t, const struct transport_events *ev, void *ev_ctx);

/*
 * Moves a ready transport to another owner, on this loop or on that of another thread: release it
 * on the old loop, from a job or where no call of the transport is under way, then adopt it on the
 * new one. In between it may only be closed, by whoever adopts it. What came meanwhile is told
 * after adopting, and may be read at once. transport_adopt(): 0, or ERR_NOMEM / ERR_LIMIT: it has
 * failed, and is to be closed.
 */
void transport_release(struct transport *t);
int transport_adopt(struct transport *t, struct loop *loop, const struct transport_events *ev,
                    void *ev_ctx) MUST_USE;

/* The peer is not the other end of the socket, which is a balancer's, but this one. */
void transport_set_peer(struct transport *t, const struct address *peer);

/* How the peer is named in logs: "1.2.3.4:5678" or "[::1]:5678". Lives as long as the transport. */
const char *transport_peer(const struct transport *t);

/* The same as data; ADDRESS_NONE if the connection was gone at the start. */
const struct address *transport_peer_address(const struct transport *t);

/* "TLSv1.3 TLS_AES_128_GCM_SHA256", for a debug line; "" before on_ready. Lives as long as the
   transport. */
const char *transport_describe(const struct transport *t);

/*
 * Ends it: tries once to send what is sealed and close_notify (when the connection still works),
 * closes the socket, frees later. No event comes after this call. NULL is fine. Idempotence is the
 * owner's: the pointer must not be used again.
 */
void transport_close(struct transport *t);
