// What producer, consumer and admin share of librdkafka. Included in this folder only.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>

#include "runtime/kafka/kafka.h"

namespace edgeloop::kafka {

struct HandleDeleter {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
};
using HandlePtr = std::unique_ptr<rd_kafka_t, HandleDeleter>;

struct PartitionListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using PartitionListPtr = std::unique_ptr<rd_kafka_topic_partition_list_t, PartitionListDeleter>;

struct MetadataDeleter {
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
using MetadataPtr = std::unique_ptr<const rd_kafka_metadata_t, MetadataDeleter>;

// Collects properties; the first bad one fails Create().
class Settings {
 public:
  explicit Settings(const ConnectionOptions& connection);
  ~Settings();
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  void Set(const char* name, const std::string& value);
  void Set(const char* name, int value) { Set(name, std::to_string(value)); }
  rd_kafka_conf_t* raw() { return conf_; }
  // Ends these settings.
  Expected<HandlePtr> Create(rd_kafka_type_t type);

 private:
  rd_kafka_conf_t* conf_;
  Status status_;
};

Error ErrorOf(rd_kafka_resp_err_t code, std::string_view what);

}  // namespace edgeloop::kafka
