// The requests this broker understands, one file each. docs/stream-apis.md lists what each does and
// who tests it.
#pragma once

#include <cstdint>
#include <span>

#include "platform/services/stream/core.h"
#include "platform/services/stream/protocol/wire.h"

namespace edgeloop::stream {

struct Api {
  int16_t key;
  const char* name;
  int16_t min_version;
  int16_t max_version;
  // Parses the whole body before it does anything; false when malformed. Answers once, at once or
  // later.
  bool (*handle)(Core& core, Request&& request);
};

std::span<const Api> Apis();

// Reads the request header, finds the API and calls it; false when the request is malformed.
bool DispatchRequest(Core& core, RequestSlot slot, const Peer& peer, std::vector<uint8_t> frame);

bool HandleProduce(Core& core, Request&& request);
bool HandleFetch(Core& core, Request&& request);
bool HandleListOffsets(Core& core, Request&& request);
bool HandleMetadata(Core& core, Request&& request);
bool HandleOffsetCommit(Core& core, Request&& request);
bool HandleOffsetFetch(Core& core, Request&& request);
bool HandleFindCoordinator(Core& core, Request&& request);
bool HandleJoinGroup(Core& core, Request&& request);
bool HandleHeartbeat(Core& core, Request&& request);
bool HandleLeaveGroup(Core& core, Request&& request);
bool HandleSyncGroup(Core& core, Request&& request);
bool HandleDescribeGroups(Core& core, Request&& request);
bool HandleListGroups(Core& core, Request&& request);
bool HandleApiVersions(Core& core, Request&& request);
bool HandleCreateTopics(Core& core, Request&& request);
bool HandleDeleteTopics(Core& core, Request&& request);
bool HandleInitProducerId(Core& core, Request&& request);
bool HandleDescribeConfigs(Core& core, Request&& request);

}  // namespace edgeloop::stream
