/* SPDX-License-Identifier: MIT */
/* TLS settings, in one place: what both programs speak and refuse (docs/protocol.md). */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/tls_pin.h"

/* The name in every server certificate, whatever address was dialled (wire compatibility). */
#define TLS_SERVER_NAME "gotunnel.internal"

/*
 * Both: TLS 1.2 and 1.3 only; 1.3's three suites, ECDHE+AESGCM and ECDHE+CHACHA20 in 1.2; groups
 * X25519 and P-256 (X25519MLKEM768 first if the library has it); security level 2; no
 * renegotiation, compression, tickets, session cache or early data; peer certificate lists of at
 * most 8 KiB; partial writes from moving buffers. 0, or ERR_TLS / ERR_CERT with a sentence.
 */

/* What a client asks for by SNI that has the pin of its CA: it wants to see that CA as well. The
   certificate is for the name above all the same. */
#define TLS_PINNED_NAME "pinned.gotunnel.internal"

/* A server that sends cert, and behind it ca to who asks for TLS_PINNED_NAME; NULL, and to all others:
   cert alone, as the original does, in a flight that passes where only small packets do. Takes references of its own. alpn, static,
   is selected where a client offers it; NULL: nothing is. An unknown ALPN offer is answered without
   the extension, never with an alert. */
int tls_server_ctx_new(X509 *cert, EVP_PKEY *key, X509 *ca, const char *alpn, SSL_CTX **ret,
                       struct errmsg *why) MUST_USE;

/* A client that trusts the certificates of the PEM file ca_file only, and demands TLS_SERVER_NAME as
   dNSName: a certificate with that as common name only is refused. ERR_CERT: unreadable file, no
   certificate in it, or none of a CA: the server's own is another one each year. alpn is offered, unless it is NULL. */
int tls_client_ctx_new(const char *ca_file, const char *alpn, SSL_CTX **ret,
                       struct errmsg *why) MUST_USE;

/* The name to ask for by SNI. Static. */
const char *tls_sni(SSL_CTX *ctx);

/* The same, but that it trusts the one CA of which it knows the pin. *pin is needed as long as *ret. */
int tls_client_ctx_pinned(const struct tls_pin *pin, const char *alpn, SSL_CTX **ret,
                          struct errmsg *why) MUST_USE;

/* SHA-256 of a certificate, which says to people which one it is: 64 hex digits and NUL. "?" without
   memory. */
enum { TLS_FINGERPRINT_MAX = 65 };
void tls_fingerprint(X509 *cert, char ret[TLS_FINGERPRINT_MAX]);

/* The CA number i, from 0, of those that ctx trusts. Borrowed; NULL: there are no more. */
X509 *tls_trusted_ca(SSL_CTX *ctx, unsigned i);

/*
 * Which suite comes first, of those above. With AES instructions TLS_AES_128_GCM_SHA256, the
 * cheapest; without them ChaCha20, which is several times cheaper then. A client puts it first; a
 * server follows the client's order (the Go original's choice, and that of a client without AES),
 * but for one without AES itself, which insists on its own. TLS 1.2 likewise, with the library's
 * order among the AES suites. The contexts above are made so for this machine; for tests. 0 or
 * ERR_TLS.
 */
int tls_prefer(SSL_CTX *ctx, bool has_aes) MUST_USE;

/* Has the processor instructions for AES-GCM? cpu: what OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS)
   says of it, NULL: nothing, which counts as no, but for machines that all have them. */
bool tls_has_aes(const char *cpu);

/* What OpenSSL's error queue says, emptied, as one clear sentence for a person, e.g.
   "the server's certificate is not signed by the CA in -ca". ssl may be NULL; fallback when the
   queue is empty. */
int tls_take_error(SSL *ssl, int fallback_err, struct errmsg *why);

/*
 * Before any other use of OpenSSL: its memory comes from base/key_pool.h, so that private keys can
 * be kept where nothing is swapped out or dumped.
 */
void tls_library_begin(void);

/* 0, or ERR_TLS when the library at run time is older than we dare to use (3.0.14). */
int tls_library_check(struct errmsg *why) MUST_USE;
