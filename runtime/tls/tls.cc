#include "runtime/tls/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace edgeloop::tls {
namespace {

std::unexpected<Error> FailWith(const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, what + ": " + LastOpensslError());
}

Status UseFiles(SSL_CTX* context, const Files& files) {
  ERR_clear_error();
  if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) return FailWith("TLS 1.3");
  // No session resumption: a certificate is checked anew at each connection.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // 34 KiB less an idle connection
  if (SSL_CTX_load_verify_file(context, files.ca.c_str()) != 1) {
    return FailWith("CA certificates in '" + files.ca + "'");
  }
  if (files.cert.empty() && files.key.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1) {
    return FailWith("certificate in '" + files.cert + "'");
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return FailWith("private key in '" + files.key + "'");
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return FailWith("'" + files.key + "' is not the key of '" + files.cert + "'");
  }
  return {};
}

// The one value of a name attribute; absent gives empty. A name given twice or with a zero byte
// inside is an attempt to be read differently by different programs.
Expected<std::string> OneEntry(const X509_NAME* name, int nid, const char* what) {
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return std::string();
  if (X509_NAME_get_index_by_NID(name, nid, at) >= 0) {
    return Fail(ErrorCode::kUnauthenticated, std::string("certificate has more than one ") + what);
  }
  const ASN1_STRING* data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, data);
  if (length < 0) {
    ERR_clear_error();
    return Fail(ErrorCode::kUnauthenticated, std::string("certificate has a malformed ") + what);
  }
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  if (text.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kUnauthenticated, std::string("certificate has a malformed ") + what);
  }
  return text;
}

Expected<SslCtxPtr> Create(const SSL_METHOD* method) {
  SslCtxPtr context(SSL_CTX_new(method));
  if (!context) return Fail(ErrorCode::kInternal, "TLS context: " + LastOpensslError());
  return context;
}

}  // namespace

void SslCtxDeleter::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

std::string LastOpensslError() {
  // The first of the queue is the cause, what follows is where it passed through.
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) {
    char text[160];
    ERR_error_string_n(code, text, sizeof text);
    return text;
  }
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

Status ConfigureServer(SSL_CTX* context, const Files& files, bool require_client_certificate) {
  if (files.cert.empty() || files.key.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "a TLS server needs tls.cert and tls.key");
  }
  if (auto status = UseFiles(context, files); !status) return status;
  SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | (require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
      nullptr);
  return {};
}

Status ConfigureClient(SSL_CTX* context, const Files& files) {
  if (auto status = UseFiles(context, files); !status) return status;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return {};
}

Expected<SslCtxPtr> CreateServerContext(const Files& files) {
  auto context = Create(TLS_server_method());
  if (!context) return context;
  if (auto status = ConfigureServer(context->get(), files, true); !status) {
    return Fail(status.error());
  }
  return context;
}

Expected<SslCtxPtr> CreateClientContext(const Files& files) {
  auto context = Create(TLS_client_method());
  if (!context) return context;
  if (auto status = ConfigureClient(context->get(), files); !status) return Fail(status.error());
  return context;
}

Expected<Peer> PeerOf(X509* certificate) {
  if (certificate == nullptr) {
    return Fail(ErrorCode::kUnauthenticated, "the peer showed no certificate");
  }
  const X509_NAME* name = X509_get_subject_name(certificate);
  auto common_name = OneEntry(name, NID_commonName, "common name");
  if (!common_name) return Fail(common_name.error());
  if (common_name->empty()) {
    return Fail(ErrorCode::kUnauthenticated, "the peer's certificate has no common name");
  }
  auto unit = OneEntry(name, NID_organizationalUnitName, "organizational unit");
  if (!unit) return Fail(unit.error());
  return Peer{std::move(*common_name), std::move(*unit)};
}

Expected<long long> SecondsToExpiry(const std::string& cert_path) {
  ERR_clear_error();
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(cert_path.c_str(), "r"),
                                                       &BIO_free);
  if (!file) return FailWith("certificate in '" + cert_path + "'");
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr), &X509_free);
  if (!certificate) return FailWith("certificate in '" + cert_path + "'");
  int days = 0;
  int seconds = 0;
  // A null `from` is the present time.
  if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate.get())) != 1) {
    return FailWith("expiry of '" + cert_path + "'");
  }
  return days * 86'400LL + seconds;
}

}  // namespace edgeloop::tls
