// The story of the demonstration: commission, fault, two changes of conditions with retraining, bad
// models. Acts as plant and as operator only, by public interfaces, and believes only what it reads
// back from the streams.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/demo/narrator.h"
#include "cli/demo/report.h"
#include "cli/demo/scenario.h"
#include "cli/site/site.h"
#include "contracts/error/error.h"

namespace edgeloop::demo {

class Story {
 public:
  struct Options {
    std::vector<std::string> devices;  // "gw-01/motor-01", ...
    uint64_t seed = 1;
    double limit_s = 290;  // the whole story
  };
  static Expected<std::unique_ptr<Story>> Create(Options options, const site::Site& site,
                                                 const Scenario& scenario, Narrator& narrator,
                                                 Report* report);
  ~Story();

  // Tells it to its end, or to the first expectation that fails.
  Status Run();
  // Stops the machines, waits until everything is durable and adds up the figures.
  Status Settle();
  // From another thread: gives up at the next occasion.
  void Cancel();

 private:
  struct Impl;
  explicit Story(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::demo
