#include "platform/services/identity/tokens.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "contracts/ids/ids.h"
#include "platform/services/identity/signing_request.h"
#include "runtime/process/daemon.h"
#include "runtime/signing/signing.h"

namespace edgeloop::identity {
namespace {

constexpr size_t kTokenBytes = 32;

// Names that mean rights elsewhere (the MQTT access list, the registry's publishers): for services
// alone, so that no device can come by one.
constexpr std::array<std::string_view, 9> kServiceNames = {"stream",   "bridge",    "registry",
                                                           "identity", "mlops",     "sidecar",
                                                           "console",  "mosquitto", "module"};

std::span<const uint8_t> BytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string PathOf(const std::string& directory, std::string_view token) {
  return directory + "/" + signing::Sha256Digest(BytesOf(token)).substr(sizeof "sha256:" - 1);
}

bool IsToken(std::string_view text) {
  return text.size() == 2 * kTokenBytes && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Expected<std::string> Tokens::Create(std::string_view common_name,
                                     std::string_view organizational_unit, int64_t valid_s,
                                     int64_t now_s) const {
  if (!IsValidId(common_name) || !IsValidUnit(organizational_unit)) {
    return Fail(ErrorCode::kInvalidArgument,
                "name must be 1 to 48 of a-z, 0-9, '-'; ou service, device or operator");
  }
  if (organizational_unit != "service" &&
      std::ranges::find(kServiceNames, common_name) != kServiceNames.end()) {
    return Fail(ErrorCode::kInvalidArgument,
                "the name '" + std::string(common_name) + "' is for the service of that name");
  }
  std::array<uint8_t, kTokenBytes> random;
  if (RAND_bytes(random.data(), int(random.size())) != 1) {
    return Fail(ErrorCode::kInternal, "no random numbers");
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string token;
  for (const uint8_t byte : random) {
    token += kDigits[byte >> 4];
    token += kDigits[byte & 15];
  }
  const nlohmann::json content = {
      {"cn", common_name}, {"ou", organizational_unit}, {"expires", now_s + valid_s}};
  if (auto ok = process::WriteFileAtomically(PathOf(directory_, token), content.dump(), 0600);
      !ok) {
    return Fail(ok.error());
  }
  return token;
}

Status Tokens::Take(std::string_view token, std::string_view common_name,
                    std::string_view organizational_unit, int64_t now_s) const {
  // One message for all reasons: a guesser learns nothing.
  const auto refused = [] {
    return Fail(ErrorCode::kUnauthenticated,
                "no such token for this name, or it was used or has expired; make a new one with: "
                "edgeloop-identity token");
  };
  if (!IsToken(token)) return refused();
  const std::string path = PathOf(directory_, token);
  const auto text = process::ReadWholeFile(path, 4'096);
  if (!text) return refused();
  const auto content = nlohmann::json::parse(*text, nullptr, false);
  if (!content.is_object() || content.value("cn", "") != common_name ||
      content.value("ou", "") != organizational_unit ||
      content.value("expires", int64_t{0}) < now_s) {
    return refused();
  }
  if (::unlink(path.c_str()) != 0) return refused();
  const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!synced) return Fail(ErrorCode::kUnavailable, directory_ + " cannot be synced");
  return {};
}

}  // namespace edgeloop::identity
