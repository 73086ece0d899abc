#include "platform/services/identity/enrol.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "runtime/http/client.h"
#include "runtime/process/daemon.h"

namespace edgeloop::identity {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using ContextPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

std::string HexOf(const unsigned char* bytes, size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (size_t i = 0; i < size; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

// The root certificate out of the chain that the server shows. Nothing is trusted but that its
// fingerprint is the expected one; the caller then connects again and verifies with it.
Expected<std::string> FetchRoot(const EnrolOptions& options) {
  ERR_clear_error();
  const ContextPtr context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const BioPtr connection(BIO_new_ssl_connect(context.get()), &BIO_free_all);
  const std::string address = options.host + ":" + std::to_string(options.port);
  BIO_set_conn_hostname(connection.get(), address.c_str());
  if (BIO_do_connect_retry(connection.get(), 10, -1) <= 0) {
    ERR_clear_error();
    return Fail(ErrorCode::kUnavailable, "no TLS connection to " + address);
  }
  SSL* ssl = nullptr;
  BIO_get_ssl(connection.get(), &ssl);
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    X509_digest(certificate, EVP_sha256(), digest, &size);
    if (HexOf(digest, size) != options.ca_fingerprint) continue;
    const BioPtr memory(BIO_new(BIO_s_mem()), &BIO_free_all);
    PEM_write_bio_X509(memory.get(), certificate);
    char* data = nullptr;
    const long length = BIO_get_mem_data(memory.get(), &data);
    return std::string(data, size_t(length));
  }
  return Fail(ErrorCode::kUnauthenticated,
              address + " shows no certificate with the expected fingerprint " +
                  options.ca_fingerprint + ": it is another authority");
}

}  // namespace

Expected<tls::Files> Enrol(const EnrolOptions& options) {
  const tls::Files files{options.out_dir + "/ca.pem", options.out_dir + "/cert.pem",
                         options.out_dir + "/key.pem"};
  if (::access(files.cert.c_str(), F_OK) == 0) {
    return Fail(ErrorCode::kAlreadyExists, files.cert + " is there: this name is enrolled already");
  }
  tls::Files trust;
  if (!options.ca_path.empty()) {
    trust.ca = options.ca_path;
  } else {
    auto root = FetchRoot(options);
    if (!root) return Fail(root.error(), "enrol");
    if (auto ok = process::WriteFileAtomically(files.ca, *root); !ok) return Fail(ok.error());
    trust.ca = files.ca;
  }
  ::unlink(files.key.c_str());  // of an enrolment that did not end: no certificate is for it
  auto csr = tls::CreateKeyAndRequest(files.key, options.name, options.ou, options.hosts);
  if (!csr) return Fail(csr.error(), "enrol");

  auto client = http::Client::Create({.host = options.host, .port = options.port, .tls = trust});
  if (!client) return Fail(client.error(), "enrol");
  auto answer = (*client)->Call("POST", "/v1/enrol",
                                nlohmann::json{{"csr_pem", *csr}, {"token", options.token}}.dump());
  if (!answer) return Fail(answer.error(), "enrol '" + options.name + "'");
  const auto json = nlohmann::json::parse(*answer, nullptr, false);
  if (!json.is_object() || !json.contains("cert_pem") || !json["cert_pem"].is_string() ||
      !json.contains("ca_pem") || !json["ca_pem"].is_string()) {
    return Fail(ErrorCode::kCorrupt, "enrol: the answer has no cert_pem and ca_pem");
  }
  if (auto ok = process::WriteFileAtomically(files.ca, json["ca_pem"].get<std::string>()); !ok) {
    return Fail(ok.error());
  }
  if (auto ok = process::WriteFileAtomically(files.cert, json["cert_pem"].get<std::string>());
      !ok) {
    return Fail(ok.error());
  }
  return files;
}

}  // namespace edgeloop::identity
