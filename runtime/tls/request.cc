// New keys and PKCS #10 signing requests (RFC 2986).
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/tls/tls.h"

namespace edgeloop::tls {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using RequestPtr = std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)>;

std::unexpected<Error> Internal(const char* what) {
  return Fail(ErrorCode::kInternal, std::string(what) + ": " + LastOpensslError());
}

std::string PemOf(BIO* memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory, &data);
  return {data, static_cast<size_t>(length)};
}

Status WriteNewSecret(const std::string& path, const std::string& content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    const auto code = errno == EEXIST ? ErrorCode::kAlreadyExists : ErrorCode::kUnavailable;
    return Fail(code, "private key '" + path + "': " + std::strerror(errno));
  }
  size_t done = 0;
  bool ok = true;
  while (ok && done < content.size()) {
    const ssize_t written = ::write(fd, content.data() + done, content.size() - done);
    ok = written > 0 || (written < 0 && errno == EINTR);
    if (written > 0) done += static_cast<size_t>(written);
  }
  ok = ok && ::fsync(fd) == 0;
  const int reason = errno;
  ::close(fd);
  if (ok) return {};
  ::unlink(path.c_str());
  return Fail(ErrorCode::kUnavailable, "private key '" + path + "': " + std::strerror(reason));
}

bool AddEntry(X509_NAME* name, const char* field, std::string_view value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool AddHost(GENERAL_NAMES* names, const std::string& host) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  if (name == nullptr) return false;
  if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str()); address != nullptr) {
    GENERAL_NAME_set0_value(name, GEN_IPADD, address);
  } else {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    if (text == nullptr || ASN1_STRING_set(text, host.data(), static_cast<int>(host.size())) != 1) {
      ASN1_IA5STRING_free(text);
      GENERAL_NAME_free(name);
      return false;
    }
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
  }
  if (sk_GENERAL_NAME_push(names, name) > 0) return true;
  GENERAL_NAME_free(name);
  return false;
}

bool AddHosts(X509_REQ* request, const std::vector<std::string>& hosts) {
  if (hosts.empty()) return true;
  const NamesPtr names(sk_GENERAL_NAME_new_null(), &GENERAL_NAMES_free);
  if (!names) return false;
  for (const std::string& host : hosts) {
    if (!AddHost(names.get(), host)) return false;
  }
  const ExtensionPtr extension(X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()),
                               &X509_EXTENSION_free);
  STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
  const bool added = extension && list != nullptr &&
                     sk_X509_EXTENSION_push(list, extension.get()) > 0 &&
                     X509_REQ_add_extensions(request, list) == 1;
  sk_X509_EXTENSION_free(list);
  return added;
}

}  // namespace

Expected<std::string> CreateKeyAndRequest(const std::string& key_path, std::string_view common_name,
                                          std::string_view organizational_unit,
                                          const std::vector<std::string>& hosts) {
  const KeyPtr key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  if (!key) return Internal("new P-256 key");

  const RequestPtr request(X509_REQ_new(), &X509_REQ_free);
  X509_NAME* name = request ? X509_REQ_get_subject_name(request.get()) : nullptr;
  if (name == nullptr || !AddEntry(name, "O", "edgeloop") ||
      !AddEntry(name, "OU", organizational_unit) || !AddEntry(name, "CN", common_name) ||
      X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !AddHosts(request.get(), hosts) || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    return Internal("certificate request");
  }
  const BioPtr request_pem(BIO_new(BIO_s_mem()), &BIO_free);
  // Secure memory is wiped when freed.
  const BioPtr key_pem(BIO_new(BIO_s_secmem()), &BIO_free);
  if (!request_pem || !key_pem || PEM_write_bio_X509_REQ(request_pem.get(), request.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Internal("certificate request");
  }
  std::string secret = PemOf(key_pem.get());
  const Status written = WriteNewSecret(key_path, secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  if (!written) return Fail(written.error());
  return PemOf(request_pem.get());
}

}  // namespace edgeloop::tls
