#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/commands/completion_script.h"

namespace edgeloop::commands {

void AddCompletion(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("completion", "Print a completion script for your shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "Which shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "Examples:\n"
      "  source <(edgeloop completion bash)\n"
      "  edgeloop completion fish > ~/.config/fish/completions/edgeloop.fish");
  command->callback([&app, shell, action] {
    *action = [&app, shell] {
      const auto choices = Choices(app);
      const std::string script = *shell == "bash"  ? BashCompletion(choices)
                                 : *shell == "zsh" ? ZshCompletion(choices)
                                                   : FishCompletion(choices);
      std::fputs(script.c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace edgeloop::commands
