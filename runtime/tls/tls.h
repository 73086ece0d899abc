// X.509 identities and mutual TLS 1.3 (RFC 8446) with OpenSSL.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct x509_st X509;

namespace edgeloop::tls {

// PEM files of one identity. The key stays in its file and in this process.
struct Files {
  std::string ca;
  std::string cert;
  std::string key;
};

// Who the other side is, from its verified certificate.
struct Peer {
  std::string common_name;
  std::string organizational_unit;  // "service", "device", "operator"
};

struct SslCtxDeleter {
  void operator()(SSL_CTX* context) const;
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, SslCtxDeleter>;

// A context that shows our certificate, demands the peer's, and speaks TLS 1.3 only.
Expected<SslCtxPtr> CreateServerContext(const Files& files);
Expected<SslCtxPtr> CreateClientContext(const Files& files);
// The same for contexts that a library made. With require_client_certificate = false a client may
// show none, but one that it shows must verify. A client without certificate leaves cert and key
// empty.
Status ConfigureServer(SSL_CTX* context, const Files& files, bool require_client_certificate);
Status ConfigureClient(SSL_CTX* context, const Files& files);

// The reason of the last failed OpenSSL call of this thread, which is then forgotten.
std::string LastOpensslError();

Expected<Peer> PeerOf(X509* certificate);

// A new P-256 key written to `key_path` (0600, created so, never overwritten) and a signing request
// for it, PEM. `hosts` become subjectAltName entries (names or IP addresses).
Expected<std::string> CreateKeyAndRequest(const std::string& key_path, std::string_view common_name,
                                          std::string_view organizational_unit,
                                          const std::vector<std::string>& hosts);

// Seconds until the certificate in a PEM file expires; negative when it has.
Expected<long long> SecondsToExpiry(const std::string& cert_path);

}  // namespace edgeloop::tls
