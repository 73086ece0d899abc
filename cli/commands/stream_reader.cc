#include "cli/commands/stream_reader.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/decode/decode.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kAnswerWithin = 10s;

struct Message {
  int64_t timestamp_ms;
  json shown;
};

json Shown(const kafka::Record& record) {
  json out = {{"topic", record.topic},
              {"partition", record.partition},
              {"offset", record.offset},
              {"timestamp_ms", record.timestamp_ms},
              {"key", record.key}};
  if (record.tombstone) {
    out["value"] = nullptr;
    return out;
  }
  auto value = decode::Decode(record.topic, record.value);
  if (value) {
    out["value"] = std::move(*value);
  } else {
    out["error"] = value.error().message();
  }
  for (const auto& [name, text] : record.headers) {
    if (name == "reason") out["reason"] = text;
  }
  return out;
}

// The partitions of the topic; an error that names the topics there are.
Expected<int> Partitions(const site::Access& access, const std::string& topic) {
  auto admin = kafka::Admin::Create(access.Stream("edgeloop-cli"));
  if (!admin) return Fail(admin.error());
  auto topics = (*admin)->ListTopics(std::chrono::milliseconds(kAnswerWithin));
  if (!topics) return Fail(topics.error());
  std::string known;
  for (const auto& info : *topics) {
    if (info.name == topic) return info.partitions;
    known += (known.empty() ? "" : ", ") + info.name;
  }
  return Fail(ErrorCode::kNotFound, "there is no topic " + topic + "; there are: " + known);
}

}  // namespace

Status ReadTail(const site::Access& access, const Tail& tail,
                const std::function<void(const json&)>& show) {
  const auto partitions = Partitions(access, tail.topic);
  if (!partitions) return Fail(partitions.error());
  auto created = kafka::Consumer::Create({.connection = access.Stream("edgeloop-cli")});
  if (!created) return Fail(created.error());
  kafka::Consumer& consumer = **created;

  // Of each partition as many as could be among the last ones of all.
  std::vector<kafka::Consumer::Assignment> assignments;
  std::map<int32_t, int64_t> ends;
  for (int32_t p = 0; p < *partitions; ++p) {
    auto marks = consumer.QueryWatermarks(tail.topic, p, std::chrono::milliseconds(kAnswerWithin));
    if (!marks) return Fail(marks.error());
    const int64_t from = std::max(marks->low, marks->high - tail.last);
    if (from < marks->high) ends[p] = marks->high;
    assignments.push_back({.topic = tail.topic, .partition = p, .offset = from});
  }
  if (Status s = consumer.Assign(assignments); !s) return s;

  std::vector<Message> backlog;
  auto deadline = std::chrono::steady_clock::now() + kAnswerWithin;
  while (!ends.empty()) {
    auto record = consumer.Poll(200ms);
    if (!record) return Fail(record.error());
    if (!*record) {
      if (std::chrono::steady_clock::now() > deadline) {
        return Fail(ErrorCode::kTimeout, "the stream does not answer: see `edgeloop status`");
      }
      continue;
    }
    deadline = std::chrono::steady_clock::now() + kAnswerWithin;
    backlog.push_back({(*record)->timestamp_ms, Shown(**record)});
    const auto end = ends.find((*record)->partition);
    if (end != ends.end() && (*record)->offset + 1 >= end->second) ends.erase(end);
  }
  std::ranges::stable_sort(backlog, {}, &Message::timestamp_ms);
  const size_t skip = backlog.size() > static_cast<size_t>(tail.last)
                          ? backlog.size() - static_cast<size_t>(tail.last)
                          : 0;
  for (size_t i = skip; i < backlog.size(); ++i) show(backlog[i].shown);
  while (tail.follow) {
    auto record = consumer.Poll(1s);
    if (!record) return Fail(record.error());
    if (*record) show(Shown(**record));
  }
  return {};
}

}  // namespace edgeloop::commands
