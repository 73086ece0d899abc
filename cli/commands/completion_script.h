// Completion scripts of shells, made from the command line's own tree, so that they cannot lag.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace edgeloop::commands {

struct Word {
  std::string text;
  std::string description;
};
// One command of the tree with what may follow it.
struct Choice {
  std::vector<std::string> path;  // {} is `edgeloop` itself, {"models", "show"}
  std::vector<Word> subcommands;
  std::vector<Word> options;  // long ones
};
std::vector<Choice> Choices(const CLI::App& app);

std::string BashCompletion(const std::vector<Choice>& choices);
std::string ZshCompletion(const std::vector<Choice>& choices);
std::string FishCompletion(const std::vector<Choice>& choices);

}  // namespace edgeloop::commands
