// Stopping a run from outside: handlers only set a flag, the loop asks between steps.
//
// SIGINT, SIGTERM and SIGUSR1 ask for a stop after the step in progress; a second SIGINT ends the process at once.
#pragma once

namespace sfumato {

// Installs the handlers; call once, from the main thread.
void install_stop_handlers();
// The signal that asked for a stop, 0 if none has.
int stop_signal();

}  // namespace sfumato
