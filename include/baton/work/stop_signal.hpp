#pragma once
// SIGINT, SIGTERM and SIGUSR1 as a wish to stop: the first one sets a flag that work looks at
// between steps, so that state can be saved and the program can end with exit code 75. A second
// SIGINT or SIGTERM, more than a second after the first (launchers may pass one signal on twice),
// ends the process at once with 128 + signal: nothing is saved then beyond what already was.
// SIGUSR1 never does.

namespace baton::work {

/// Installs the handlers; call once, after MPI's start (which may install its own).
void install_stop_signals();

/// The same wish without a signal: another rank had one.
void request_stop() noexcept;

/// True from the first signal or request on.
bool stop_requested() noexcept;

/// Seconds since then, 0 before it.
double seconds_since_stop() noexcept;

/// The first signal's number, 0 without one.
int stop_signal() noexcept;

}  // namespace baton::work
