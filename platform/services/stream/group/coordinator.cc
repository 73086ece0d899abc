#include "platform/services/stream/group/coordinator.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

namespace edgeloop::stream {
namespace {

bool SameProtocols(const std::vector<GroupProtocol>& a, const std::vector<GroupProtocol>& b) {
  return std::ranges::equal(a, b, [](const GroupProtocol& x, const GroupProtocol& y) {
    return x.name == y.name && x.metadata == y.metadata;
  });
}

const GroupProtocol* FindProtocol(const std::vector<GroupProtocol>& protocols,
                                  const std::string& name) {
  const auto found = std::ranges::find(protocols, name, &GroupProtocol::name);
  return found == protocols.end() ? nullptr : &*found;
}

}  // namespace

GroupCoordinator::GroupCoordinator(EventLoop& loop, const GroupLimits& limits,
                                   uint64_t instance_tag)
    : loop_(loop), limits_(limits), instance_tag_(instance_tag) {}

GroupCoordinator::~GroupCoordinator() {
  for (auto& [id, group] : groups_) {
    loop_.Cancel(&group.rebalance_timer);
    for (auto& [member_id, member] : group.members) loop_.Cancel(&member.session_timer);
    for (auto& [member_id, timer] : group.promised_ids) loop_.Cancel(&timer);
  }
}

GroupCoordinator::Group* GroupCoordinator::Find(const std::string& id) {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

const GroupCoordinator::Group* GroupCoordinator::Find(const std::string& id) const {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

std::string GroupCoordinator::NewMemberId(const JoinRequest& request) {
  char suffix[64];
  std::snprintf(suffix, sizeof suffix, "-%016" PRIx64 "-%" PRIu64, instance_tag_, next_member_++);
  return request.instance_id.value_or(request.client_id) + suffix;
}

KafkaError GroupCoordinator::Check(Group* group, const MemberKey& key, bool check_generation,
                                   Member** member) {
  if (group == nullptr) return KafkaError::kUnknownMemberId;
  auto found = group->members.find(key.member_id);
  if (key.instance_id) {
    const bool taken_over = std::ranges::any_of(group->members, [&](const auto& entry) {
      return entry.second.instance_id == key.instance_id && entry.first != key.member_id;
    });
    if (taken_over) return KafkaError::kFencedInstanceId;
  }
  if (found == group->members.end()) return KafkaError::kUnknownMemberId;
  if (check_generation && key.generation != group->generation) {
    return KafkaError::kIllegalGeneration;
  }
  *member = &found->second;
  return KafkaError::kNone;
}

bool GroupCoordinator::SupportsProtocols(const Group& group, const JoinRequest& request) const {
  if (request.protocol_type.empty() || request.protocols.empty()) return false;
  const bool alone = group.members.empty() ||
                     (group.members.size() == 1 && group.members.contains(request.member_id));
  if (alone) return true;
  if (request.protocol_type != group.protocol_type) return false;
  return std::ranges::any_of(request.protocols, [&](const GroupProtocol& protocol) {
    return std::ranges::all_of(group.members, [&](const auto& entry) {
      return entry.first == request.member_id ||
             FindProtocol(entry.second.protocols, protocol.name) != nullptr;
    });
  });
}

void GroupCoordinator::Touch(Group* group, Member* member) {
  loop_.Cancel(&member->session_timer);
  member->session_timer = loop_.RunAfter(member->session_timeout_ms,
                                         [this, group_id = group->id, member_id = member->id] {
                                           Group* expired_in = Find(group_id);
                                           if (expired_in == nullptr) return;
                                           auto found = expired_in->members.find(member_id);
                                           if (found == expired_in->members.end()) return;
                                           found->second.session_timer = {};
                                           // Who waits for an answer of ours cannot send
                                           // heartbeats.
                                           if (found->second.join_done || found->second.sync_done) {
                                             Touch(expired_in, &found->second);
                                             return;
                                           }
                                           RemoveMember(expired_in, member_id);
                                           EraseIfUnused(group_id);
                                         });
}

void GroupCoordinator::Join(JoinRequest request, JoinDone done) {
  const auto refuse = [&](KafkaError error, const std::string& member_id) {
    done({.error = error, .member_id = member_id});
  };
  if (request.group.empty()) return refuse(KafkaError::kInvalidGroupId, request.member_id);
  if (request.session_timeout_ms < limits_.min_session_timeout_ms ||
      request.session_timeout_ms > limits_.max_session_timeout_ms) {
    return refuse(KafkaError::kInvalidSessionTimeout, request.member_id);
  }
  if (Find(request.group) == nullptr) {
    if (!request.member_id.empty()) return refuse(KafkaError::kUnknownMemberId, request.member_id);
    if (groups_.size() >= limits_.max_groups) return refuse(KafkaError::kGroupMaxSizeReached, "");
    groups_[request.group].id = request.group;
  }
  Group& group = groups_[request.group];
  const std::string group_id = group.id;
  if (!SupportsProtocols(group, request)) {
    refuse(KafkaError::kInconsistentGroupProtocol, request.member_id);
    return EraseIfUnused(group_id);
  }
  Member* member = nullptr;
  if (request.member_id.empty()) {
    if (group.members.size() + group.promised_ids.size() >= limits_.max_members) {
      return refuse(KafkaError::kGroupMaxSizeReached, "");
    }
    const std::string id = NewMemberId(request);
    if (request.instance_id) {
      // A static member that comes back takes the place of its former self.
      const auto former = std::ranges::find_if(group.members, [&](const auto& entry) {
        return entry.second.instance_id == request.instance_id;
      });
      if (former != group.members.end()) {
        Member& old = former->second;
        if (old.join_done) old.join_done({.error = KafkaError::kFencedInstanceId});
        if (old.sync_done) old.sync_done({.error = KafkaError::kFencedInstanceId});
        if (group.leader == old.id) group.leader = id;
        loop_.Cancel(&old.session_timer);
        group.members.erase(former);
      }
    } else if (request.ask_member_id) {
      group.promised_ids[id] = loop_.RunAfter(request.session_timeout_ms, [this, group_id, id] {
        if (Group* waiting = Find(group_id)) waiting->promised_ids.erase(id);
        EraseIfUnused(group_id);
      });
      return refuse(KafkaError::kMemberIdRequired, id);
    }
    member = &group.members[id];
    member->id = id;
  } else if (auto promised = group.promised_ids.find(request.member_id);
             promised != group.promised_ids.end()) {
    loop_.Cancel(&promised->second);
    group.promised_ids.erase(promised);
    member = &group.members[request.member_id];
    member->id = request.member_id;
  } else {
    const KafkaError error =
        Check(&group, {group_id, -1, request.member_id, request.instance_id}, false, &member);
    if (error != KafkaError::kNone) return refuse(error, request.member_id);
    // A retry of a join whose first answer went missing, or a follower that only asks again.
    const bool same = SameProtocols(member->protocols, request.protocols);
    const bool settled = group.state == State::kCompletingRebalance ||
                         (group.state == State::kStable && member->id != group.leader);
    if (same && settled) {
      Touch(&group, member);
      return done(ResultFor(group, *member));
    }
  }
  group.protocol_type = request.protocol_type;
  UpdateMember(member, std::move(request));
  if (member->join_done) member->join_done({.error = KafkaError::kUnknownMemberId});
  member->join_done = std::move(done);
  Touch(&group, member);
  PrepareRebalance(&group);
}

void GroupCoordinator::UpdateMember(Member* member, JoinRequest&& request) {
  member->instance_id = std::move(request.instance_id);
  member->client_id = std::move(request.client_id);
  member->client_host = std::move(request.client_host);
  member->session_timeout_ms = request.session_timeout_ms;
  member->rebalance_timeout_ms =
      std::clamp(request.rebalance_timeout_ms, request.session_timeout_ms,
                 std::max(limits_.max_session_timeout_ms, request.session_timeout_ms));
  member->protocols = std::move(request.protocols);
}

void GroupCoordinator::PrepareRebalance(Group* group) {
  if (group->state == State::kPreparingRebalance) return CompleteJoinIfReady(group);
  if (group->state == State::kCompletingRebalance) {
    FinishSync(group, KafkaError::kRebalanceInProgress);
  }
  const bool first = group->state == State::kEmpty;
  group->state = State::kPreparingRebalance;
  int64_t wait_ms = limits_.initial_rebalance_delay_ms;
  if (!first) {
    wait_ms = 0;
    for (const auto& [id, member] : group->members) {
      wait_ms = std::max(wait_ms, member.rebalance_timeout_ms);
    }
  }
  loop_.Cancel(&group->rebalance_timer);
  group->rebalance_timer = loop_.RunAfter(wait_ms, [this, group_id = group->id] {
    Group* waiting = Find(group_id);
    if (waiting == nullptr) return;
    waiting->rebalance_timer = {};
    if (waiting->state == State::kPreparingRebalance) CompleteJoin(waiting);
    EraseIfUnused(group_id);
  });
  // The first members of a group wait for others; later nobody waits once all are there.
  if (!first) CompleteJoinIfReady(group);
}

void GroupCoordinator::CompleteJoinIfReady(Group* group) {
  // During the initial delay generation 0 waits for its timer.
  if (group->generation == 0) return;
  const bool all = std::ranges::all_of(
      group->members, [](const auto& entry) { return static_cast<bool>(entry.second.join_done); });
  if (all && group->promised_ids.empty()) CompleteJoin(group);
}

std::string GroupCoordinator::ChooseProtocol(const Group& group) const {
  // Each member votes for its favourite among those that all support.
  std::map<std::string, int> votes;
  for (const auto& [id, member] : group.members) {
    for (const GroupProtocol& protocol : member.protocols) {
      const bool common = std::ranges::all_of(group.members, [&](const auto& entry) {
        return FindProtocol(entry.second.protocols, protocol.name) != nullptr;
      });
      if (!common) continue;
      ++votes[protocol.name];
      break;
    }
  }
  const auto winner =
      std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  return winner == votes.end() ? std::string() : winner->first;
}

void GroupCoordinator::CompleteJoin(Group* group) {
  loop_.Cancel(&group->rebalance_timer);
  // Who did not come in time is out. Static members keep their place until their session ends.
  for (auto member = group->members.begin(); member != group->members.end();) {
    if (member->second.join_done || member->second.instance_id) {
      ++member;
    } else {
      loop_.Cancel(&member->second.session_timer);
      member = group->members.erase(member);
    }
  }
  ++group->generation;
  const bool any_waits = std::ranges::any_of(
      group->members, [](const auto& entry) { return static_cast<bool>(entry.second.join_done); });
  if (!any_waits) {
    group->state = group->members.empty() ? State::kEmpty : State::kStable;
    if (group->members.empty()) group->leader.clear();
    return;
  }
  group->protocol = ChooseProtocol(*group);
  const auto leader = group->members.find(group->leader);
  if (leader == group->members.end() || !leader->second.join_done) {
    group->leader = std::ranges::find_if(group->members, [](const auto& entry) {
                      return static_cast<bool>(entry.second.join_done);
                    })->first;
  }
  group->state = State::kCompletingRebalance;
  // Answers may come back into here: collect first.
  std::vector<std::pair<JoinDone, JoinResult>> answers;
  for (auto& [id, member] : group->members) {
    member.assignment.clear();
    if (!member.join_done) continue;
    answers.emplace_back(std::exchange(member.join_done, nullptr), ResultFor(*group, member));
    Touch(group, &member);
  }
  for (auto& [done, result] : answers) done(result);
}

JoinResult GroupCoordinator::ResultFor(const Group& group, const Member& member) const {
  JoinResult result{.generation = group.generation,
                    .protocol = group.protocol,
                    .leader = group.leader,
                    .member_id = member.id};
  if (member.id == group.leader) {
    for (const auto& [id, other] : group.members) {
      const GroupProtocol* protocol = FindProtocol(other.protocols, group.protocol);
      result.members.push_back({id, other.instance_id,
                                protocol == nullptr ? std::vector<uint8_t>{} : protocol->metadata});
    }
  }
  return result;
}

void GroupCoordinator::Sync(const MemberKey& key,
                            std::map<std::string, std::vector<uint8_t>> assignments,
                            SyncDone done) {
  Group* group = Find(key.group);
  Member* member = nullptr;
  const KafkaError error = Check(group, key, true, &member);
  if (error != KafkaError::kNone) return done({.error = error});
  Touch(group, member);
  switch (group->state) {
    case State::kEmpty:
      return done({.error = KafkaError::kUnknownMemberId});
    case State::kPreparingRebalance:
      return done({.error = KafkaError::kRebalanceInProgress});
    case State::kStable:
      return done({.assignment = member->assignment});
    case State::kCompletingRebalance:
      break;
  }
  if (member->sync_done) member->sync_done({.error = KafkaError::kUnknownMemberId});
  member->sync_done = std::move(done);
  if (member->id != group->leader) return;
  for (auto& [id, other] : group->members) other.assignment = std::move(assignments[id]);
  group->state = State::kStable;
  FinishSync(group, KafkaError::kNone);
}

void GroupCoordinator::FinishSync(Group* group, KafkaError error) {
  std::vector<std::pair<SyncDone, SyncResult>> answers;
  for (auto& [id, member] : group->members) {
    if (!member.sync_done) continue;
    SyncResult result{.error = error};
    if (error == KafkaError::kNone) result.assignment = member.assignment;
    answers.emplace_back(std::exchange(member.sync_done, nullptr), std::move(result));
    Touch(group, &member);
  }
  for (auto& [done, result] : answers) done(result);
}

KafkaError GroupCoordinator::Heartbeat(const MemberKey& key) {
  Group* group = Find(key.group);
  Member* member = nullptr;
  const KafkaError error = Check(group, key, true, &member);
  if (error != KafkaError::kNone) return error;
  Touch(group, member);
  return group->state == State::kPreparingRebalance ? KafkaError::kRebalanceInProgress
                                                    : KafkaError::kNone;
}

KafkaError GroupCoordinator::Leave(const MemberKey& key) {
  Group* group = Find(key.group);
  if (group == nullptr) return KafkaError::kUnknownMemberId;
  if (auto promised = group->promised_ids.find(key.member_id);
      promised != group->promised_ids.end()) {
    loop_.Cancel(&promised->second);
    group->promised_ids.erase(promised);
    EraseIfUnused(key.group);
    return KafkaError::kNone;
  }
  std::string member_id = key.member_id;
  if (member_id.empty() && key.instance_id) {  // an operator removes a static member
    const auto found = std::ranges::find_if(group->members, [&](const auto& entry) {
      return entry.second.instance_id == key.instance_id;
    });
    if (found != group->members.end()) member_id = found->first;
  }
  Member* member = nullptr;
  const KafkaError error =
      Check(group, {key.group, -1, member_id, key.instance_id}, false, &member);
  if (error != KafkaError::kNone) return error;
  RemoveMember(group, member_id);
  EraseIfUnused(key.group);
  return KafkaError::kNone;
}

void GroupCoordinator::RemoveMember(Group* group, const std::string& member_id) {
  auto found = group->members.find(member_id);
  Member removed = std::move(found->second);
  group->members.erase(found);
  loop_.Cancel(&removed.session_timer);
  if (removed.join_done) removed.join_done({.error = KafkaError::kUnknownMemberId});
  if (removed.sync_done) removed.sync_done({.error = KafkaError::kUnknownMemberId});
  if (group->members.empty() && group->promised_ids.empty()) {
    loop_.Cancel(&group->rebalance_timer);
    group->state = State::kEmpty;
    group->leader.clear();
    ++group->generation;
    return;
  }
  PrepareRebalance(group);
}

void GroupCoordinator::EraseIfUnused(const std::string& id) {
  auto found = groups_.find(id);
  if (found == groups_.end()) return;
  Group& group = found->second;
  if (!group.members.empty() || !group.promised_ids.empty() || !group.offsets.empty()) return;
  loop_.Cancel(&group.rebalance_timer);
  groups_.erase(found);
}

KafkaError GroupCoordinator::CheckCommit(const MemberKey& key, size_t new_offsets) {
  if (key.group.empty()) return KafkaError::kInvalidGroupId;
  Group* group = Find(key.group);
  if (group == nullptr && groups_.size() >= limits_.max_groups) {
    return KafkaError::kGroupMaxSizeReached;
  }
  if (group != nullptr && group->offsets.size() + new_offsets > limits_.max_offsets) {
    return KafkaError::kGroupMaxSizeReached;
  }
  const bool empty = group == nullptr || group->members.empty();
  if (key.generation < 0 && empty) return KafkaError::kNone;  // no group protocol
  Member* member = nullptr;
  const KafkaError error = Check(group, key, true, &member);
  if (error != KafkaError::kNone) {
    // The group is gone with its last member: its generation is, too.
    return group == nullptr ? KafkaError::kIllegalGeneration : error;
  }
  Touch(group, member);
  return group->state == State::kCompletingRebalance ? KafkaError::kRebalanceInProgress
                                                     : KafkaError::kNone;
}

void GroupCoordinator::SetOffset(const std::string& id, const TopicPartition& where,
                                 CommittedOffset offset) {
  Group& group = groups_[id];
  group.id = id;
  group.offsets[where] = std::move(offset);
}

std::optional<CommittedOffset> GroupCoordinator::Offset(const std::string& id,
                                                        const TopicPartition& where) const {
  const Group* group = Find(id);
  if (group == nullptr) return std::nullopt;
  auto found = group->offsets.find(where);
  if (found == group->offsets.end()) return std::nullopt;
  return found->second;
}

std::vector<std::pair<TopicPartition, CommittedOffset>> GroupCoordinator::Offsets(
    const std::string& id) const {
  const Group* group = Find(id);
  if (group == nullptr) return {};
  return {group->offsets.begin(), group->offsets.end()};
}

std::vector<std::pair<std::string, TopicPartition>> GroupCoordinator::ForgetTopic(
    const std::string& topic) {
  std::vector<std::pair<std::string, TopicPartition>> forgotten;
  for (auto& [id, group] : groups_) {
    std::erase_if(group.offsets, [&](const auto& entry) {
      if (entry.first.topic != topic) return false;
      forgotten.emplace_back(id, entry.first);
      return true;
    });
  }
  for (const auto& [id, where] : forgotten) EraseIfUnused(id);
  return forgotten;
}

std::vector<std::pair<std::string, TopicPartition>> GroupCoordinator::ForgetOld(int64_t before_ms) {
  std::vector<std::pair<std::string, TopicPartition>> forgotten;
  for (auto& [id, group] : groups_) {
    if (!group.members.empty()) continue;
    std::erase_if(group.offsets, [&](const auto& entry) {
      if (entry.second.committed_at_ms >= before_ms) return false;
      forgotten.emplace_back(id, entry.first);
      return true;
    });
  }
  for (const auto& [id, where] : forgotten) EraseIfUnused(id);
  return forgotten;
}

std::vector<GroupDescription> GroupCoordinator::List() const {
  std::vector<GroupDescription> all;
  for (const auto& [id, group] : groups_) {
    all.push_back({.group = id, .protocol_type = group.protocol_type});
  }
  return all;
}

GroupDescription GroupCoordinator::Describe(const std::string& id) const {
  const Group* group = Find(id);
  if (group == nullptr) return {.group = id, .state = "Dead"};
  GroupDescription out{.group = id, .protocol_type = group->protocol_type};
  switch (group->state) {
    case State::kEmpty:
      out.state = "Empty";
      break;
    case State::kPreparingRebalance:
      out.state = "PreparingRebalance";
      break;
    case State::kCompletingRebalance:
      out.state = "CompletingRebalance";
      break;
    case State::kStable:
      out.state = "Stable";
      break;
  }
  const bool stable = group->state == State::kStable;
  if (stable) out.protocol = group->protocol;
  for (const auto& [member_id, member] : group->members) {
    MemberDescription described{
        member_id, member.instance_id, member.client_id, member.client_host, {}, {}};
    if (stable) {
      const GroupProtocol* protocol = FindProtocol(member.protocols, group->protocol);
      if (protocol != nullptr) described.metadata = protocol->metadata;
      described.assignment = member.assignment;
    }
    out.members.push_back(std::move(described));
  }
  return out;
}

}  // namespace edgeloop::stream
