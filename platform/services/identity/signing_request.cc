#include "platform/services/identity/signing_request.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "contracts/ids/ids.h"

namespace edgeloop::identity {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using RequestPtr = std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)>;

std::unexpected<Error> Refuse(std::string why) {
  ERR_clear_error();
  return Fail(ErrorCode::kInvalidArgument, "certificate request: " + std::move(why));
}

// The text of a subject entry that is there exactly once.
Expected<std::string> OnlyEntry(const X509_NAME* subject, int nid) {
  const int at = X509_NAME_get_index_by_NID(subject, nid, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, nid, at) >= 0) {
    return Refuse(std::string("subject must have one ") + OBJ_nid2sn(nid));
  }
  unsigned char* utf8 = nullptr;
  const int length =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (length < 0) return Refuse("subject is not text");
  std::string text(reinterpret_cast<char*>(utf8), size_t(length));
  OPENSSL_free(utf8);
  return text;
}

Expected<std::string> HostOf(const GENERAL_NAME* name) {
  int type = 0;
  const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
  if (type == GEN_DNS) {
    std::string host(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     size_t(ASN1_STRING_length(value)));
    const bool ok = !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    });
    if (!ok) return Refuse("a host name is not a-z, 0-9, '-' and '.'");
    return host;
  }
  if (type == GEN_IPADD) {
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const int length = ASN1_STRING_length(value);
    if (length == 4) {
      return std::to_string(bytes[0]) + "." + std::to_string(bytes[1]) + "." +
             std::to_string(bytes[2]) + "." + std::to_string(bytes[3]);
    }
    const std::array<unsigned char, 16> loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (length == 16 && std::equal(loopback.begin(), loopback.end(), bytes)) return "::1";
    return Refuse("of IPv6 addresses only ::1 is possible");
  }
  return Refuse("subjectAltName may hold DNS names and IP addresses only");
}

Expected<std::vector<std::string>> HostsOf(X509_REQ* request) {
  std::vector<std::string> hosts;
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request);
  if (extensions == nullptr) {
    ERR_clear_error();
    return hosts;
  }
  const std::unique_ptr<STACK_OF(X509_EXTENSION), void (*)(STACK_OF(X509_EXTENSION)*)> owner(
      extensions, [](STACK_OF(X509_EXTENSION) * list) {
        sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
      });
  const int count = sk_X509_EXTENSION_num(extensions);
  for (int i = 0; i < count; ++i) {
    X509_EXTENSION* extension = sk_X509_EXTENSION_value(extensions, i);
    if (i > 0 || OBJ_obj2nid(X509_EXTENSION_get_object(extension)) != NID_subject_alt_name) {
      return Refuse("asks for an extension other than one subjectAltName");
    }
    const NamesPtr names(static_cast<GENERAL_NAMES*>(X509V3_EXT_d2i(extension)),
                         &GENERAL_NAMES_free);
    if (!names) return Refuse("subjectAltName does not parse");
    const int size = sk_GENERAL_NAME_num(names.get());
    if (size > int(kMaxHosts)) return Refuse("more than " + std::to_string(kMaxHosts) + " hosts");
    for (int j = 0; j < size; ++j) {
      auto host = HostOf(sk_GENERAL_NAME_value(names.get(), j));
      if (!host) return Fail(host.error());
      hosts.push_back(std::move(*host));
    }
  }
  return hosts;
}

}  // namespace

void PublicKeyDeleter::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

bool IsValidUnit(std::string_view unit) {
  return unit == "service" || unit == "device" || unit == "operator";
}

Expected<SigningRequest> SigningRequest::Parse(std::string_view pem) {
  if (pem.size() > kMaxRequestBytes) {
    return Refuse("longer than " + std::to_string(kMaxRequestBytes) + " bytes");
  }
  const BioPtr memory(BIO_new_mem_buf(pem.data(), int(pem.size())), &BIO_free);
  // A passphrase of "" instead of the default, which asks at the terminal.
  const RequestPtr request(
      PEM_read_bio_X509_REQ(memory.get(), nullptr, nullptr, const_cast<char*>("")), &X509_REQ_free);
  if (!request) return Refuse("is not PEM of PKCS #10");

  SigningRequest result;
  result.key.reset(X509_REQ_get_pubkey(request.get()));
  char curve[32] = "";
  if (!result.key || EVP_PKEY_get_id(result.key.get()) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(result.key.get(), curve, sizeof curve, nullptr) != 1 ||
      std::string_view(curve) != "prime256v1") {
    return Refuse("the key is not P-256 with its named curve");
  }
  if (X509_REQ_verify(request.get(), result.key.get()) != 1) {
    return Refuse("is not signed by its own key");
  }

  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  auto organization = OnlyEntry(subject, NID_organizationName);
  if (!organization) return Fail(organization.error());
  auto unit = OnlyEntry(subject, NID_organizationalUnitName);
  if (!unit) return Fail(unit.error());
  auto common_name = OnlyEntry(subject, NID_commonName);
  if (!common_name) return Fail(common_name.error());
  if (X509_NAME_entry_count(subject) != 3 || *organization != "edgeloop" || !IsValidUnit(*unit) ||
      !IsValidId(*common_name)) {
    return Refuse(
        "subject is not O=edgeloop, OU=service|device|operator, CN=<1 to 48 of a-z, 0-9, '-'>");
  }
  auto hosts = HostsOf(request.get());
  if (!hosts) return Fail(hosts.error());
  result.common_name = std::move(*common_name);
  result.organizational_unit = std::move(*unit);
  result.hosts = std::move(*hosts);
  return result;
}

}  // namespace edgeloop::identity
