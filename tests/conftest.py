# SPDX-License-Identifier: MIT
"""What the tests start begins with the usual signals, also where `nohup make test &` has told us to ignore some."""

import signal

for ignorable, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(ignorable) is signal.SIG_IGN:
        signal.signal(ignorable, usual)
