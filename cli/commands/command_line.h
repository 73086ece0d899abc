// The whole command line of `edgeloop`.
#pragma once

namespace edgeloop::commands {

// Parses, runs the chosen command, gives the exit code: 0 done, 1 failed, 2 wrong use.
int RunCommandLine(int argc, const char* const* argv);

}  // namespace edgeloop::commands
