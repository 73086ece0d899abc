#include "platform/services/stream/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>

namespace edgeloop::stream {
namespace {

std::string NameEntry(X509_NAME* name, int nid) {
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string result(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  return result;
}

}  // namespace

void SslCtxDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void SslDeleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }

std::string TakeTlsError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "connection closed";
  std::array<char, 256> text;
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

Expected<SslCtxPtr> CreateServerContext(const TlsFiles& files) {
  SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context) return Fail(ErrorCode::kInternal, "TLS: " + TakeTlsError());
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  // Nothing is kept of idle connections, and a write may be repeated from another buffer.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  if (SSL_CTX_load_verify_locations(raw, files.ca.c_str(), nullptr) != 1) {
    return Fail(ErrorCode::kInvalidArgument, "tls.ca " + files.ca + ": " + TakeTlsError());
  }
  SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files.ca.c_str()));
  if (SSL_CTX_use_certificate_chain_file(raw, files.cert.c_str()) != 1) {
    return Fail(ErrorCode::kInvalidArgument, "tls.cert " + files.cert + ": " + TakeTlsError());
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return Fail(ErrorCode::kInvalidArgument, "tls.key " + files.key + ": " + TakeTlsError());
  }
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

PeerIdentity PeerOf(ssl_st* ssl) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl),
                                                                &X509_free);
  if (!certificate) return {};
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  return {NameEntry(subject, NID_commonName), NameEntry(subject, NID_organizationalUnitName)};
}

}  // namespace edgeloop::stream
