/* SPDX-License-Identifier: MIT */
/* Compiler attributes, each under one short name. */
#pragma once

/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))

/* printf-like: argument number of the format and of the first value. */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* Number of elements of a true array. */
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of type t whose member m is at p. */
#define CONTAINER_OF(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))
