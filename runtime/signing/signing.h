// Ed25519 signatures (RFC 8032) and SHA-256 digests (FIPS 180-4) with OpenSSL.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

typedef struct evp_pkey_st EVP_PKEY;

namespace edgeloop::signing {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const;
};
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyDeleter>;

// A private key in a PEM file. Creates nothing: see CreateKeyFile.
class Signer {
 public:
  static Expected<Signer> Load(const std::string& private_key_pem_path);
  Expected<std::vector<uint8_t>> Sign(std::string_view text) const;
  // First 16 hex digits of SHA-256 of the DER public key: names the key, proves nothing.
  std::string key_id() const;

 private:
  explicit Signer(KeyPtr key) : key_(std::move(key)) {}
  KeyPtr key_;
};

// A set of trusted public keys, by key id.
class Verifier {
 public:
  static Expected<Verifier> Load(const std::vector<std::string>& public_key_pem_paths);
  // kUnauthenticated when the key is unknown or the signature is not of this text.
  Status Verify(std::string_view key_id, std::string_view text,
                std::span<const uint8_t> signature) const;

 private:
  std::vector<std::pair<std::string, KeyPtr>> keys_;
};

// Makes private (0600, never overwritten) and public PEM files.
Status CreateKeyFile(const std::string& private_path, const std::string& public_path);

// "sha256:<hex>".
std::string Sha256Digest(std::span<const uint8_t> bytes);

std::string Base64Encode(std::span<const uint8_t> bytes);
Expected<std::vector<uint8_t>> Base64Decode(std::string_view text);

}  // namespace edgeloop::signing
