// All processes of Edgeloop on one machine, from one set of options, below one state directory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/site/access.h"
#include "cli/site/options.h"
#include "cli/supervisor/supervisor.h"
#include "contracts/error/error.h"

namespace edgeloop::site {

class Site {
 public:
  // Told of what is being started, e.g. "stream".
  using Progress = std::function<void(const std::string& what)>;

  // Prepares identities, keys and configurations, starts everything and waits until it is ready.
  // On failure what was started is stopped again.
  static Expected<std::unique_ptr<Site>> Start(Options options, const std::string& state_dir,
                                               const Progress& progress);
  ~Site();  // Stop()

  // Reverse order of start.
  void Stop();
  const Access& access() const;
  const Options& options() const;
  std::vector<supervisor::ProcessState> Processes() const;

 private:
  struct Impl;
  explicit Site(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::site
