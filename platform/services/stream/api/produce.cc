#include <algorithm>
#include <utility>

#include "platform/services/stream/api/api.h"
#include "platform/services/stream/log/record_batch.h"

namespace edgeloop::stream {
namespace {

struct ProducePartition {
  int32_t index = 0;
  KafkaError error = KafkaError::kNone;
  std::string message;
  Partition* partition = nullptr;
  std::span<uint8_t> batch;  // in the request's frame
  BatchHeader header;
  AppendResult result;
};

struct ProduceTopic {
  std::string name;
  std::vector<ProducePartition> partitions;
};

// What the storage thread works on; it holds the frame that the batches point into.
struct ProduceWork {
  Request request;
  int16_t acks = 0;
  std::vector<ProduceTopic> topics;
};

KafkaError ErrorOf(AppendCode code) {
  switch (code) {
    case AppendCode::kOk:
    case AppendCode::kDuplicate:
      return KafkaError::kNone;
    case AppendCode::kOutOfOrderSequence:
      return KafkaError::kOutOfOrderSequenceNumber;
    case AppendCode::kStaleProducerEpoch:
      return KafkaError::kInvalidProducerEpoch;
    case AppendCode::kStorageError:
      return KafkaError::kKafkaStorageError;
  }
  return KafkaError::kUnknownServerError;
}

void Check(Core& core, const std::string& topic_name, ProducePartition* out) {
  Topic* topic = core.FindTopic(topic_name);
  out->partition = core.FindPartition(topic_name, out->index);
  if (out->partition == nullptr) {
    out->error = KafkaError::kUnknownTopicOrPartition;
    return;
  }
  if (out->batch.size() > topic->max_message_bytes) {
    out->error = KafkaError::kMessageTooLarge;
    out->message = "batch of " + std::to_string(out->batch.size()) +
                   " bytes, max.message.bytes is " + std::to_string(topic->max_message_bytes);
    return;
  }
  auto header = CheckProducedBatch(out->batch);
  if (!header) {
    out->error = header.error().code() == ErrorCode::kCorrupt ? KafkaError::kCorruptMessage
                                                              : KafkaError::kInvalidRecord;
    out->message = header.error().message();
    return;
  }
  out->header = *header;
}

void Answer(Core& core, const ProduceWork& work) {
  if (work.acks == 0) return core.Respond(work.request.slot, {});
  const int16_t version = work.request.api_version;
  Writer out(work.request.correlation_id);
  out.Array(work.topics.size());
  for (const ProduceTopic& topic : work.topics) {
    out.String(topic.name);
    out.Array(topic.partitions.size());
    for (const ProducePartition& part : topic.partitions) {
      const bool ok = part.error == KafkaError::kNone;
      out.Int32(part.index);
      out.Error(part.error);
      out.Int64(ok ? part.result.base_offset : -1);
      out.Int64(-1);  // log append time: topics keep create time
      if (version >= 5) out.Int64(ok ? part.partition->log->offsets().start : -1);
      if (version >= 8) {
        out.Array(0);  // errors by record
        out.NullableString(part.message.empty() ? std::nullopt : std::optional(part.message));
      }
    }
  }
  out.Int32(0);  // throttle
  core.Respond(work.request.slot, std::move(out).Take());
}

void Append(ProduceWork* work, CommitGroup* group) {
  for (ProduceTopic& topic : work->topics) {
    for (ProducePartition& part : topic.partitions) {
      if (part.error != KafkaError::kNone) continue;
      PartitionLog& log = *part.partition->log;
      part.result = log.Append(part.batch, part.header);
      group->Sync(log);
    }
  }
}

void Conclude(ProduceWork* work) {  // after the sync, on the storage thread
  for (ProduceTopic& topic : work->topics) {
    for (ProducePartition& part : topic.partitions) {
      if (part.error != KafkaError::kNone) continue;
      part.error = ErrorOf(part.result.code);
      if (part.error == KafkaError::kNone && !part.partition->log->IsDurable(part.result)) {
        part.error = KafkaError::kKafkaStorageError;
        part.result.detail = "the batch could not be synced";
      }
      part.message = part.result.detail;
    }
  }
}

void Publish(Core& core, const ProduceWork& work) {
  for (const ProduceTopic& topic : work.topics) {
    for (const ProducePartition& part : topic.partitions) {
      if (part.partition == nullptr) continue;
      if (part.error == KafkaError::kNone) {
        core.ReportStorage(true, "");
        if (part.result.code == AppendCode::kOk) {
          core.metrics().produced_batches.Add();
          core.metrics().produced_bytes.Add(static_cast<double>(part.batch.size()));
        }
        core.fetches().Wake(*part.partition);
      } else if (part.error == KafkaError::kKafkaStorageError) {
        core.ReportStorage(false, part.message);
      }
    }
  }
  Answer(core, work);
}

}  // namespace

bool HandleProduce(Core& core, Request&& request) {
  auto work = std::make_unique<ProduceWork>();
  work->request = std::move(request);
  Reader in(work->request.body());
  const bool transactional = in.NullableString().has_value();
  work->acks = in.Int16();
  in.Int32();  // timeout: a single node waits for nobody
  for (int32_t topics = in.Array(6); topics > 0; --topics) {
    ProduceTopic& topic = work->topics.emplace_back();
    topic.name = in.String();
    for (int32_t partitions = in.Array(8); partitions > 0; --partitions) {
      ProducePartition& part = topic.partitions.emplace_back();
      part.index = in.Int32();
      const auto records = in.NullableBytes().value_or(std::span<const uint8_t>());
      // The batch is stamped in place.
      part.batch = {const_cast<uint8_t*>(records.data()), records.size()};
    }
  }
  if (!in.Finished()) return false;
  KafkaError refused = KafkaError::kNone;
  if (transactional) refused = KafkaError::kTransactionalIdAuthorizationFailed;
  if (work->acks < -1 || work->acks > 1) refused = KafkaError::kInvalidRequiredAcks;
  bool any = false;
  for (ProduceTopic& topic : work->topics) {
    for (ProducePartition& part : topic.partitions) {
      part.error = refused;
      if (refused == KafkaError::kNone) Check(core, topic.name, &part);
      any = any || part.error == KafkaError::kNone;
    }
  }
  if (!any) {
    Answer(core, *work);
    return true;
  }
  core.worker().Post([&core, work = std::move(work)](CommitGroup& group) mutable {
    Append(work.get(), &group);
    group.Then([&core, work = std::move(work)](const CommitGroup&) mutable {
      Conclude(work.get());
      core.loop().Post([&core, work = std::move(work)] { Publish(core, *work); });
    });
  });
  return true;
}

}  // namespace edgeloop::stream
