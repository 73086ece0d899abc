#include "platform/services/identity/authority.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "runtime/process/daemon.h"

namespace edgeloop::identity {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertPtr = std::unique_ptr<X509, decltype(&X509_free)>;
using CrlPtr = std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)>;
using BignumPtr = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
using IntegerPtr = std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)>;

constexpr int kRootDays = 3650;
constexpr long kDay_s = 86'400;
// Clocks of new devices may be behind.
constexpr long kBackdate_s = 300;
constexpr size_t kMaxLogBytes = 64u << 20;
constexpr std::string_view kIssued = "issued.log";
constexpr std::string_view kRevoked = "revoked.log";

int64_t NowS() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

std::unexpected<Error> Openssl(std::string what) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return Fail(ErrorCode::kInternal, what + ": " + (reason != nullptr ? reason : "OpenSSL error"));
}

std::string TextOf(BIO* memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory, &data);
  return {data, size_t(length)};
}

std::string PemOf(X509* certificate) {
  const BioPtr memory(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509(memory.get(), certificate);
  return TextOf(memory.get());
}

// 127 random bits (CA/Browser Forum baseline asks for 64 at least).
IntegerPtr RandomSerial() {
  const BignumPtr number(BN_new(), &BN_free);
  BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
  return {BN_to_ASN1_INTEGER(number.get(), nullptr), &ASN1_INTEGER_free};
}

std::string HexOf(const ASN1_INTEGER* serial) {
  const BignumPtr number(ASN1_INTEGER_to_BN(serial, nullptr), &BN_free);
  char* hex = BN_bn2hex(number.get());
  std::string text(hex);
  OPENSSL_free(hex);
  return text;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  const bool ok = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return ok;
}

bool AddEntry(X509_NAME* name, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    int(value.size()), -1, 0) == 1;
}

bool IsIp(const std::string& host) {
  return host.find_first_not_of("0123456789.") == std::string::npos ||
         host.find(':') != std::string::npos;
}

}  // namespace

struct Authority::Keys {
  KeyPtr key{nullptr, &EVP_PKEY_free};
  CertPtr root{nullptr, &X509_free};
};

Authority::Authority(std::string state_dir, Options options, std::unique_ptr<Keys> keys,
                     std::string ca_pem)
    : state_dir_(std::move(state_dir)),
      options_(std::move(options)),
      keys_(std::move(keys)),
      ca_pem_(std::move(ca_pem)) {}

Authority::~Authority() = default;

Status Authority::Init(const std::string& state_dir) {
  for (const std::string& directory : {state_dir, state_dir + "/tokens"}) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return Fail(ErrorCode::kUnavailable, directory + ": " + std::strerror(errno));
    }
  }
  const KeyPtr key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const CertPtr root(X509_new(), &X509_free);
  if (!key || !root) return Openssl("new root key");
  X509_set_version(root.get(), X509_VERSION_3);
  X509_set_serialNumber(root.get(), RandomSerial().get());
  X509_gmtime_adj(X509_getm_notBefore(root.get()), -kBackdate_s);
  X509_gmtime_adj(X509_getm_notAfter(root.get()), kRootDays * kDay_s);
  X509_set_pubkey(root.get(), key.get());
  X509_NAME* name = X509_get_subject_name(root.get());
  if (!AddEntry(name, "O", "edgeloop") || !AddEntry(name, "CN", "Edgeloop root") ||
      X509_set_issuer_name(root.get(), name) != 1 ||
      !AddExtension(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(root.get(), root.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(root.get(), root.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(root.get(), key.get(), EVP_sha256()) == 0) {
    return Openssl("root certificate");
  }
  // The key is what makes an authority: it is created last of all, and never overwritten.
  const std::string key_path = state_dir + "/ca.key";
  if (::access(key_path.c_str(), F_OK) == 0) {
    return Fail(ErrorCode::kAlreadyExists, "there is an authority in '" + state_dir + "' already");
  }
  if (auto ok = process::WriteFileAtomically(state_dir + "/ca.pem", PemOf(root.get())); !ok) {
    return ok;
  }
  const BioPtr secret(BIO_new(BIO_s_secmem()), &BIO_free);
  if (PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
      1) {
    return Openssl("root key");
  }
  std::string pem = TextOf(secret.get());
  auto written = process::WriteFileAtomically(key_path, pem, 0600);
  OPENSSL_cleanse(pem.data(), pem.size());
  return written;
}

Expected<std::unique_ptr<Authority>> Authority::Load(const std::string& state_dir,
                                                     Options options) {
  auto key_pem = process::ReadWholeFile(state_dir + "/ca.key", kMaxRequestBytes);
  if (!key_pem) return Fail(key_pem.error(), "no authority (run: edgeloop-identity init)");
  auto ca_pem = process::ReadWholeFile(state_dir + "/ca.pem", kMaxRequestBytes);
  if (!ca_pem) return Fail(ca_pem.error());
  auto keys = std::make_unique<Keys>();
  const BioPtr key(BIO_new_mem_buf(key_pem->data(), int(key_pem->size())), &BIO_free);
  const BioPtr cert(BIO_new_mem_buf(ca_pem->data(), int(ca_pem->size())), &BIO_free);
  keys->key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, const_cast<char*>("")));
  keys->root.reset(PEM_read_bio_X509(cert.get(), nullptr, nullptr, nullptr));
  OPENSSL_cleanse(key_pem->data(), key_pem->size());
  if (!keys->key || !keys->root || X509_check_private_key(keys->root.get(), keys->key.get()) != 1) {
    ERR_clear_error();
    return Fail(ErrorCode::kCorrupt, state_dir + ": ca.key is not the key of ca.pem");
  }
  return std::unique_ptr<Authority>(
      new Authority(state_dir, std::move(options), std::move(keys), std::move(*ca_pem)));
}

Expected<std::string> Authority::Issue(const SigningRequest& request, How how) {
  std::string names;
  for (const std::string& host : request.hosts) {
    const bool local = host == "localhost" || host == "127.0.0.1" || host == "::1";
    if (!local && std::ranges::find(options_.allowed_hosts, host) == options_.allowed_hosts.end()) {
      return Fail(ErrorCode::kPermissionDenied,
                  "host '" + host + "' is not one of allowed_hosts of this authority");
    }
    names += (names.empty() ? "" : ",") + std::string(IsIp(host) ? "IP:" : "DNS:") + host;
  }
  const std::lock_guard lock(mutex_);
  if (how == How::kRenewed) {
    if (auto ok = CheckRenewal(request.common_name); !ok) return Fail(ok.error());
  }
  const CertPtr certificate(X509_new(), &X509_free);
  const IntegerPtr serial = RandomSerial();
  X509* root = keys_->root.get();
  X509_set_version(certificate.get(), X509_VERSION_3);
  X509_set_serialNumber(certificate.get(), serial.get());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kBackdate_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), options_.valid_days * kDay_s);
  if (ASN1_TIME_compare(X509_get0_notAfter(certificate.get()), X509_get0_notAfter(root)) > 0) {
    X509_set1_notAfter(certificate.get(), X509_get0_notAfter(root));
  }
  X509_set_pubkey(certificate.get(), request.key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const bool ok =
      AddEntry(name, "O", "edgeloop") && AddEntry(name, "OU", request.organizational_unit) &&
      AddEntry(name, "CN", request.common_name) &&
      X509_set_issuer_name(certificate.get(), X509_get_subject_name(root)) == 1 &&
      AddExtension(certificate.get(), root, NID_basic_constraints, "critical,CA:FALSE") &&
      AddExtension(certificate.get(), root, NID_key_usage, "critical,digitalSignature") &&
      AddExtension(certificate.get(), root, NID_ext_key_usage, "serverAuth,clientAuth") &&
      AddExtension(certificate.get(), root, NID_subject_key_identifier, "hash") &&
      AddExtension(certificate.get(), root, NID_authority_key_identifier, "keyid:always") &&
      (names.empty() || AddExtension(certificate.get(), root, NID_subject_alt_name, names)) &&
      X509_sign(certificate.get(), keys_->key.get(), EVP_sha256()) != 0;
  if (!ok) return Openssl("certificate");

  const int64_t now = NowS();
  const nlohmann::json entry = {{"serial", HexOf(serial.get())},
                                {"cn", request.common_name},
                                {"ou", request.organizational_unit},
                                {"at", now},
                                {"expires", now + options_.valid_days * kDay_s},
                                {"enrolled", how == How::kEnrolled}};
  if (auto logged = AppendLog(kIssued, entry.dump()); !logged) return Fail(logged.error());
  return PemOf(certificate.get());
}

Status Authority::CheckRenewal(std::string_view common_name) const {
  auto issued = ReadLog(kIssued);
  if (!issued) return Fail(issued.error());
  auto revoked = ReadLog(kRevoked);
  if (!revoked) return Fail(revoked.error());
  int64_t enrolled_s = -1;
  int64_t revoked_s = -1;
  for (const Entry& entry : *issued) {
    if (entry.common_name == common_name && entry.enrolled) enrolled_s = entry.at_s;
  }
  for (const Entry& entry : *revoked) {
    if (entry.common_name == common_name) revoked_s = entry.at_s;
  }
  if (enrolled_s > revoked_s) return {};
  return Fail(ErrorCode::kPermissionDenied,
              "'" + std::string(common_name) + "' was revoked or never enrolled here: enrol anew");
}

Expected<size_t> Authority::Revoke(std::string_view common_name) {
  const std::lock_guard lock(mutex_);
  auto issued = ReadLog(kIssued);
  if (!issued) return Fail(issued.error());
  auto revoked = ReadLog(kRevoked);
  if (!revoked) return Fail(revoked.error());
  std::string lines;
  size_t count = 0;
  const int64_t now = NowS();
  for (const Entry& entry : *issued) {
    if (entry.common_name != common_name || entry.expires_s < now ||
        std::ranges::find(*revoked, entry.serial, &Entry::serial) != revoked->end()) {
      continue;
    }
    const nlohmann::json line = {{"serial", entry.serial}, {"cn", common_name}, {"at", now}};
    lines += (count == 0 ? "" : "\n") + line.dump();
    ++count;
  }
  if (count == 0) return count;
  if (auto ok = AppendLog(kRevoked, lines); !ok) return Fail(ok.error());
  return count;
}

Expected<std::string> Authority::Crl() const {
  const std::lock_guard lock(mutex_);
  auto revoked = ReadLog(kRevoked);
  if (!revoked) return Fail(revoked.error());
  const CrlPtr crl(X509_CRL_new(), &X509_CRL_free);
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(keys_->root.get()));
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(),
                                                                   &ASN1_TIME_free);
  X509_gmtime_adj(time.get(), 0);
  X509_CRL_set1_lastUpdate(crl.get(), time.get());
  X509_gmtime_adj(time.get(), kDay_s);
  X509_CRL_set1_nextUpdate(crl.get(), time.get());
  for (const Entry& entry : *revoked) {
    BIGNUM* number = nullptr;
    if (BN_hex2bn(&number, entry.serial.c_str()) == 0) continue;
    const BignumPtr owner(number, &BN_free);
    const IntegerPtr serial(BN_to_ASN1_INTEGER(number, nullptr), &ASN1_INTEGER_free);
    X509_REVOKED* item = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(item, serial.get());
    ASN1_TIME_set(time.get(), entry.at_s);
    X509_REVOKED_set_revocationDate(item, time.get());
    X509_CRL_add0_revoked(crl.get(), item);
  }
  X509_CRL_sort(crl.get());
  if (X509_CRL_sign(crl.get(), keys_->key.get(), EVP_sha256()) == 0) return Openssl("CRL");
  const BioPtr memory(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509_CRL(memory.get(), crl.get());
  return TextOf(memory.get());
}

std::string Authority::Fingerprint() const {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  X509_digest(keys_->root.get(), EVP_sha256(), digest, &size);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

Expected<std::vector<Authority::Entry>> Authority::ReadLog(std::string_view name) const {
  const std::string path = state_dir_ + "/" + std::string(name);
  std::vector<Entry> entries;
  if (::access(path.c_str(), F_OK) != 0) return entries;
  auto text = process::ReadWholeFile(path, kMaxLogBytes);
  if (!text) return Fail(text.error());
  for (size_t at = 0; at < text->size();) {
    const size_t end = text->find('\n', at);
    // A last line without its end was cut by a crash before its certificate left.
    if (end == std::string::npos) break;
    const auto line =
        nlohmann::json::parse(text->begin() + long(at), text->begin() + long(end), nullptr, false);
    at = end + 1;
    if (line.is_discarded()) continue;  // two writers' crash; its certificate never left either
    entries.push_back({line.value("serial", ""), line.value("cn", ""), line.value("at", int64_t{0}),
                       line.value("expires", int64_t{0}), line.value("enrolled", false)});
  }
  return entries;
}

Status Authority::AppendLog(std::string_view name, const std::string& line) const {
  const std::string path = state_dir_ + "/" + std::string(name);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return Fail(ErrorCode::kUnavailable, path + ": " + std::strerror(errno));
  // The leading line end closes a line that a crash cut short.
  struct stat info {};
  char last = '\n';
  const bool cut = ::fstat(fd, &info) == 0 && info.st_size > 0;
  if (cut) {
    const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (reader < 0 || ::pread(reader, &last, 1, info.st_size - 1) != 1) last = '\0';
    if (reader >= 0) ::close(reader);
  }
  const std::string bytes = (last == '\n' ? "" : "\n") + line + "\n";
  const bool ok =
      ::write(fd, bytes.data(), bytes.size()) == ssize_t(bytes.size()) && ::fsync(fd) == 0;
  const int reason = errno;
  ::close(fd);
  if (ok) return {};
  return Fail(reason == ENOSPC ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
              path + ": " + std::strerror(reason));
}

}  // namespace edgeloop::identity
