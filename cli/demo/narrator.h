// Tells what happens: lines with the time since the start; on a terminal, also a block of live
// lines below them that is drawn anew several times a second.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace edgeloop::demo {

class Narrator {
 public:
  // `terminal`: colours and live lines.
  explicit Narrator(bool terminal);
  ~Narrator();

  void Heading(const std::string& text);
  void Say(const std::string& text);
  // Something that was to be seen, and whether it was.
  void Verdict(bool held, const std::string& text);
  // From now on these lines are shown below; empty to stop.
  void ShowLive(std::function<std::vector<std::string>()> lines);

  double ElapsedSeconds() const;

 private:
  void Print(const std::string& line);
  void EraseLive();
  void DrawLive();
  void Run();

  const bool terminal_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<std::vector<std::string>()> live_;
  size_t live_lines_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace edgeloop::demo
