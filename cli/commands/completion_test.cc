#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/commands/completion_script.h"

namespace edgeloop::commands {
namespace {

using testing::HasSubstr;

std::unique_ptr<CLI::App> Tree() {
  auto app = std::make_unique<CLI::App>("test", "edgeloop");
  auto* models = app->add_subcommand("models", "The registry's models");
  auto* show = models->add_subcommand("show", "One model");
  show->add_flag_callback(
      "--json", [] {}, "It's JSON");
  app->add_subcommand("up", "Start")->add_option("--config");
  return app;
}

std::string Shell(const std::string& script) {
  FILE* pipe = popen(("bash -c '" + script + "' 2>&1").c_str(), "r");
  std::string out;
  char buffer[256];
  while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe)) out += buffer;
  if (pipe != nullptr) pclose(pipe);
  return out;
}

TEST(Completion, KnowsTheWholeTree) {
  const auto app = Tree();
  const auto choices = Choices(*app);
  ASSERT_EQ(choices.size(), 4u);
  EXPECT_EQ(choices[2].path, (std::vector<std::string>{"models", "show"}));
}

TEST(Completion, BashCompletesCommandsAndOptions) {
  const auto app = Tree();
  const std::string path = testing::TempDir() + "edgeloop-completion.bash";
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs(BashCompletion(Choices(*app)).c_str(), file);
  std::fclose(file);
  const std::string source = "source " + path + "; ";
  EXPECT_THAT(
      Shell(source + "COMP_WORDS=(edgeloop mo); COMP_CWORD=1; _edgeloop; echo ${COMPREPLY[@]}"),
      HasSubstr("models"));
  EXPECT_THAT(Shell(source + "COMP_WORDS=(edgeloop models sh); COMP_CWORD=2; _edgeloop; echo "
                             "${COMPREPLY[@]}"),
              HasSubstr("show"));
  EXPECT_THAT(Shell(source + "COMP_WORDS=(edgeloop models show --j); COMP_CWORD=3; _edgeloop; echo "
                             "${COMPREPLY[@]}"),
              HasSubstr("--json"));
  std::remove(path.c_str());
}

TEST(Completion, ZshAndFishHaveTheDescriptions) {
  const auto app = Tree();
  EXPECT_THAT(ZshCompletion(Choices(*app)), HasSubstr("'models:The registry'\\''s models'"));
  const std::string fish = FishCompletion(Choices(*app));
  EXPECT_THAT(fish, HasSubstr("-a 'up' -d 'Start'"));
  EXPECT_THAT(fish, HasSubstr("'__edgeloop_below models show' -l 'json'"));
}

}  // namespace
}  // namespace edgeloop::commands
