#include "cli/commands/command_line.h"

int main(int argc, char** argv) { return edgeloop::commands::RunCommandLine(argc, argv); }
