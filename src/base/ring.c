/* SPDX-License-Identifier: MIT */
/* A byte ring mapped twice in a row, so that no span ever has to be split at the end. */
#include "base/ring.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

static uint8_t *map_twice(size_t size)
{
    int fd = memfd_create("gotunnel-ring", MFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    uint8_t *at = NULL;
    if (ftruncate(fd, (off_t)size) < 0)
        goto out;
    /* One reservation of twice the size, then both halves are laid over it. */
    void *both = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (both == MAP_FAILED)
        goto out;
    at = both;
    for (int half = 0; half < 2; half++) {
        void *p = mmap(at + (size_t)half * size, size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_FIXED, fd, 0);
        if (p == MAP_FAILED) {
            (void)munmap(both, 2 * size);
            at = NULL;
            break;
        }
    }
out:
    (void)close(fd);
    return at;
}

int ring_init(struct ring *r, size_t size)
{
    memset(r, 0, sizeof *r);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size = (size + page - 1) / page * page;
    r->base = map_twice(size);
    if (!r->base)
        return ERR_NOMEM;
    r->size = size;
    return 0;
}

void ring_fini(struct ring *r)
{
    if (r->base)
        (void)munmap(r->base, 2 * r->size);
    memset(r, 0, sizeof *r);
}

size_t ring_room(const struct ring *r)
{
    return r->size - (size_t)(r->staged - r->released);
}

static uint8_t *at_count(const struct ring *r, uint64_t count)
{
    return r->base + (count - r->origin) % r->size;
}

uint8_t *ring_reserve(struct ring *r, size_t n)
{
    if (ring_room(r) < n)
        return NULL;
    if (r->staged == r->released)
        r->origin = r->staged;
    return at_count(r, r->staged);
}

void ring_commit(struct ring *r, size_t n)
{
    assert(n <= ring_room(r));
    r->staged += n;
}

const uint8_t *ring_unsent(const struct ring *r, size_t *ret_n)
{
    *ret_n = (size_t)(r->staged - r->sent);
    return at_count(r, r->sent);
}

void ring_advance(struct ring *r, size_t n)
{
    assert(n <= r->staged - r->sent);
    r->sent += n;
}

void ring_release(struct ring *r, uint64_t upto)
{
    assert(upto >= r->released && upto <= r->sent);
    r->released = upto;
}

void ring_rewind(struct ring *r, uint64_t upto)
{
    assert(upto >= r->released && upto <= r->staged);
    r->released = r->sent = upto;
}

int ring_resize(struct ring *r, size_t size)
{
    size_t held = (size_t)(r->staged - r->released);
    struct ring fresh;
    int err = ring_init(&fresh, size);
    if (err < 0)
        return err;
    assert(held <= fresh.size);
    if (held > 0)
        memcpy(fresh.base, at_count(r, r->released), held);
    fresh.origin = fresh.released = r->released;
    fresh.sent = r->sent;
    fresh.staged = r->staged;
    ring_fini(r);
    *r = fresh;
    return 0;
}

void ring_trim(struct ring *r)
{
    uint8_t rest[RING_TRIM_MAX];
    size_t held = (size_t)(r->staged - r->released);
    if (!r->base || held > sizeof rest)
        return;
    if (held > 0)
        memcpy(rest, at_count(r, r->released), held);
    (void)madvise(r->base, r->size,
                  MADV_REMOVE); /* DONTNEED does not free a shared mapping; a hint */
    r->origin = r->released;
    if (held > 0)
        memcpy(r->base, rest, held);
}
