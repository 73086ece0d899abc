#include "runtime/signing/signing.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace edgeloop::signing {
namespace {

constexpr size_t kSignatureBytes = 64;  // RFC 8032 section 5.1.6

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Hex(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string KeyId(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return "";
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(length), digest);
  OPENSSL_free(der);
  return Hex(std::span(digest).first(8));
}

Expected<KeyPtr> ReadKey(const std::string& path, bool is_private) {
  const std::string what =
      std::string(is_private ? "private" : "public") + " signing key '" + path + "'";
  const BioPtr file(BIO_new_file(path.c_str(), "r"), &BIO_free);
  KeyPtr key;
  if (file) {
    // A passphrase of "" instead of the default, which asks at the terminal.
    key.reset(is_private
                  ? PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, const_cast<char*>(""))
                  : PEM_read_bio_PUBKEY(file.get(), nullptr, nullptr, nullptr));
  }
  ERR_clear_error();
  if (!key) return Fail(ErrorCode::kInvalidArgument, what + ": no PEM key can be read there");
  if (EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) {
    return Fail(ErrorCode::kInvalidArgument, what + ": not an Ed25519 key");
  }
  return key;
}

Status WriteNewFile(const std::string& path, BIO* content, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) {
    const auto code = errno == EEXIST ? ErrorCode::kAlreadyExists : ErrorCode::kUnavailable;
    return Fail(code, "signing key '" + path + "': " + std::strerror(errno));
  }
  char* data = nullptr;
  const long length = BIO_get_mem_data(content, &data);
  // A key is far smaller than what a file system writes at once.
  const bool ok = ::write(fd, data, static_cast<size_t>(length)) == static_cast<ssize_t>(length) &&
                  ::fsync(fd) == 0;
  const int reason = errno;
  ::close(fd);
  if (ok) return {};
  ::unlink(path.c_str());
  return Fail(ErrorCode::kUnavailable, "signing key '" + path + "': " + std::strerror(reason));
}

}  // namespace

void KeyDeleter::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

Expected<Signer> Signer::Load(const std::string& private_key_pem_path) {
  auto key = ReadKey(private_key_pem_path, true);
  if (!key) return Fail(key.error());
  return Signer(std::move(*key));
}

Expected<std::vector<uint8_t>> Signer::Sign(std::string_view text) const {
  const DigestPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::vector<uint8_t> signature(kSignatureBytes);
  size_t length = signature.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &length, Bytes(text), text.size()) != 1) {
    ERR_clear_error();
    return Fail(ErrorCode::kInternal, "cannot sign");
  }
  signature.resize(length);
  return signature;
}

std::string Signer::key_id() const { return KeyId(key_.get()); }

Expected<Verifier> Verifier::Load(const std::vector<std::string>& public_key_pem_paths) {
  Verifier verifier;
  for (const std::string& path : public_key_pem_paths) {
    auto key = ReadKey(path, false);
    if (!key) return Fail(key.error());
    std::string id = KeyId(key->get());
    verifier.keys_.emplace_back(std::move(id), std::move(*key));
  }
  return verifier;
}

Status Verifier::Verify(std::string_view key_id, std::string_view text,
                        std::span<const uint8_t> signature) const {
  for (const auto& [id, key] : keys_) {
    if (id != key_id) continue;
    const DigestPtr context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    const bool good =
        context && signature.size() == kSignatureBytes &&
        EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), signature.data(), signature.size(), Bytes(text),
                         text.size()) == 1;
    ERR_clear_error();
    if (good) return {};
    return Fail(ErrorCode::kUnauthenticated, "the signature is not of this text by key " + id);
  }
  return Fail(ErrorCode::kUnauthenticated,
              "signing key '" + std::string(key_id.substr(0, 64)) + "' is not trusted here");
}

Status CreateKeyFile(const std::string& private_path, const std::string& public_path) {
  const KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const BioPtr secret(BIO_new(BIO_s_secmem()), &BIO_free);
  const BioPtr open(BIO_new(BIO_s_mem()), &BIO_free);
  if (!key || !secret || !open ||
      PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1 ||
      PEM_write_bio_PUBKEY(open.get(), key.get()) != 1) {
    ERR_clear_error();
    return Fail(ErrorCode::kInternal, "cannot make an Ed25519 key");
  }
  if (auto status = WriteNewFile(private_path, secret.get(), 0600); !status) return status;
  auto status = WriteNewFile(public_path, open.get(), 0644);
  if (!status) ::unlink(private_path.c_str());
  return status;
}

std::string Sha256Digest(std::span<const uint8_t> bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(bytes.data(), bytes.size(), digest);
  return "sha256:" + Hex(digest);
}

std::string Base64Encode(std::span<const uint8_t> bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // + the zero byte OpenSSL writes
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

Expected<std::vector<uint8_t>> Base64Decode(std::string_view text) {
  // EVP_DecodeBlock forgives white space and padding in odd places; we do not.
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  const std::string_view digits = text.substr(0, text.size() - padding);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0 || digits.find_first_not_of(kAlphabet) != std::string_view::npos) {
    return Fail(ErrorCode::kInvalidArgument, "not base64");
  }
  std::vector<uint8_t> bytes(text.size() / 4 * 3);
  if (!text.empty() && EVP_DecodeBlock(bytes.data(), Bytes(text), static_cast<int>(text.size())) !=
                           static_cast<int>(bytes.size())) {
    return Fail(ErrorCode::kInvalidArgument, "not base64");
  }
  bytes.resize(bytes.size() - padding);
  // One text for one value: the bits the padding leaves over must be zero.
  if (Base64Encode(bytes) != text) return Fail(ErrorCode::kInvalidArgument, "not base64");
  return bytes;
}

}  // namespace edgeloop::signing
