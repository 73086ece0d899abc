#include "runtime/tls/tls.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime/tls/test_ca.h"

namespace edgeloop::tls {
namespace {

// A handshake in memory. Returns the peer that the server saw.
Expected<Peer> Handshake(SSL_CTX* server_context, SSL_CTX* client_context) {
  const std::unique_ptr<SSL, decltype(&SSL_free)> server(SSL_new(server_context), &SSL_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> client(SSL_new(client_context), &SSL_free);
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  BIO_new_bio_pair(&server_end, 0, &client_end, 0);
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set1_host(client.get(), "127.0.0.1");
  SSL_set_accept_state(server.get());
  SSL_set_connect_state(client.get());
  for (int round = 0; round < 10; ++round) {
    for (SSL* side : {client.get(), server.get()}) {
      const int result = SSL_do_handshake(side);
      if (result != 1 && SSL_get_error(side, result) != SSL_ERROR_WANT_READ) {
        return Fail(ErrorCode::kUnauthenticated, LastOpensslError());
      }
    }
    if (SSL_is_init_finished(client.get()) && SSL_is_init_finished(server.get())) {
      return PeerOf(SSL_get0_peer_certificate(server.get()));
    }
  }
  return Fail(ErrorCode::kTimeout, "handshake does not end");
}

TEST(Tls, MutualHandshakeShowsThePeer) {
  TestCa ca;
  auto server = CreateServerContext(ca.Issue("stream"));
  ASSERT_TRUE(server) << server.error().message();
  auto client = CreateClientContext(ca.Issue("gw-01", "device"));
  ASSERT_TRUE(client) << client.error().message();
  const auto peer = Handshake(server->get(), client->get());
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_EQ(peer->common_name, "gw-01");
  EXPECT_EQ(peer->organizational_unit, "device");
}

TEST(Tls, RefusesStrangers) {
  TestCa ca;
  TestCa other;
  auto server = CreateServerContext(ca.Issue("stream"));
  ASSERT_TRUE(server);

  auto anonymous = CreateClientContext({ca.ca_path(), "", ""});
  ASSERT_TRUE(anonymous);
  EXPECT_FALSE(Handshake(server->get(), anonymous->get()));

  Files forged = other.Issue("gw-01", "device");
  forged.ca = ca.ca_path();
  auto stranger = CreateClientContext(forged);
  ASSERT_TRUE(stranger);
  EXPECT_FALSE(Handshake(server->get(), stranger->get()));

  auto expired = CreateClientContext(ca.Issue("old", "device", -60));
  ASSERT_TRUE(expired);
  EXPECT_FALSE(Handshake(server->get(), expired->get()));

  auto distrustful = CreateClientContext(other.Issue("gw-02", "device"));
  ASSERT_TRUE(distrustful);
  EXPECT_FALSE(Handshake(server->get(), distrustful->get()));

  auto old_version = CreateClientContext(ca.Issue("gw-01", "device"));
  ASSERT_TRUE(old_version);
  SSL_CTX_set_min_proto_version(old_version->get(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(old_version->get(), TLS1_2_VERSION);
  EXPECT_FALSE(Handshake(server->get(), old_version->get()));
}

TEST(Tls, SaysWhichFileIsWrong) {
  TestCa ca;
  Files files = ca.Issue("stream");
  files.key = ca.Issue("bridge").key;
  auto context = CreateServerContext(files);
  ASSERT_FALSE(context);
  EXPECT_NE(context.error().message().find("service-bridge.key"), std::string::npos)
      << context.error().message();
  files.key = ca.directory() + "/absent.key";
  EXPECT_FALSE(CreateServerContext(files));
  EXPECT_FALSE(CreateServerContext({ca.ca_path(), "", ""}));
  EXPECT_FALSE(CreateClientContext({ca.directory() + "/absent.pem", "", ""}));
}

TEST(Tls, KeyAndRequest) {
  TestCa ca;
  const std::string path = ca.directory() + "/new.key";
  const auto pem = CreateKeyAndRequest(path, "gw-01", "device", {"gw-01.local", "10.0.0.7"});
  ASSERT_TRUE(pem) << pem.error().message();
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  BIO* memory = BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size()));
  X509_REQ* request = PEM_read_bio_X509_REQ(memory, nullptr, nullptr, nullptr);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request);
  auto* names = static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr));
  ASSERT_NE(names, nullptr);
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 2);
  EXPECT_EQ(sk_GENERAL_NAME_value(names, 0)->type, GEN_DNS);
  EXPECT_EQ(sk_GENERAL_NAME_value(names, 1)->type, GEN_IPADD);
  GENERAL_NAMES_free(names);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_free(request);
  BIO_free(memory);

  const auto again = CreateKeyAndRequest(path, "gw-01", "device", {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
}

TEST(Tls, SecondsToExpiry) {
  TestCa ca;
  const auto left = SecondsToExpiry(ca.Issue("a", "device", 3600).cert);
  ASSERT_TRUE(left);
  EXPECT_GT(*left, 3500);
  EXPECT_LE(*left, 3600);
  const auto over = SecondsToExpiry(ca.Issue("b", "device", -100).cert);
  ASSERT_TRUE(over);
  EXPECT_LT(*over, 0);
  EXPECT_FALSE(SecondsToExpiry(ca.directory() + "/absent.pem"));
}

TEST(TestCa, LeavesNothingBehind) {
  std::string directory;
  {
    TestCa ca;
    ca.Issue("a");
    directory = ca.directory();
  }
  EXPECT_FALSE(std::filesystem::exists(directory));
}

}  // namespace
}  // namespace edgeloop::tls
