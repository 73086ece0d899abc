#include "cli/operate/operator.h"

#include <chrono>
#include <random>

#include "contracts/events/cloud_event.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::operate {
namespace {

constexpr std::chrono::seconds kDurableWithin{20};

}  // namespace

struct Operator::Impl {
  std::unique_ptr<kafka::Producer> producer;

  template <typename Message>
  Status Produce(std::string_view topic, const std::string& key, const std::string& id,
                 const Message& message) {
    const std::string value = message.SerializeAsString();
    auto position = producer->ProduceSync(
        {.topic = topic,
         .key = key,
         .value = value,
         .headers = events::ToHeaders({.id = id,
                                       .source = "/operators/" + std::string(site::kOperatorName),
                                       .type = message.GetTypeName(),
                                       .time_ns = message.at_ns()})},
        kDurableWithin);
    if (!position) return Fail(position.error(), topic);
    return {};
  }
};

Expected<std::unique_ptr<Operator>> Operator::Create(const site::Access& access) {
  auto producer = kafka::Producer::Create({.connection = access.Stream("edgeloop-operator")});
  if (!producer) return Fail(producer.error());
  auto impl = std::make_unique<Impl>();
  impl->producer = std::move(*producer);
  return std::unique_ptr<Operator>(new Operator(std::move(impl)));
}

Operator::Operator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Operator::~Operator() = default;

Status Operator::Send(v1::Command command) {
  command.set_at_ns(UnixNanoseconds());
  command.set_issued_by(std::string(site::kOperatorName));
  return impl_->Produce(topics::kCommands, command.device(), command.command_id(), command);
}

Status Operator::Submit(v1::Label label) {
  label.set_at_ns(UnixNanoseconds());
  label.set_operator_name(std::string(site::kOperatorName));
  return impl_->Produce(topics::kLabels, label.submission(), label.submission(), label);
}

Status Operator::Describe(v1::Context context) {
  context.set_at_ns(UnixNanoseconds());
  return impl_->Produce(topics::kContext, context.device(), NewId(), context);
}

std::string NewId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 32; ++i) id += "0123456789abcdef"[random() & 15];
  return id;
}

uint64_t UnixNanoseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace edgeloop::operate
