#include "platform/services/stream/broker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <future>
#include <random>

namespace edgeloop::stream {
namespace {

uint64_t RandomSeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// -1 when another process has it.
Expected<int> LockDirectory(const std::string& dir) {
  const std::string path = dir + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Fail(ErrorCode::kPermissionDenied, "cannot open " + path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return Fail(ErrorCode::kUnavailable, dir + " is used by another broker");
  }
  return fd;
}

}  // namespace

Expected<std::unique_ptr<Broker>> Broker::Create(BrokerOptions options) {
  std::unique_ptr<Broker> broker(new Broker);
  fs::FileSystem& fs = options.fs != nullptr ? *options.fs : fs::PosixFileSystem();
  if (auto status = fs.MakeDirs(options.core.data_dir); !status) return Fail(status.error());
  if (options.fs == nullptr) {
    auto lock = LockDirectory(options.core.data_dir);
    if (!lock) return Fail(lock.error());
    broker->lock_fd_ = *lock;
  }
  auto loop = EventLoop::Create();
  if (!loop) return Fail(loop.error());
  broker->loop_ = std::move(*loop);
  tls::SslCtxPtr tls;
  if (options.tls) {
    auto context = tls::CreateServerContext(*options.tls);
    if (!context) return Fail(context.error());
    tls = std::move(*context);
  }
  Broker* self = broker.get();
  const Core::Notice notice = options.notice ? options.notice : [](bool, const std::string&) {};
  if (options.metrics == nullptr) {
    broker->own_metrics_ = std::make_unique<metrics::Registry>();
    options.metrics = broker->own_metrics_.get();
  }
  auto core = Core::Create(
      *broker->loop_, fs, *options.metrics, options.core, RandomSeed(),
      [self](RequestSlot slot, std::vector<uint8_t> frame) {
        if (self->server_) self->server_->Respond(slot, std::move(frame));
      },
      notice);
  if (!core) return Fail(core.error());
  broker->core_ = std::move(*core);
  broker->core_->worker().Start();
  if (auto status = broker->CreateTopics(options.topics); !status) return Fail(status.error());
  auto server = Server::Create(
      *broker->loop_, options.listen, std::move(tls),
      [self](RequestSlot slot, const Peer& peer, std::vector<uint8_t> frame) {
        return self->core_->Handle(slot, peer, std::move(frame));
      },
      [notice](const std::string& text) { notice(false, text); },
      [connections = options.metrics->AddGauge("stream_connections", "Open connections")](
          size_t count) mutable { connections.Set(static_cast<double>(count)); });
  if (!server) return Fail(server.error());
  broker->server_ = std::move(*server);
  if (options.core.advertised_port == 0) {
    broker->core_->set_advertised_port(broker->server_->port());
  }
  broker->core_->StartHousekeeping();
  broker->thread_ = std::thread([self] { self->loop_->Run(); });
  pthread_setname_np(broker->thread_.native_handle(), "loop");
  return broker;
}

Status Broker::CreateTopics(const std::vector<TopicSpec>& topics) {
  // Before the loop has a thread: this one runs it until all are decided.
  Status result;
  for (const TopicSpec& topic : topics) {
    if (core_->FindTopic(topic.name) != nullptr) continue;
    core_->CreateTopic(
        topic.name, topic.partitions, topic.config, false, [&](const Core::TopicResult& created) {
          if (created.error != KafkaError::kNone) {
            result =
                Fail(ErrorCode::kInvalidArgument, "topic " + topic.name + ": " + created.message);
          }
          loop_->Stop();
        });
    loop_->Run();
    if (!result) break;
  }
  return result;
}

Broker::~Broker() {
  if (thread_.joinable()) {
    loop_->Stop();
    thread_.join();
  }
  if (server_) server_->Close();
  core_.reset();
  server_.reset();
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

void Broker::CleanLogs() {
  std::promise<void> done;
  loop_->Post([&] { core_->CleanLogs([&] { done.set_value(); }); });
  done.get_future().get();
}

}  // namespace edgeloop::stream
