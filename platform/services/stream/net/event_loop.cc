#include "platform/services/stream/net/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

namespace edgeloop::stream {
namespace {

constexpr uint64_t kWakeUp = 0;  // the id of the eventfd

}  // namespace

Expected<std::unique_ptr<EventLoop>> EventLoop::Create() {
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) {
    return Fail(ErrorCode::kResourceExhausted,
                std::string("epoll_create: ") + std::strerror(errno));
  }
  const int event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeUp}};
  if (event_fd < 0 || ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) != 0) {
    const int error = errno;
    ::close(epoll_fd);
    if (event_fd >= 0) ::close(event_fd);
    return Fail(ErrorCode::kResourceExhausted, std::string("eventfd: ") + std::strerror(error));
  }
  return std::unique_ptr<EventLoop>(new EventLoop(epoll_fd, event_fd));
}

EventLoop::~EventLoop() {
  ::close(epoll_fd_);
  ::close(event_fd_);
}

int64_t EventLoop::NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void EventLoop::Post(Task task) {
  bool first;
  {
    std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_fd_, &one, sizeof one);
  }
}

void EventLoop::Stop() {
  Post([this] { running_ = false; });
}

EventLoop::Timer EventLoop::RunAfter(int64_t delay_ms, Task task) {
  const Timer timer{NowMs() + std::max<int64_t>(delay_ms, 0), next_id_++};
  timers_.emplace(std::pair(timer.due_ms, timer.id), std::move(task));
  return timer;
}

void EventLoop::Cancel(Timer* timer) {
  timers_.erase({timer->due_ms, timer->id});
  *timer = {};
}

Expected<uint64_t> EventLoop::Watch(int fd, uint32_t epoll_events, FdHandler* handler) {
  const uint64_t id = next_id_++;
  epoll_event event{.events = epoll_events, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return Fail(ErrorCode::kResourceExhausted, std::string("epoll_ctl: ") + std::strerror(errno));
  }
  handlers_[id] = handler;
  return id;
}

void EventLoop::Change(uint64_t watch, int fd, uint32_t epoll_events) {
  epoll_event event{.events = epoll_events, .data = {.u64 = watch}};
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Unwatch(uint64_t watch, int fd) {
  handlers_.erase(watch);
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::RunPosted() {
  std::vector<Task> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void EventLoop::RunReady() {
  RunPosted();
  while (!timers_.empty() && timers_.begin()->first.first <= NowMs()) {
    Task task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    task();
  }
}

int EventLoop::WaitMs() const {
  if (timers_.empty()) return -1;
  return static_cast<int>(std::clamp<int64_t>(timers_.begin()->first.first - NowMs(), 0, INT_MAX));
}

void EventLoop::Run() {
  running_ = true;
  std::array<epoll_event, 64> events;
  while (running_) {
    const int count = ::epoll_wait(epoll_fd_, events.data(), events.size(), WaitMs());
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kWakeUp) {
        uint64_t value;
        [[maybe_unused]] const ssize_t read = ::read(event_fd_, &value, sizeof value);
      } else if (auto handler = handlers_.find(id); handler != handlers_.end()) {
        handler->second->OnEvents(events[static_cast<size_t>(i)].events);
      }
    }
    RunReady();
  }
}

}  // namespace edgeloop::stream
