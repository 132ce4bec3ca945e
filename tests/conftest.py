"""What every test starts from, wherever pytest was started."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# A shell starts what runs in the background with Ctrl-C ignored, and so do its children inherit it:
# the tests of an interruption would wait for ever (POSIX, Shell Command Language, 2.11).
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's matter: figures of speed are those of `make bench`. The
# same examples each time, so that a test that passed fails for what was changed alone; new ones by
# `HYPOTHESIS_PROFILE=new`, and all the time by `make fuzz`.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
