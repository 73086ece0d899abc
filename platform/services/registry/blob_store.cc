#include "platform/services/registry/blob_store.h"

#include <unistd.h>

#include <filesystem>
#include <span>

#include "contracts/ids/model_ref.h"
#include "runtime/process/daemon.h"
#include "runtime/signing/signing.h"

namespace edgeloop::registry {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

std::string DigestOf(std::string_view bytes) {
  return signing::Sha256Digest({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

std::unexpected<Error> BadDigest() {
  return Fail(ErrorCode::kInvalidArgument, "digest is not sha256:<64 lower-case hex digits>");
}

}  // namespace

Expected<BlobStore> BlobStore::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Fail(ErrorCode::kUnavailable, directory + ": " + error.message());
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (!IsValidDigest(std::string(kDigestPrefix) + entry.path().filename().string())) {
      std::filesystem::remove(entry.path(), error);
    }
  }
  if (error) return Fail(ErrorCode::kUnavailable, directory + ": " + error.message());
  return BlobStore(directory);
}

std::string BlobStore::PathOf(std::string_view digest) const {
  return directory_ + "/" + std::string(digest.substr(kDigestPrefix.size()));
}

Status BlobStore::Put(std::string_view digest, std::string_view bytes) const {
  if (!IsValidDigest(digest)) return BadDigest();
  if (bytes.empty() || bytes.size() > kMaxModelBytes) {
    return Fail(ErrorCode::kInvalidArgument, "a blob has 1 to " + std::to_string(kMaxModelBytes) +
                                                 " bytes, this has " +
                                                 std::to_string(bytes.size()));
  }
  if (const std::string actual = DigestOf(bytes); actual != digest) {
    return Fail(ErrorCode::kInvalidArgument,
                "the body's digest is " + actual + ", not " + std::string(digest));
  }
  const std::string path = PathOf(digest);
  if (::access(path.c_str(), F_OK) == 0 && Get(digest)) return {};
  return process::WriteFileAtomically(path, bytes);
}

Expected<std::string> BlobStore::Get(std::string_view digest) const {
  if (!IsValidDigest(digest)) return BadDigest();
  const std::string path = PathOf(digest);
  if (::access(path.c_str(), F_OK) != 0) {
    return Fail(ErrorCode::kNotFound, "no blob " + std::string(digest));
  }
  auto bytes = process::ReadWholeFile(path, kMaxModelBytes);
  if (!bytes) return bytes;
  if (DigestOf(*bytes) != digest) {
    return Fail(ErrorCode::kCorrupt,
                "blob " + std::string(digest) + " was damaged on disk: upload it again");
  }
  return bytes;
}

}  // namespace edgeloop::registry
