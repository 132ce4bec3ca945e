"""What `incident-rca` and `python -m incident_rca` begin with: a guard, and nothing before it."""

import os

# As errors.ExitCode has it, which is not loaded yet.
_INTERRUPTED = 130


def main() -> None:
    """Loads and runs the command line; from the first line on an interrupt has its exit code."""
    try:
        import signal

        # Whoever started us in the background may have it ignored.
        is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_heard:
            # While modules load nothing is begun that would have to be put in order, and of an
            # exception some of them make another one, or none.
            signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
        from incident_rca import cli

        if is_heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
