#include "platform/services/stream/api/api.h"

#include <algorithm>

namespace edgeloop::stream {
namespace {

constexpr int16_t kApiVersionsKey = 18;

// The last versions before each request became "flexible" (KIP-482); every client since Kafka 2.1
// speaks them. ApiVersions alone is asked for in its flexible form first.
constexpr Api kApis[] = {
    {0, "Produce", 3, 8, HandleProduce},
    {1, "Fetch", 4, 11, HandleFetch},
    {2, "ListOffsets", 1, 5, HandleListOffsets},
    {3, "Metadata", 0, 8, HandleMetadata},
    {8, "OffsetCommit", 2, 7, HandleOffsetCommit},
    {9, "OffsetFetch", 1, 5, HandleOffsetFetch},
    {10, "FindCoordinator", 0, 2, HandleFindCoordinator},
    {11, "JoinGroup", 0, 5, HandleJoinGroup},
    {12, "Heartbeat", 0, 3, HandleHeartbeat},
    {13, "LeaveGroup", 0, 3, HandleLeaveGroup},
    {14, "SyncGroup", 0, 3, HandleSyncGroup},
    {15, "DescribeGroups", 0, 4, HandleDescribeGroups},
    {16, "ListGroups", 0, 2, HandleListGroups},
    {kApiVersionsKey, "ApiVersions", 0, 3, HandleApiVersions},
    {19, "CreateTopics", 0, 4, HandleCreateTopics},
    {20, "DeleteTopics", 0, 3, HandleDeleteTopics},
    {22, "InitProducerId", 0, 1, HandleInitProducerId},
    {32, "DescribeConfigs", 0, 2, HandleDescribeConfigs},
};

}  // namespace

std::span<const Api> Apis() { return kApis; }

bool DispatchRequest(Core& core, RequestSlot slot, const Peer& peer, std::vector<uint8_t> frame) {
  Reader reader(frame);
  const int16_t key = reader.Int16();
  const int16_t version = reader.Int16();
  const int32_t correlation_id = reader.Int32();
  const auto api = std::ranges::find(kApis, key, &Api::key);
  if (!reader.ok() || api == std::end(kApis)) return false;
  const bool known = version >= api->min_version && version <= api->max_version;
  if (!known && key != kApiVersionsKey) return false;
  const std::optional<std::string_view> client_id = reader.NullableString();
  const bool flexible = key == kApiVersionsKey && version >= 3;
  if (flexible && known) reader.SkipTaggedFields();
  if (!reader.ok()) return false;
  Request request{.slot = slot,
                  .peer = peer,
                  .api_version = version,
                  .correlation_id = correlation_id,
                  .client_id = std::string(client_id.value_or("")),
                  .body_at = reader.position()};
  request.frame = std::move(frame);
  return api->handle(core, std::move(request));
}

}  // namespace edgeloop::stream
