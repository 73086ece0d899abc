#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <atomic>
#include <thread>

#include "runtime/http/client.h"
#include "runtime/http/server.h"
#include "runtime/metrics/metrics.h"
#include "runtime/tls/test_ca.h"

namespace edgeloop::http {
namespace {

using testing::HasSubstr;

class HttpTest : public testing::Test {
 protected:
  std::unique_ptr<Server> NewServer(bool require_client_certificate = true) {
    auto server = Server::Create({.tls = ca_.Issue("registry"),
                                  .require_client_certificate = require_client_certificate,
                                  .max_body_bytes = 1000});
    EXPECT_TRUE(server) << server.error().message();
    (*server)->Handle("GET", "/v1/who", [](const Request& request) {
      return Response{200, request.peer.common_name + "/" + request.peer.organizational_unit};
    });
    (*server)->Handle("GET", "/v1/models/([a-z0-9-]+)", [](const Request& request) {
      return Response{200, request.path_parts.at(0) + "?" + request.Query("q"), "text/plain"};
    });
    const auto echo = [this](const Request& request) {
      ++calls_;
      return Response{201, request.method + " " + request.body};
    };
    (*server)->Handle("POST", "/v1/echo", echo);
    (*server)->Handle("PUT", "/v1/echo", echo);
    (*server)->Handle("DELETE", "/v1/echo", echo);
    (*server)->Handle("GET", "/v1/missing", [](const Request&) {
      return ErrorResponse(Error(ErrorCode::kCorrupt, "broken \xff bytes"));
    });
    (*server)->Handle("GET", "/v1/throws",
                      [](const Request&) -> Response { throw std::runtime_error("oops"); });
    (*server)->Handle("GET", "/v1/large", [](const Request&) {
      return Response{200, std::string(5000, 'x')};
    });
    const Status started = (*server)->Start();
    EXPECT_TRUE(started) << started.error().message();
    return std::move(*server);
  }
  std::unique_ptr<Client> NewClient(const Server& server, tls::Files files) {
    auto client =
        Client::Create({.port = server.port(), .tls = std::move(files), .max_body_bytes = 4000});
    EXPECT_TRUE(client) << client.error().message();
    return std::move(*client);
  }

  static std::string ChunkedBody(int chunk_bytes, int chunks) {
    char size[16];
    std::snprintf(size, sizeof size, "%x\r\n", static_cast<unsigned>(chunk_bytes));
    std::string body;
    for (int i = 0; i < chunks; ++i) {
      body += size + std::string(static_cast<size_t>(chunk_bytes), 'x') + "\r\n";
    }
    return body + "0\r\n\r\n";
  }
  // The status of a POST to /v1/echo that our client would not send.
  int RawStatus(const Server& server, const std::string& header, const std::string& body) {
    auto context = tls::CreateClientContext(ca_.Issue("mlops"));
    EXPECT_TRUE(context);
    BIO* connection = BIO_new_ssl_connect(context->get());
    BIO_set_conn_hostname(connection, ("127.0.0.1:" + std::to_string(server.port())).c_str());
    const std::string request =
        "POST /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + "\r\n\r\n" + body;
    BIO_write(connection, request.data(), static_cast<int>(request.size()));
    char answer[12] = {};  // "HTTP/1.1 413"
    const int length = BIO_read(connection, answer, sizeof answer);
    BIO_free_all(connection);
    return length == sizeof answer ? std::stoi(std::string(answer + 9, 3)) : -1;
  }

  tls::TestCa ca_;
  std::atomic<int> calls_ = 0;
};

TEST_F(HttpTest, ServesThePeerItKnows) {
  auto server = NewServer();
  auto client = NewClient(*server, ca_.Issue("gw-01", "device"));
  const auto who = client->Call("GET", "/v1/who");
  ASSERT_TRUE(who) << who.error().message();
  EXPECT_EQ(*who, "gw-01/device");
  EXPECT_EQ(client->Call("GET", "/v1/models/motor?q=a%20b").value(), "motor?a b");
  EXPECT_EQ(client->Call("POST", "/v1/echo", "hello").value(), "POST hello");
  EXPECT_EQ(client->Call("PUT", "/v1/echo", "hello").value(), "PUT hello");
  EXPECT_EQ(client->Call("DELETE", "/v1/echo").value(), "DELETE ");
  EXPECT_EQ(client->Call("POST", "/v1/echo", "").value(), "POST ");
  const auto response = client->Send("GET", "/v1/models/motor");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->content_type, "text/plain");
}

TEST_F(HttpTest, RefusesStrangers) {
  auto server = NewServer();
  tls::TestCa other;
  EXPECT_FALSE(NewClient(*server, {ca_.ca_path(), "", ""})->Send("GET", "/v1/who"));
  tls::Files forged = other.Issue("gw-01", "device");
  forged.ca = ca_.ca_path();
  EXPECT_FALSE(NewClient(*server, forged)->Send("GET", "/v1/who"));
  EXPECT_FALSE(NewClient(*server, ca_.Issue("old", "device", -10))->Send("GET", "/v1/who"));
  // And the client a server that another CA vouches for.
  const auto distrusted =
      NewClient(*server, other.Issue("gw-01", "device"))->Send("GET", "/v1/who");
  ASSERT_FALSE(distrusted);
  EXPECT_EQ(distrusted.error().code(), ErrorCode::kUnauthenticated) << distrusted.error().message();
}

TEST_F(HttpTest, CertificateIsOptionalWhereNotRequired) {
  auto server = NewServer(false);
  EXPECT_EQ(NewClient(*server, {ca_.ca_path(), "", ""})->Call("GET", "/v1/who").value(), "/");
  EXPECT_EQ(NewClient(*server, ca_.Issue("gw-01", "device"))->Call("GET", "/v1/who").value(),
            "gw-01/device");
  tls::TestCa other;
  tls::Files forged = other.Issue("gw-01", "device");
  forged.ca = ca_.ca_path();
  EXPECT_FALSE(NewClient(*server, forged)->Send("GET", "/v1/who"));
}

TEST_F(HttpTest, ErrorsTravel) {
  auto server = NewServer();
  auto client = NewClient(*server, ca_.Issue("mlops"));
  auto answer = client->Call("GET", "/v1/nowhere");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(answer.error().message(), HasSubstr("nothing at /v1/nowhere"));

  answer = client->Call("GET", "/v1/missing");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(answer.error().message(), HasSubstr("broken \xef\xbf\xbd bytes"));

  answer = client->Call("GET", "/v1/throws");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), ErrorCode::kInternal);

  const auto raw = client->Send("POST", "/v1/nowhere", "x");
  ASSERT_TRUE(raw) << raw.error().message();
  EXPECT_EQ(raw->status, 404);
  EXPECT_THAT(raw->body, HasSubstr("{\"error\":{\"code\":\"not_found\""));
}

TEST_F(HttpTest, BodiesAreBounded) {
  auto server = NewServer();
  auto client = NewClient(*server, ca_.Issue("mlops"));
  ASSERT_TRUE(client->Call("POST", "/v1/echo", std::string(1000, 'x')));
  const auto large = client->Send("POST", "/v1/echo", std::string(1001, 'x'));
  ASSERT_TRUE(large) << large.error().message();
  EXPECT_EQ(large->status, 413);
  EXPECT_EQ(calls_, 1);
  // Nor does a body without a length get through.
  EXPECT_EQ(RawStatus(*server, "Transfer-Encoding: chunked", ChunkedBody(300, 10)), 413);
  EXPECT_EQ(RawStatus(*server, "Transfer-Encoding: chunked", ChunkedBody(300, 3)), 201);
  EXPECT_EQ(calls_, 2);

  const auto response = client->Send("GET", "/v1/large");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(client->Call("GET", "/v1/who"));  // and goes on
}

TEST_F(HttpTest, ClientFindsAServerThatCameBack) {
  auto server = NewServer();
  auto client = NewClient(*server, ca_.Issue("mlops"));
  ASSERT_TRUE(client->Call("GET", "/v1/who"));
  const int port = server->port();
  server.reset();
  const auto away = client->Call("GET", "/v1/who");
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(away.error().message(), HasSubstr("GET https://127.0.0.1:" + std::to_string(port)));

  auto again = Server::Create({.port = port, .tls = ca_.Issue("registry")});
  ASSERT_TRUE(again);
  (*again)->Handle("GET", "/v1/who", [](const Request&) { return Response{}; });
  ASSERT_TRUE((*again)->Start());
  EXPECT_TRUE(client->Call("GET", "/v1/who"));

  auto second = Server::Create({.port = port, .tls = ca_.Issue("registry")});
  ASSERT_TRUE(second);
  const Status taken = (*second)->Start();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kUnavailable);
}

TEST_F(HttpTest, RefusesBadRoutesAndFiles) {
  auto server = Server::Create({.tls = ca_.Issue("registry")});
  ASSERT_TRUE(server);
  (*server)->Handle("GET", "/v1/(", [](const Request&) { return Response{}; });
  EXPECT_FALSE((*server)->Start());
  EXPECT_FALSE(Server::Create({.tls = {"/no/ca", "/no/cert", "/no/key"}}));
  EXPECT_FALSE(Client::Create({.port = 1, .tls = {"/no/ca", "", ""}}));
}

TEST_F(HttpTest, Health) {
  metrics::Registry registry;
  registry.AddCounter("things_total", "Things.").Add(3);
  std::atomic<bool> ready = false;
  auto server = Server::Create({.tls = ca_.Issue("registry")});
  ASSERT_TRUE(server);
  AddHealth(**server, registry, [&]() -> Status {
    if (!ready) return Fail(ErrorCode::kNotFound, "no broker yet");
    return {};
  });
  ASSERT_TRUE((*server)->Start());
  auto client = NewClient(**server, ca_.Issue("console"));
  EXPECT_TRUE(client->Call("GET", "/healthz"));
  const auto not_ready = client->Send("GET", "/readyz");
  ASSERT_TRUE(not_ready);
  EXPECT_EQ(not_ready->status, 503);
  EXPECT_THAT(not_ready->body, HasSubstr("no broker yet"));
  ready = true;
  EXPECT_TRUE(client->Call("GET", "/readyz"));
  EXPECT_THAT(client->Call("GET", "/metrics").value(), HasSubstr("things_total 3"));
}

TEST_F(HttpTest, ServesClientsInParallel) {
  auto server = NewServer();
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, files = ca_.Issue("c" + std::to_string(i))] {
      auto client = NewClient(*server, files);
      for (int j = 0; j < 20; ++j) good += client->Call("POST", "/v1/echo", "x").has_value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

}  // namespace
}  // namespace edgeloop::http
