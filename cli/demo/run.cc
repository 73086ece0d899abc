#include "cli/demo/run.h"

#include <stdlib.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/demo/narrator.h"
#include "cli/demo/report.h"
#include "cli/demo/story.h"
#include "cli/site/site.h"
#include "runtime/process/daemon.h"

namespace edgeloop::demo {
namespace {

int Refuse(const Error& error) {
  std::fprintf(stderr, "edgeloop demo: %s\n", error.message().c_str());
  return error.code() == ErrorCode::kInvalidArgument ? 2 : 1;
}

Expected<std::string> MakeStateDirectory() {
  std::string pattern = std::filesystem::temp_directory_path().string() + "/edgeloop-demo.XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    return Fail(ErrorCode::kPermissionDenied, "cannot make a directory in " +
                                                  std::filesystem::temp_directory_path().string() +
                                                  ": set TMPDIR");
  }
  return pattern;
}

site::Options SiteFor(const ScenarioOptions& scenario) {
  site::Options options = site::DefaultOptions();
  options.window = scenario.window;
  options.hop = scenario.hop;
  if (scenario.data_dir.empty()) {
    options.gateways = site::Fleet(scenario.devices, {{"type", "motor"}});
    // Each motor is a machine of its own.
    uint64_t number = 0;
    for (auto& gateway : options.gateways) {
      for (auto& device : gateway.devices) {
        device.source.emplace_back("seed",
                                   std::to_string(Mix(scenario.seed * 1'000'003 + ++number) >> 12));
      }
    }
  } else {
    options.gateways =
        site::Fleet(scenario.devices, {{"type", "replay"}, {"dir", scenario.data_dir}});
  }
  return options;
}

// Turns SIGINT and SIGTERM into a call of `on_stop`, while it lives.
class StopListener {
 public:
  explicit StopListener(std::function<void()> on_stop) {
    thread_ = std::thread([this, on_stop = std::move(on_stop)] {
      process::WaitForStop();
      if (!over_) on_stop();
    });
  }
  ~StopListener() {
    over_ = true;
    process::RequestStop();
    thread_.join();
  }

 private:
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

// Runs the story on a platform of its own; what it measured is in `report` even when it fails.
Status Play(const RunOptions& options, const Scenario& scenario, const std::string& state_dir,
            Narrator& narrator, Report* report) {
  site::Options site_options = SiteFor(options.scenario);
  narrator.Heading("Starting the platform");
  narrator.Say("state in " + state_dir + ", mutual TLS 1.3 between all processes");
  std::string names;
  auto site = site::Site::Start(site_options, state_dir, [&](const std::string& what) {
    names += (names.empty() ? "" : ", ") + what;
  });
  if (!site) return Fail(site.error());
  narrator.Say("ready: " + names);

  Story::Options story_options{.devices = {}, .seed = options.scenario.seed};
  for (const auto& gateway : site_options.gateways) {
    for (const auto& device : gateway.devices) {
      story_options.devices.push_back(gateway.id + "/" + device.id);
    }
  }
  auto story = Story::Create(std::move(story_options), **site, scenario, narrator, report);
  if (!story) return Fail(story.error());
  Status told;
  {
    const StopListener listener([&] { (*story)->Cancel(); });
    told = (*story)->Run();
  }
  if (!told) narrator.Say("the story ends here: " + told.error().message());
  if (!told && told.error().code() == ErrorCode::kCancelled) return told;
  // Also after a failure: what became of the records tells where to look.
  const Status settled = (*story)->Settle();
  story->reset();
  narrator.Say("stopping");
  (*site)->Stop();
  return told ? settled : told;
}

}  // namespace

int Run(const RunOptions& options) {
  process::BlockStopSignals();
  auto scenario = CreateScenario(options.scenario);
  if (!scenario) return Refuse(scenario.error());
  const auto state_dir = MakeStateDirectory();
  if (!state_dir) return Refuse(state_dir.error());

  Report report;
  report.source = options.scenario.data_dir.empty() ? "simulator" : options.scenario.data_dir;
  report.seed = options.scenario.seed;
  report.devices = options.scenario.devices;
  int code = 0;
  {
    Narrator narrator(options.terminal);
    const Status played = Play(options, **scenario, *state_dir, narrator, &report);
    report.passed = played.has_value();
    if (!played) {
      report.failure = played.error().message();
      code = 1;
    }
    report.elapsed_s = narrator.ElapsedSeconds();
    narrator.Heading("Summary");
  }
  std::fputs(Summary(report).c_str(), stdout);
  if (!report.passed) std::printf("\nFAILED: %s\n", report.failure.c_str());
  if (!options.json_path.empty()) {
    const std::string text =
        ToJson(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (Status s = process::WriteFileAtomically(options.json_path, text); !s) {
      Refuse(s.error());
      code = 1;
    } else {
      std::printf("\nfigures of this run: %s\n", options.json_path.c_str());
    }
  }
  if (options.keep) {
    const std::string config = *state_dir + "/edgeloop.yaml";
    if (Status s =
            process::WriteFileAtomically(config, site::ConfigText(SiteFor(options.scenario)), 0600);
        !s) {
      Refuse(s.error());
    }
    std::printf("\nkept: %s; look at it again with `edgeloop up --state %s --config %s`\n",
                state_dir->c_str(), state_dir->c_str(), config.c_str());
  } else {
    std::error_code error;
    std::filesystem::remove_all(*state_dir, error);
  }
  return code;
}

}  // namespace edgeloop::demo
