#include "runtime/tls/test_ca.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace edgeloop::tls {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertPtr = std::unique_ptr<X509, decltype(&X509_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

void Need(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("test CA: ") + what + ": " + LastOpensslError());
}

void AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  Need(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, value);
  X509_EXTENSION_free(extension);
}

CertPtr NewCertificate(int valid_s) {
  CertPtr certificate(X509_new(), &X509_free);
  uint64_t serial = 0;
  Need(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "serial");
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), valid_s);
  return certificate;
}

void WritePem(const std::string& path, X509* certificate) {
  const BioPtr file(BIO_new_file(path.c_str(), "w"), &BIO_free);
  Need(file && PEM_write_bio_X509(file.get(), certificate) == 1, path.c_str());
}

}  // namespace

struct TestCa::Authority {
  KeyPtr key{nullptr, &EVP_PKEY_free};
  CertPtr certificate{nullptr, &X509_free};
};

TestCa::TestCa() : authority_(std::make_unique<Authority>()) {
  std::string pattern = (std::filesystem::temp_directory_path() / "edgeloop-ca-XXXXXX").string();
  Need(mkdtemp(pattern.data()) != nullptr, "temporary directory");
  directory_ = pattern;

  authority_->key.reset(EVP_EC_gen("P-256"));
  Need(authority_->key != nullptr, "key");
  authority_->certificate = NewCertificate(86'400);
  X509* certificate = authority_->certificate.get();
  X509_set_pubkey(certificate, authority_->key.get());
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("edgeloop test CA"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate, certificate, NID_subject_key_identifier, "hash");
  Need(X509_sign(certificate, authority_->key.get(), EVP_sha256()) != 0, "sign");
  WritePem(ca_path(), certificate);
}

TestCa::~TestCa() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Files TestCa::Issue(std::string_view common_name, std::string_view organizational_unit,
                    int valid_s) {
  const std::string base =
      directory_ + "/" + std::string(organizational_unit) + "-" + std::string(common_name);
  Files files{ca_path(), base + ".pem", base + ".key"};
  if (std::filesystem::exists(files.cert)) return files;

  auto request_pem = CreateKeyAndRequest(files.key, common_name, organizational_unit, {});
  if (!request_pem) throw std::runtime_error("test CA: " + request_pem.error().message());
  const BioPtr memory(BIO_new_mem_buf(request_pem->data(), static_cast<int>(request_pem->size())),
                      &BIO_free);
  const std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(
      PEM_read_bio_X509_REQ(memory.get(), nullptr, nullptr, nullptr), &X509_REQ_free);
  Need(request != nullptr, "request");

  X509* issuer = authority_->certificate.get();
  const CertPtr certificate = NewCertificate(valid_s);
  X509_set_pubkey(certificate.get(), X509_REQ_get0_pubkey(request.get()));
  X509_set_subject_name(certificate.get(), X509_REQ_get_subject_name(request.get()));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
  AddExtension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(certificate.get(), issuer, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
  AddExtension(certificate.get(), issuer, NID_authority_key_identifier, "keyid");
  Need(X509_sign(certificate.get(), authority_->key.get(), EVP_sha256()) != 0, "sign");
  WritePem(files.cert, certificate.get());
  return files;
}

}  // namespace edgeloop::tls
