// Consumer groups: who is a member, which generation, who has which partitions (decided by the
// clients' leader), and the committed offsets. In memory, on the loop's thread; the offsets are
// made durable by their caller. After a restart members find themselves unknown and join again.
//
// The states and their answers follow Apache Kafka's classic group protocol (KIP-62, KIP-345 static
// members, KIP-394 member id required).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "platform/services/stream/net/event_loop.h"
#include "platform/services/stream/protocol/kafka_error.h"

namespace edgeloop::stream {

struct GroupLimits {
  size_t max_groups = 256;  // with members or offsets
  size_t max_members = 128;
  size_t max_offsets = 4096;  // of one group
  int64_t min_session_timeout_ms = 1000;
  int64_t max_session_timeout_ms = 30 * 60 * 1000;
  // How long an empty group waits for more members before its first assignment.
  int64_t initial_rebalance_delay_ms = 200;
};

struct GroupProtocol {
  std::string name;
  std::vector<uint8_t> metadata;
};

struct JoinRequest {
  std::string group;
  std::string member_id;  // empty: a new member
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  int64_t session_timeout_ms = 0;
  int64_t rebalance_timeout_ms = 0;
  std::string protocol_type;
  std::vector<GroupProtocol> protocols;  // the preferred first
  bool ask_member_id = false;            // the client can be told its id and asked to come again
};

struct JoinedMember {
  std::string member_id;
  std::optional<std::string> instance_id;
  std::vector<uint8_t> metadata;
};

struct JoinResult {
  KafkaError error = KafkaError::kNone;
  int32_t generation = -1;
  std::string protocol;
  std::string leader;
  std::string member_id;
  std::vector<JoinedMember> members;  // for the leader only
};

struct SyncResult {
  KafkaError error = KafkaError::kNone;
  std::vector<uint8_t> assignment;
};

struct MemberKey {
  std::string group;
  int32_t generation = -1;
  std::string member_id;
  std::optional<std::string> instance_id;
};

struct CommittedOffset {
  int64_t offset = -1;
  int32_t leader_epoch = -1;
  std::string metadata;
  int64_t committed_at_ms = 0;  // wall clock
};

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

struct MemberDescription {
  std::string member_id;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  std::vector<uint8_t> metadata;
  std::vector<uint8_t> assignment;
};

struct GroupDescription {
  std::string group;
  std::string state;
  std::string protocol_type;
  std::string protocol;
  std::vector<MemberDescription> members;
};

class GroupCoordinator {
 public:
  using JoinDone = std::move_only_function<void(const JoinResult&)>;
  using SyncDone = std::move_only_function<void(const SyncResult&)>;

  // `instance_tag` makes member ids of one run of the broker differ from those of another.
  GroupCoordinator(EventLoop& loop, const GroupLimits& limits, uint64_t instance_tag);
  ~GroupCoordinator();

  void Join(JoinRequest request, JoinDone done);
  void Sync(const MemberKey& member, std::map<std::string, std::vector<uint8_t>> assignments,
            SyncDone done);
  KafkaError Heartbeat(const MemberKey& member);
  KafkaError Leave(const MemberKey& member);  // the generation is not looked at

  // May this member (or, with generation -1, a client outside of the group protocol) commit now?
  KafkaError CheckCommit(const MemberKey& member, size_t new_offsets);
  void SetOffset(const std::string& group, const TopicPartition& where, CommittedOffset offset);
  std::optional<CommittedOffset> Offset(const std::string& group,
                                        const TopicPartition& where) const;
  std::vector<std::pair<TopicPartition, CommittedOffset>> Offsets(const std::string& group) const;
  // What to delete from the durable store with a topic, or because the group has been empty since
  // `before_ms`: (group, partition); they are forgotten here.
  std::vector<std::pair<std::string, TopicPartition>> ForgetTopic(const std::string& topic);
  std::vector<std::pair<std::string, TopicPartition>> ForgetOld(int64_t before_ms);

  std::vector<GroupDescription> List() const;  // without members
  GroupDescription Describe(const std::string& group) const;

 private:
  enum class State { kEmpty, kPreparingRebalance, kCompletingRebalance, kStable };

  struct Member {
    std::string id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string client_host;
    int64_t session_timeout_ms = 0;
    int64_t rebalance_timeout_ms = 0;
    std::vector<GroupProtocol> protocols;
    std::vector<uint8_t> assignment;
    JoinDone join_done;  // set while it waits
    SyncDone sync_done;
    EventLoop::Timer session_timer;
  };

  struct Group {
    std::string id;
    State state = State::kEmpty;
    int32_t generation = 0;
    std::string protocol_type;
    std::string protocol;
    std::string leader;
    std::map<std::string, Member> members;
    std::map<std::string, EventLoop::Timer> promised_ids;  // given out, not yet come again
    EventLoop::Timer rebalance_timer;
    std::map<TopicPartition, CommittedOffset> offsets;
  };

  Group* Find(const std::string& id);
  const Group* Find(const std::string& id) const;
  // The member, or why not.
  KafkaError Check(Group* group, const MemberKey& key, bool check_generation, Member** member);
  bool SupportsProtocols(const Group& group, const JoinRequest& request) const;
  void UpdateMember(Member* member, JoinRequest&& request);
  void PrepareRebalance(Group* group);
  void CompleteJoinIfReady(Group* group);
  void CompleteJoin(Group* group);
  std::string ChooseProtocol(const Group& group) const;
  JoinResult ResultFor(const Group& group, const Member& member) const;
  void FinishSync(Group* group, KafkaError error);
  void RemoveMember(Group* group, const std::string& member_id);
  void Touch(Group* group, Member* member);
  void EraseIfUnused(const std::string& group);
  std::string NewMemberId(const JoinRequest& request);

  EventLoop& loop_;
  const GroupLimits limits_;
  const uint64_t instance_tag_;
  uint64_t next_member_ = 1;
  std::map<std::string, Group> groups_;
};

}  // namespace edgeloop::stream
