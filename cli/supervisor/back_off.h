// How long to wait before a process that died is started again.
#pragma once

#include <chrono>

namespace edgeloop::supervisor {

class BackOff {
 public:
  struct Options {
    std::chrono::milliseconds first{200};
    std::chrono::milliseconds most{10'000};
    // A process that ran this long before it died counts as one that had worked.
    std::chrono::milliseconds stable{20'000};
    int failing_after = 4;  // deaths in a row
  };

  explicit BackOff(Options options) : options_(options) {}

  // The process died after it had run for `ran`: the wait before its next start, doubling from
  // `first` to `most`, anew after a stable run.
  std::chrono::milliseconds Died(std::chrono::milliseconds ran);

  int deaths_in_row() const { return deaths_in_row_; }
  // Worth a person's attention. It is still retried: what it waits for may come back.
  bool failing() const { return deaths_in_row_ >= options_.failing_after; }

 private:
  Options options_;
  int deaths_in_row_ = 0;
  std::chrono::milliseconds next_{0};
};

}  // namespace edgeloop::supervisor
