#include "jwks.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "ringcast/http/response.h"

#include "base64url.h"
#include "json.h"

namespace ringcast::auth {
namespace {

namespace dom = simdjson::dom;

using Parameters = std::unique_ptr<OSSL_PARAM, FreeBy<OSSL_PARAM_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, FreeBy<OSSL_PARAM_BLD_free>>;
using BigNumber = std::unique_ptr<BIGNUM, FreeBy<BN_free>>;

/// Nothing, when the key is one to leave out.
using MaybeKey = std::optional<Key>;

/// A member that is a string; nothing when it is absent.
Result<std::optional<std::string_view>> find_text(dom::object jwk, std::string_view name) {
  dom::element element;
  if (jwk.at_key(name).get(element) != simdjson::SUCCESS) return std::optional<std::string_view>{};
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) {
    return Error{std::string(name) + " must be a string"};
  }
  return std::optional(text);
}

Result<SecretBytes> read_bytes(dom::object jwk, std::string_view name) {
  const auto text = find_text(jwk, name);
  if (!text) return text.error();
  if (!text.value()) return Error{std::string(name) + " is missing"};
  SecretBytes bytes(base64url_bytes(text.value()->size()));
  const auto size = decode_base64url(*text.value(), std::span(bytes.data(), bytes.size()));
  if (!size || *size == 0) {
    return Error{std::string(name) + " must be base64url without padding, and not empty"};
  }
  return bytes;
}

/// The parts of a private key: `d` of RSA (RFC 7518 section 6.3.2), EC and OKP.
Result<void> refuse_private(dom::object jwk) {
  for (const std::string_view name : {"d", "p", "q", "dp", "dq", "qi", "oth"}) {
    if (jwk.at_key(name).error() == simdjson::SUCCESS) {
      return Error{"has the private part \"" + std::string(name) +
                   "\"; here belongs the public key alone"};
    }
  }
  return {};
}

Result<EvpKey> make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const EvpKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  const bool ok =
      parameters != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  EvpKey pkey(made);
  ERR_clear_error();
  if (!ok) return Error{"is no sound key"};
  return pkey;
}

Result<EvpKey> read_rsa(dom::object jwk) {
  const auto n = read_bytes(jwk, "n");
  if (!n) return n.error();
  const auto e = read_bytes(jwk, "e");
  if (!e) return e.error();
  const BigNumber modulus(BN_bin2bn(n.value().data(), static_cast<int>(n.value().size()), nullptr));
  const BigNumber exponent(
      BN_bin2bn(e.value().data(), static_cast<int>(e.value().size()), nullptr));
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (modulus == nullptr || exponent == nullptr || builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return Error{"is no sound key"};
  }
  return make_key("RSA", builder.get());
}

Result<EvpKey> read_ec(dom::object jwk, KeyKind kind) {
  const bool is_p256 = kind == KeyKind::p256;
  const std::size_t bytes = is_p256 ? 32 : 48;
  // SEC 1 section 2.3.3, uncompressed: 04, x, y.
  std::array<unsigned char, 1 + 2 * 48> point{0x04};
  std::size_t at = 1;
  for (const std::string_view name : {"x", "y"}) {
    const auto part = read_bytes(jwk, name);
    if (!part) return part.error();
    if (part.value().size() != bytes) {
      return Error{std::string(name) + " must have " + std::to_string(bytes) + " bytes"};
    }
    std::copy_n(part.value().data(), bytes, point.data() + at);
    at += bytes;
  }
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                      is_p256 ? "P-256" : "P-384", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), at) !=
          1) {
    return Error{"is no sound key"};
  }
  auto pkey = make_key("EC", builder.get());
  if (!pkey) return Error{"is not a point on its curve"};
  return pkey;
}

Result<EvpKey> read_ed25519(dom::object jwk) {
  const auto x = read_bytes(jwk, "x");
  if (!x) return x.error();
  if (x.value().size() != 32) return Error{"x must have 32 bytes"};
  EvpKey pkey(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, x.value().data(),
                                             x.value().size()));
  ERR_clear_error();
  if (pkey == nullptr) return Error{"is no sound key"};
  return pkey;
}

/// What the members of all kinds say.
struct Common {
  bool for_signatures = true;
  std::optional<KeyKind> kind;  ///< none: a kind or a curve that we do not know
  std::optional<Algorithm> only;
  bool unknown_algorithm = false;
  std::optional<std::string> kid;
};

/// RFC 7517 section 4.3. Also true when there is no such member.
Result<bool> may_verify(dom::object jwk) {
  dom::element element;
  if (jwk.at_key("key_ops").get(element) != simdjson::SUCCESS) return true;
  dom::array operations;
  if (element.get(operations) != simdjson::SUCCESS) return Error{"key_ops must be an array"};
  bool verifies = false;
  for (const dom::element operation : operations) {
    std::string_view name;
    if (operation.get(name) != simdjson::SUCCESS) return Error{"key_ops must hold strings"};
    verifies = verifies || name == "verify";
  }
  return verifies;
}

/// `kty` and, where the kind has curves, `crv`.
Result<std::optional<KeyKind>> read_kind(dom::object jwk) {
  using Kind = std::optional<KeyKind>;
  const auto kty = find_text(jwk, "kty");
  if (!kty) return kty.error();
  if (!kty.value()) return Error{"kty is missing"};
  if (*kty.value() == "oct") return Kind{KeyKind::secret};
  if (*kty.value() == "RSA") return Kind{KeyKind::rsa};
  if (*kty.value() != "EC" && *kty.value() != "OKP") return Kind{};
  const auto crv = find_text(jwk, "crv");
  if (!crv) return crv.error();
  if (!crv.value()) return Error{"crv is missing"};
  const std::string_view curve = *crv.value();
  if (*kty.value() == "OKP") return curve == "Ed25519" ? Kind{KeyKind::ed25519} : Kind{};
  if (curve == "P-256") return Kind{KeyKind::p256};
  if (curve == "P-384") return Kind{KeyKind::p384};
  return Kind{};
}

Result<Common> read_common(dom::object jwk) {
  Common common;
  const auto kid = find_text(jwk, "kid");
  if (!kid) return kid.error();
  if (kid.value()) common.kid = std::string(*kid.value());
  const auto use = find_text(jwk, "use");
  if (!use) return use.error();
  const auto verifies = may_verify(jwk);
  if (!verifies) return verifies.error();
  common.for_signatures = verifies.value() && use.value().value_or("sig") == "sig";
  const auto kind = read_kind(jwk);
  if (!kind) return kind.error();
  common.kind = kind.value();
  const auto alg = find_text(jwk, "alg");
  if (!alg) return alg.error();
  if (alg.value()) {
    common.only = parse_algorithm(*alg.value());
    common.unknown_algorithm = !common.only;
  }
  return common;
}

Result<MaybeKey> read_key(dom::object jwk, std::string name) {
  auto read = read_common(jwk);
  if (!read) return Error{name + ": " + read.error().message};
  Common& common = read.value();
  if (common.kid) {
    name += " (kid \"";
    http::append_json_escaped(name, std::string_view(*common.kid).substr(0, 64));
    name += "\")";
  }
  const auto fail = [&](std::string_view reason) {
    return Error{name + ": " + std::string(reason)};
  };
  if (!common.for_signatures || !common.kind || common.unknown_algorithm) return MaybeKey{};
  if (common.only && key_kind(*common.only) != *common.kind) {
    return fail("its alg does not fit its kind");
  }

  Key key;
  key.kind = *common.kind;
  key.only = common.only;
  key.kid = std::move(common.kid);
  if (key.kind == KeyKind::secret) {
    auto secret = read_bytes(jwk, "k");
    if (!secret) return fail(secret.error().message);
    key.secret = std::move(secret).value();
  } else {
    if (const auto checked = refuse_private(jwk); !checked) return fail(checked.error().message);
    auto pkey = key.kind == KeyKind::rsa       ? read_rsa(jwk)
                : key.kind == KeyKind::ed25519 ? read_ed25519(jwk)
                                               : read_ec(jwk, key.kind);
    if (!pkey) return fail(pkey.error().message);
    const auto examined = examine_public_key(pkey.value().get());
    if (!examined) return fail(examined.error().message);
    key.pkey = std::move(pkey).value();
  }
  key.name = std::move(name);
  return MaybeKey{std::move(key)};
}

Result<void> read_set(const dom::element& root, const std::string& file, std::vector<Key>& keys) {
  dom::object set;
  std::vector<std::string_view> names;
  if (root.get(set) != simdjson::SUCCESS) return Error{file + ": must be a JSON object"};
  if (!names_differ(set, names)) return Error{file + ": a name is given more than once"};
  dom::array list;
  if (set.at_key("keys").get(list) != simdjson::SUCCESS) {
    return Error{file + ": must have an array \"keys\" (RFC 7517 section 5)"};
  }
  std::size_t number = 0;
  for (const dom::element item : list) {
    std::string name = file + ": key " + std::to_string(++number);
    dom::object jwk;
    if (item.get(jwk) != simdjson::SUCCESS) return Error{name + ": must be a JSON object"};
    if (!names_differ(jwk, names)) return Error{name + ": a name is given more than once"};
    auto key = read_key(jwk, std::move(name));
    if (!key) return key.error();
    if (key.value()) keys.push_back(std::move(*key.value()));
    if (keys.size() > kKeysMax) break;  // said by the caller, who knows the other sources
  }
  return {};
}

/// The parser has a copy of each text; the secrets among them are not left there.
void wipe_texts(const dom::element& element) {
  std::string_view text;
  dom::array array;
  dom::object object;
  if (element.get(text) == simdjson::SUCCESS) {
    OPENSSL_cleanse(const_cast<char*>(text.data()), text.size());
  } else if (element.get(array) == simdjson::SUCCESS) {
    for (const dom::element item : array) wipe_texts(item);
  } else if (element.get(object) == simdjson::SUCCESS) {
    for (const auto member : object) wipe_texts(member.value);
  }
}

}  // namespace

Result<void> parse_jwks(std::string_view text, std::string_view file, std::vector<Key>& keys) {
  const std::string name(file);
  SecretBytes padded(text.size() + simdjson::SIMDJSON_PADDING);
  std::copy(text.begin(), text.end(), padded.data());
  dom::parser parser;
  dom::element root;
  if (parser.allocate(std::max<std::size_t>(text.size(), 64), kJsonDepthMax) != simdjson::SUCCESS ||
      parser.parse(padded.data(), text.size(), false).get(root) != simdjson::SUCCESS) {
    return Error{name + ": not valid JSON"};
  }
  auto read = read_set(root, name, keys);
  wipe_texts(root);
  return read;
}

}  // namespace ringcast::auth
