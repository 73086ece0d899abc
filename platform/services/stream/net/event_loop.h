// One thread waits here for sockets, timers and work from other threads. It sleeps in epoll_wait
// until the next of them; nothing polls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::stream {

class FdHandler {
 public:
  virtual void OnEvents(uint32_t epoll_events) = 0;

 protected:
  ~FdHandler() = default;
};

class EventLoop {
 public:
  using Task = std::move_only_function<void()>;

  struct Timer {  // of RunAfter(); 0: none
    int64_t due_ms = 0;
    uint64_t id = 0;
  };

  static Expected<std::unique_ptr<EventLoop>> Create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Until Stop().
  void Run();
  // --- any thread ---
  void Stop();
  void Post(Task task);

  // --- the loop's thread ---
  Timer RunAfter(int64_t delay_ms, Task task);
  void Cancel(Timer* timer);  // no effect when it ran or is none
  // The handler is called until Unwatch(), which may happen within a call.
  Expected<uint64_t> Watch(int fd, uint32_t epoll_events, FdHandler* handler);
  void Change(uint64_t watch, int fd, uint32_t epoll_events);
  void Unwatch(uint64_t watch, int fd);
  // Runs what other threads posted and timers that are due; for tests that do not Run().
  void RunReady();

  static int64_t NowMs();  // monotonic

 private:
  EventLoop(int epoll_fd, int event_fd) : epoll_fd_(epoll_fd), event_fd_(event_fd) {}
  void RunPosted();
  int WaitMs() const;

  const int epoll_fd_;
  const int event_fd_;
  bool running_ = false;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, FdHandler*> handlers_;
  std::map<std::pair<int64_t, uint64_t>, Task> timers_;

  std::mutex mutex_;
  std::vector<Task> posted_;
};

}  // namespace edgeloop::stream
