// The certificate authority: one P-256 root key in its state directory, and what it has signed.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/identity/signing_request.h"

namespace edgeloop::identity {

// State directory: ca.key (0600), ca.pem, issued.log and revoked.log (one JSON object a line,
// synced before a certificate leaves), tokens/ (see tokens.h).
class Authority {
 public:
  // Makes the key and the root certificate. kAlreadyExists when there is one.
  static Status Init(const std::string& state_dir);

  struct Options {
    int valid_days = 90;
    std::vector<std::string> allowed_hosts;  // besides localhost, 127.0.0.1 and ::1
  };
  static Expected<std::unique_ptr<Authority>> Load(const std::string& state_dir, Options options);
  ~Authority();

  enum class How { kEnrolled, kRenewed };
  // Signs a certificate, PEM. Thread-safe.
  Expected<std::string> Issue(const SigningRequest& request, How how);

  // Revokes every certificate of the name that has not expired; returns how many. The name cannot
  // renew until it has enrolled anew.
  Expected<size_t> Revoke(std::string_view common_name);
  // Certificate revocation list (RFC 5280 section 5), PEM, valid for a day.
  Expected<std::string> Crl() const;

  const std::string& ca_pem() const { return ca_pem_; }
  // SHA-256 of the root certificate, hex: what a new device is told to expect.
  std::string Fingerprint() const;

 private:
  struct Keys;
  struct Entry {
    std::string serial;  // hex
    std::string common_name;
    int64_t at_s = 0;       // issued or revoked
    int64_t expires_s = 0;  // issued.log alone
    bool enrolled = false;  // issued.log alone
  };
  Authority(std::string state_dir, Options options, std::unique_ptr<Keys> keys, std::string ca_pem);
  Expected<std::vector<Entry>> ReadLog(std::string_view name) const;
  Status AppendLog(std::string_view name, const std::string& line) const;
  Status CheckRenewal(std::string_view common_name) const;

  const std::string state_dir_;
  const Options options_;
  const std::unique_ptr<Keys> keys_;
  const std::string ca_pem_;
  mutable std::mutex mutex_;  // of the logs
};

}  // namespace edgeloop::identity
