"""Tables to findings: pure, without I/O and without a clock. `analyse.analyse` is the way in."""
