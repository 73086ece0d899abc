// TLS 1.3 with client certificates, for the listener.
#pragma once

#include <memory>
#include <string>

#include "contracts/error/error.h"

struct ssl_ctx_st;
struct ssl_st;

namespace edgeloop::stream {

struct TlsFiles {
  std::string ca;    // PEM: who may have signed clients' certificates
  std::string cert;  // PEM: our certificate, chain after it
  std::string key;   // PEM: its private key
};

struct SslCtxDeleter {
  void operator()(ssl_ctx_st* context) const;
};
struct SslDeleter {
  void operator()(ssl_st* ssl) const;
};
using SslCtxPtr = std::unique_ptr<ssl_ctx_st, SslCtxDeleter>;
using SslPtr = std::unique_ptr<ssl_st, SslDeleter>;

Expected<SslCtxPtr> CreateServerContext(const TlsFiles& files);

struct PeerIdentity {
  std::string common_name;
  std::string organizational_unit;
};
// Of the client whose handshake is done; empty when it has no certificate.
PeerIdentity PeerOf(ssl_st* ssl);

// What OpenSSL last complained about on this thread; clears it.
std::string TakeTlsError();

}  // namespace edgeloop::stream
