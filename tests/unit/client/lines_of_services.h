/* SPDX-License-Identifier: MIT */
/* What a client says and hears of its tunnels, for tests that run it over the stub. */
#pragma once

#include <cmocka.h>

#include "app/cli.h"
#include "stub.h"

#define RUN(words, script) assert_int_equal(stub_run(words, script), EXIT_STATUS_OK)

#define OPEN(svc, name, port)                                                                      \
    "{\"op\":\"open\",\"svc\":" #svc ",\"name\":\"" name "\",\"kind\":\"tcp\",\"port\":" #port     \
    ",\"bind\":\"\",\"ready\":true}\n"
#define OPENED(svc, port)                                                                          \
    "{\"op\":\"opened\",\"svc\":" #svc ",\"address\":\"[::]:" #port "\",\"port\":" #port "}"
#define REFUSED(svc, error) "{\"op\":\"refused\",\"svc\":" #svc ",\"error\":\"" error "\"}"
#define CLOSED(svc, error)  "{\"op\":\"closed\",\"svc\":" #svc ",\"error\":\"" error "\"}"
#define CLOSE(svc, drain)   "{\"op\":\"close\",\"svc\":" #svc ",\"drain_ms\":" #drain "}\n"

/* Since the last look, this was said. */
static inline void expect_said(const char *text)
{
    assert_string_equal(stub.said, text);
    *stub.said = '\0';
}
