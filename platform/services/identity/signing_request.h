// A PKCS #10 request (RFC 2986), checked: what of it may go into a certificate, and nothing else.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

typedef struct evp_pkey_st EVP_PKEY;

namespace edgeloop::identity {

inline constexpr size_t kMaxRequestBytes = 16'384;
inline constexpr size_t kMaxHosts = 16;

// "service", "device" or "operator".
bool IsValidUnit(std::string_view unit);

struct PublicKeyDeleter {
  void operator()(EVP_PKEY* key) const;
};

struct SigningRequest {
  std::string common_name;
  std::string organizational_unit;
  std::vector<std::string> hosts;  // subjectAltName: DNS names and IP addresses
  std::unique_ptr<EVP_PKEY, PublicKeyDeleter> key;

  // Demands: PEM, signed by its own P-256 key, subject exactly O=edgeloop, OU, CN with CN an id of
  // ours, no requested extension but subjectAltName.
  static Expected<SigningRequest> Parse(std::string_view pem);
};

}  // namespace edgeloop::identity
