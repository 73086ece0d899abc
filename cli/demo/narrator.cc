#include "cli/demo/narrator.h"

#include <cstdio>

namespace edgeloop::demo {
namespace {

constexpr std::chrono::milliseconds kRedraw{300};
constexpr const char* kBold = "\x1b[1m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kRed = "\x1b[31m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kPlain = "\x1b[0m";

}  // namespace

Narrator::Narrator(bool terminal) : terminal_(terminal) {
  if (terminal_) thread_ = std::thread([this] { Run(); });
}

Narrator::~Narrator() {
  {
    std::lock_guard lock(mutex_);
    EraseLive();
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Narrator::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait_for(lock, kRedraw);
    if (stopping_ || !live_) continue;
    EraseLive();
    DrawLive();
    std::fflush(stdout);
  }
}

void Narrator::EraseLive() {
  for (; live_lines_ > 0; --live_lines_) std::fputs("\x1b[1A\x1b[2K", stdout);
}

void Narrator::DrawLive() {
  for (const std::string& line : live_()) {
    // Cut rather than wrapped (DECAWM off): a wrapped line could not be erased again.
    std::printf("\x1b[?7l%s%s%s\x1b[?7h\n", kDim, line.c_str(), kPlain);
    ++live_lines_;
  }
}

void Narrator::Print(const std::string& line) {
  std::lock_guard lock(mutex_);
  EraseLive();
  std::puts(line.c_str());
  if (terminal_ && live_) DrawLive();
  std::fflush(stdout);
}

double Narrator::ElapsedSeconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Narrator::Heading(const std::string& text) {
  Print("");
  Print(terminal_ ? kBold + text + kPlain : text);
}

void Narrator::Say(const std::string& text) {
  char time[32];
  std::snprintf(time, sizeof time, "%6.1f s  ", ElapsedSeconds());
  Print((terminal_ ? kDim + std::string(time) + kPlain : time) + text);
}

void Narrator::Verdict(bool held, const std::string& text) {
  const std::string mark = held ? "ok    " : "FAILED";
  Say((terminal_ ? (held ? kGreen : kRed) + mark + kPlain : mark) + " " + text);
}

void Narrator::ShowLive(std::function<std::vector<std::string>()> lines) {
  std::lock_guard lock(mutex_);
  EraseLive();
  live_ = std::move(lines);
}

}  // namespace edgeloop::demo
