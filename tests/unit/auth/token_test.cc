#include "ringcast/auth/token.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "signing.h"

namespace {

using namespace ringcast;
using namespace ringcast::auth;
using test::kNowMs;

const std::uint64_t kLeewayMs = std::uint64_t{TokenPolicy{}.leeway_seconds} * 1000;

TokenPolicy accept(Algorithms algorithms) {
  return {.algorithms = std::move(algorithms)};
}

/// Verifies with HS256 and kSecret.
class Hs256 {
 public:
  explicit Hs256(TokenPolicy policy = {}) : verifier_(test::all_keys(), with_algorithm(policy)) {}

  TokenFault operator()(std::string_view payload, std::uint64_t now_ms = kNowMs) {
    return verifier_.verify(test::token(Algorithm::hs256, payload), now_ms, claims);
  }

  Claims claims;

 private:
  static TokenPolicy with_algorithm(TokenPolicy policy) {
    policy.algorithms = {Algorithm::hs256};
    return policy;
  }

  TokenVerifier verifier_;
};

std::string payload_with(std::string_view more) {
  return R"({"sub":"alice","exp":1700003600,)" + std::string(more) + "}";
}

// ------------------------------------------------------------------ examples of the standards

constexpr std::string_view kRfcPayload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
    "Q";
constexpr std::uint64_t kRfcExpiryMs = 1'300'819'380'000;

/// The payload has no `sub`. That this is what is found, or that it is expired, says that the
/// signature held: nothing is read before. A change in any part must give another fault.
void expect_signed(const std::string& key, Algorithm algorithm, const std::string& token) {
  TokenVerifier verifier(test::keys_of_jwks({key}, {algorithm}), accept({algorithm}));
  Claims claims;
  EXPECT_EQ(verifier.verify(token, kNowMs, claims), TokenFault::expired);
  EXPECT_EQ(verifier.verify(token, kRfcExpiryMs, claims), TokenFault::no_user);

  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  for (std::size_t at = first + 1; at < token.size(); at += 7) {
    if (at == second) continue;
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    const TokenFault fault = verifier.verify(changed, kRfcExpiryMs, claims);
    // The last digit of a part has bits that stand for nothing.
    EXPECT_TRUE(fault == TokenFault::signature || fault == TokenFault::malformed) << at;
  }
  EXPECT_EQ(verifier.verify(token, kRfcExpiryMs, claims), TokenFault::no_user);
}

TEST(Rfc7515, AppendixA1Hs256) {
  expect_signed(
      R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})",
      Algorithm::hs256,
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + std::string(kRfcPayload) +
          ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

TEST(Rfc7515, AppendixA2Rs256) {
  expect_signed(
      R"({"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})",
      Algorithm::rs256,
      "eyJhbGciOiJSUzI1NiJ9." + std::string(kRfcPayload) +
          ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
          "O8W"
          "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
          "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSj"
          "tQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
          "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh"
          "6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
}

constexpr std::string_view kRfcEs256Key =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";

TEST(Rfc7515, AppendixA3Es256) {
  expect_signed(std::string(kRfcEs256Key), Algorithm::es256,
                "eyJhbGciOiJFUzI1NiJ9." + std::string(kRfcPayload) +
                    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
                    "F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
}

TEST(Rfc7515, AppendixA4Es512IsNotServed) {
  TokenVerifier verifier(test::all_keys(), accept(test::kAllAlgorithms));
  Claims claims;
  EXPECT_EQ(
      verifier.verify(
          "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
          "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
          "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXo"
          "lLzeO_Jn",
          kNowMs, claims),
      TokenFault::algorithm);
}

TEST(Rfc7515, AppendixA5NoneIsNotServed) {
  TokenVerifier verifier(test::all_keys(), accept(test::kAllAlgorithms));
  Claims claims;
  EXPECT_EQ(verifier.verify("eyJhbGciOiJub25lIn0." + std::string(kRfcPayload) + ".", kRfcExpiryMs,
                            claims),
            TokenFault::algorithm);
}

// Its payload is a sentence: that this is found says that the signature held.
TEST(Rfc8037, AppendixA4Ed25519) {
  TokenVerifier verifier(
      test::keys_of_jwks(
          {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"},
          {Algorithm::eddsa}),
      accept({Algorithm::eddsa}));
  const std::string text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
  const std::string signature =
      ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
  Claims claims;
  for (int times = 0; times < 3; ++times) {
    EXPECT_EQ(verifier.verify(text + signature, kNowMs, claims), TokenFault::bad_claim);
    std::string changed = text + signature;
    changed[text.size() + 5] = 'A';
    EXPECT_EQ(verifier.verify(changed, kNowMs, claims), TokenFault::signature);
    changed = text + signature;
    changed[text.size() - 5] = 'A';
    EXPECT_EQ(verifier.verify(changed, kNowMs, claims), TokenFault::signature);
  }
}

// ------------------------------------------------------------------ what is accepted

TEST(TokenVerifier, AcceptsEveryAlgorithmAgainAndAgain) {
  TokenVerifier verifier(test::all_keys(), accept(test::kAllAlgorithms));
  for (int times = 0; times < 3; ++times) {
    for (const Algorithm algorithm : test::kAllAlgorithms) {
      const std::string token = test::token(algorithm, test::kGoodPayload);
      Claims claims;
      EXPECT_EQ(verifier.verify(token, kNowMs, claims), TokenFault::none) << to_string(algorithm);
      EXPECT_EQ(claims.user, "alice");
      EXPECT_EQ(claims.expires_ms, 1'700'003'600'000U + kLeewayMs);
      EXPECT_FALSE(claims.grants);
      // A refused one leaves nothing behind.
      std::string changed = token;
      char& digit = changed[changed.rfind('.') + 3];
      digit = digit == 'A' ? 'B' : 'A';
      EXPECT_EQ(verifier.verify(changed, kNowMs, claims), TokenFault::signature)
          << to_string(algorithm);
    }
  }
}

TEST(TokenVerifier, ThreadsShareKeysThatNoneHasUsedYet) {
  std::vector<std::string> tokens;
  for (const Algorithm algorithm : test::kAllAlgorithms) {
    tokens.push_back(test::token(algorithm, test::kGoodPayload));
  }
  const auto keys = test::keys_of_jwks(
      {test::jwk(test::kSecret), test::jwk(test::key_for(Algorithm::rs256)),
       test::jwk(test::key_for(Algorithm::es256)), test::jwk(test::key_for(Algorithm::es384)),
       test::jwk(test::key_for(Algorithm::eddsa))},
      test::kAllAlgorithms);
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      TokenVerifier verifier(keys, accept(test::kAllAlgorithms));
      Claims claims;
      for (const std::string& token : tokens) {
        if (verifier.verify(token, kNowMs, claims) != TokenFault::none) ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
}

TEST(TokenVerifier, SurvivesBeingMoved) {
  TokenVerifier first(test::all_keys(), accept({Algorithm::rs256}));
  const std::string token = test::token(Algorithm::rs256, test::kGoodPayload);
  Claims claims;
  EXPECT_EQ(first.verify(token, kNowMs, claims), TokenFault::none);
  TokenVerifier second = std::move(first);
  EXPECT_EQ(second.verify(token, kNowMs, claims), TokenFault::none);
  second = TokenVerifier(test::all_keys(), accept({Algorithm::es256}));
  EXPECT_EQ(second.verify(token, kNowMs, claims), TokenFault::algorithm);
}

TEST(TokenVerifier, TheTypeOfATokenIsAJwtOrAnAccessToken) {
  TokenVerifier verifier(test::all_keys(), accept({Algorithm::hs256}));
  const auto fault = [&](std::string_view typ) {
    Claims claims;
    return verifier.verify(
        test::token(Algorithm::hs256, R"({"alg":"HS256","typ":)" + std::string(typ) + "}",
                    test::kGoodPayload),
        kNowMs, claims);
  };
  for (const std::string_view good :
       {R"("JWT")", R"("jwt")", R"("at+jwt")", R"("AT+JWT")", R"("application/at+jwt")",
        R"("Application/JWT")", R"("\u004aWT")"}) {
    EXPECT_EQ(fault(good), TokenFault::none) << good;
  }
  for (const std::string_view other : {R"("")", R"("JOSE")", R"("logout+jwt")", R"("dpop+jwt")",
                                       R"("JWT ")", R"("application/")", R"("text/jwt")"}) {
    EXPECT_EQ(fault(other), TokenFault::wrong_type) << other;
  }
  for (const std::string_view no_text : {"null", "7", "[\"JWT\"]"}) {
    EXPECT_EQ(fault(no_text), TokenFault::malformed) << no_text;
  }
}

// ------------------------------------------------------------------ which key

TEST(TokenVerifier, AKidChoosesItsKeyAndTheKeysWithoutOne) {
  const EvpKey other = test::make_ec("P-256");
  EVP_PKEY* const own = test::key_for(Algorithm::es256);
  const std::string token =
      test::token(Algorithm::es256, R"({"alg":"ES256","kid":"a"})", test::kGoodPayload);
  const auto fault = [&](const std::vector<std::string>& keys) {
    TokenVerifier verifier(test::keys_of_jwks(keys, {Algorithm::es256}),
                           accept({Algorithm::es256}));
    Claims claims;
    return verifier.verify(token, kNowMs, claims);
  };
  const std::string a_own = test::jwk(own, R"(,"kid":"a")");
  const std::string b_own = test::jwk(own, R"(,"kid":"b")");
  const std::string plain_own = test::jwk(own);
  const std::string a_other = test::jwk(other.get(), R"(,"kid":"a")");
  const std::string b_other = test::jwk(other.get(), R"(,"kid":"b")");
  EXPECT_EQ(fault({a_own, b_other}), TokenFault::none);
  EXPECT_EQ(fault({b_other, a_own}), TokenFault::none);
  EXPECT_EQ(fault({a_other, plain_own}), TokenFault::none);
  EXPECT_EQ(fault({plain_own}), TokenFault::none);
  EXPECT_EQ(fault({a_other, b_own}), TokenFault::signature);
  EXPECT_EQ(fault({b_own}), TokenFault::unknown_key);
  EXPECT_EQ(fault({test::jwk(own, R"(,"kid":"")")}), TokenFault::unknown_key);
}

TEST(TokenVerifier, AKidOfAKeyOfAnotherKindIsUnknown) {
  const auto keys =
      test::keys_of_jwks({test::jwk(test::key_for(Algorithm::rs256), R"(,"kid":"a")"),
                          test::jwk(test::key_for(Algorithm::es256), R"(,"kid":"b")")},
                         {Algorithm::rs256, Algorithm::es256});
  TokenVerifier verifier(keys, accept({Algorithm::rs256, Algorithm::es256}));
  const auto fault = [&](Algorithm algorithm, std::string_view header) {
    Claims claims;
    return verifier.verify(test::token(algorithm, header, test::kGoodPayload), kNowMs, claims);
  };
  EXPECT_EQ(fault(Algorithm::es256, R"({"alg":"ES256","kid":"b"})"), TokenFault::none);
  EXPECT_EQ(fault(Algorithm::es256, R"({"alg":"ES256","kid":"a"})"), TokenFault::unknown_key);
  EXPECT_EQ(fault(Algorithm::rs256, R"({"alg":"RS256","kid":"a"})"), TokenFault::none);
}

TEST(TokenVerifier, AKidIsComparedAfterItsEscapes) {
  const auto keys =
      test::keys_of_jwks({test::jwk(test::kSecret, R"(,"kid":"clé/1")")}, {Algorithm::hs256});
  TokenVerifier verifier(keys, accept({Algorithm::hs256}));
  const auto fault = [&](std::string_view kid) {
    Claims claims;
    return verifier.verify(
        test::token(Algorithm::hs256, R"({"alg":"HS256","kid":)" + std::string(kid) + "}",
                    test::kGoodPayload),
        kNowMs, claims);
  };
  EXPECT_EQ(fault(R"("clé/1")"), TokenFault::none);
  EXPECT_EQ(fault(R"("cl\u00e9\/1")"), TokenFault::none);
  EXPECT_EQ(fault(R"("clé/1\u0000")"), TokenFault::unknown_key);
  EXPECT_EQ(fault("1"), TokenFault::malformed);
}

TEST(TokenVerifier, WithoutAKidEightKeysAreTried) {
  EVP_PKEY* const own = test::key_for(Algorithm::es256);
  std::vector<EvpKey> others;
  for (int i = 0; i < 8; ++i) others.push_back(test::make_ec("P-256"));
  const std::string token = test::token(Algorithm::es256, test::kGoodPayload);
  const auto fault = [&](std::size_t before) {
    std::vector<std::string> keys;
    // Keys of another kind and those pinned to another algorithm are no tries.
    for (int i = 0; i < 10; ++i) {
      keys.push_back(
          test::jwk(test::key_for(Algorithm::rs256), R"(,"kid":"r)" + std::to_string(i) + '"'));
    }
    for (std::size_t i = 0; i < before; ++i) {
      keys.push_back(test::jwk(others[i].get(), R"(,"kid":")" + std::to_string(i) + '"'));
    }
    keys.push_back(test::jwk(own, R"(,"kid":"own")"));
    TokenVerifier verifier(test::keys_of_jwks(keys, {Algorithm::es256}),
                           accept({Algorithm::es256}));
    Claims claims;
    return verifier.verify(token, kNowMs, claims);
  };
  EXPECT_EQ(fault(0), TokenFault::none);
  EXPECT_EQ(fault(7), TokenFault::none);
  EXPECT_EQ(fault(8), TokenFault::signature);
}

TEST(TokenVerifier, TheAlgorithmOfAKeyIsTheOnlyOneThatItServes) {
  EVP_PKEY* const rsa = test::key_for(Algorithm::rs256);
  const Algorithms algorithms = {Algorithm::rs256, Algorithm::ps256};
  const auto keys = test::keys_of_jwks({test::jwk(rsa, R"(,"alg":"PS256","kid":"a")"),
                                        test::jwk(test::make_rsa(2048).get(), R"(,"kid":"b")")},
                                       algorithms);
  TokenVerifier verifier(keys, accept(algorithms));
  const auto fault = [&](Algorithm algorithm, std::string_view header) {
    Claims claims;
    return verifier.verify(test::token(algorithm, header, test::kGoodPayload), kNowMs, claims);
  };
  EXPECT_EQ(fault(Algorithm::ps256, R"({"alg":"PS256","kid":"a"})"), TokenFault::none);
  EXPECT_EQ(fault(Algorithm::rs256, R"({"alg":"RS256","kid":"a"})"), TokenFault::unknown_key);
  EXPECT_EQ(fault(Algorithm::rs256, R"({"alg":"RS256"})"), TokenFault::signature);
}

// ------------------------------------------------------------------ times

TEST(Times, ATokenEndsAtItsExpiryAndTheLeeway) {
  Hs256 verify({.leeway_seconds = 10});
  constexpr std::uint64_t kEndMs = (1'700'003'600 + 10) * 1000ULL;
  EXPECT_EQ(verify(test::kGoodPayload, kEndMs - 1), TokenFault::none);
  EXPECT_EQ(verify.claims.expires_ms, kEndMs);
  EXPECT_EQ(verify(test::kGoodPayload, kEndMs), TokenFault::expired);
  Hs256 strict({.leeway_seconds = 0});
  EXPECT_EQ(strict(test::kGoodPayload, 1'700'003'599'999), TokenFault::none);
  EXPECT_EQ(strict(test::kGoodPayload, 1'700'003'600'000), TokenFault::expired);
}

TEST(Times, ATokenBeginsBeforeItsTimeByTheLeeway) {
  Hs256 verify({.leeway_seconds = 10});
  const auto at = [](std::uint64_t seconds) {
    return payload_with(R"("nbf":)" + std::to_string(seconds));
  };
  EXPECT_EQ(verify(at(test::kNowS + 10)), TokenFault::none);
  EXPECT_EQ(verify(at(test::kNowS + 11)), TokenFault::not_yet_valid);
  const auto issued = [](std::uint64_t seconds) {
    return payload_with(R"("iat":)" + std::to_string(seconds));
  };
  EXPECT_EQ(verify(issued(test::kNowS + 10)), TokenFault::none);
  EXPECT_EQ(verify(issued(test::kNowS + 11)), TokenFault::issued_in_future);
}

TEST(Times, FractionsCount) {
  Hs256 verify({.leeway_seconds = 0});
  EXPECT_EQ(verify(R"({"sub":"a","exp":1700000000.5})", kNowMs + 499), TokenFault::none);
  EXPECT_EQ(verify.claims.expires_ms, kNowMs + 500);
  EXPECT_EQ(verify(R"({"sub":"a","exp":1700000000.5})", kNowMs + 500), TokenFault::expired);
  EXPECT_EQ(verify(R"({"sub":"a","exp":1.7000036e9})"), TokenFault::none);
  EXPECT_EQ(verify.claims.expires_ms, 1'700'003'600'000U);
}

TEST(Times, AnExpiryIsDemanded) {
  Hs256 verify;
  EXPECT_EQ(verify(R"({"sub":"alice"})"), TokenFault::no_expiry);
  EXPECT_EQ(verify(R"({"sub":"alice","iat":1700000000})"), TokenFault::no_expiry);
}

TEST(Times, TheEndOfTheYear9999IsTheLastTime) {
  Hs256 verify;
  EXPECT_EQ(verify(R"({"sub":"a","exp":253402300799})"), TokenFault::none);
  EXPECT_EQ(verify.claims.expires_ms, 253'402'300'799'000U + kLeewayMs);
  EXPECT_EQ(verify(R"({"sub":"a","exp":253402300800})"), TokenFault::bad_claim);
  EXPECT_EQ(verify(R"({"sub":"a","exp":253402300799.5})"), TokenFault::bad_claim);
}

// ------------------------------------------------------------------ who

TEST(Who, TheIssuerIsComparedWhenOneIsConfigured) {
  Hs256 verify({.issuer = "https://id.example"});
  EXPECT_EQ(verify(payload_with(R"("iss":"https://id.example")")), TokenFault::none);
  EXPECT_EQ(verify(payload_with(R"("iss":"https:\/\/id.example")")), TokenFault::none);
  EXPECT_EQ(verify(payload_with(R"("iss":"https://id.example/")")), TokenFault::issuer);
  EXPECT_EQ(verify(test::kGoodPayload), TokenFault::issuer);
  EXPECT_EQ(verify(payload_with(R"("iss":["https://id.example"])")), TokenFault::bad_claim);
  EXPECT_EQ(verify(payload_with(R"("iss":null)")), TokenFault::bad_claim);
  Hs256 indifferent;
  EXPECT_EQ(indifferent(payload_with(R"("iss":null)")), TokenFault::none);
}

TEST(Who, TheAudienceHoldsWhatIsConfigured) {
  Hs256 verify({.audience = "events"});
  EXPECT_EQ(verify(payload_with(R"("aud":"events")")), TokenFault::none);
  EXPECT_EQ(verify(payload_with(R"("aud":["other","events"])")), TokenFault::none);
  EXPECT_EQ(verify(payload_with(R"("aud":["events","other"])")), TokenFault::none);
  EXPECT_EQ(verify(payload_with(R"("aud":"event")")), TokenFault::audience);
  EXPECT_EQ(verify(payload_with(R"("aud":"events2")")), TokenFault::audience);
  EXPECT_EQ(verify(payload_with(R"("aud":["other"])")), TokenFault::audience);
  EXPECT_EQ(verify(payload_with(R"("aud":[])")), TokenFault::audience);
  EXPECT_EQ(verify(test::kGoodPayload), TokenFault::audience);
  EXPECT_EQ(verify(payload_with(R"("aud":["events",7])")), TokenFault::bad_claim);
  EXPECT_EQ(verify(payload_with(R"("aud":{"events":1})")), TokenFault::bad_claim);
  Hs256 indifferent;
  EXPECT_EQ(indifferent(payload_with(R"("aud":"other")")), TokenFault::none);
}

TEST(Who, TheUserIsAGoodName) {
  Hs256 verify;
  const auto of = [&](std::string_view sub) {
    return verify(R"({"exp":1700003600,"sub":)" + std::string(sub) + "}");
  };
  EXPECT_EQ(of(R"("Zoë \"Z\" \ud83d\ude00")"), TokenFault::none);
  EXPECT_EQ(verify.claims.user, "Zoë \"Z\" 😀");
  EXPECT_EQ(of('"' + std::string(128, 'x') + '"'), TokenFault::none);
  EXPECT_EQ(of('"' + std::string(129, 'x') + '"'), TokenFault::no_user);
  EXPECT_EQ(of(R"("")"), TokenFault::no_user);
  EXPECT_EQ(of(R"("a\nb")"), TokenFault::no_user);
  EXPECT_EQ(of(R"("a\u0000")"), TokenFault::no_user);
  EXPECT_NE(of(R"("a\udc00")"), TokenFault::none);
  EXPECT_NE(of(R"("a\ud800")"), TokenFault::none);
  for (const std::string_view other : {"7", "null", "true", R"(["alice"])", R"({"a":1})"}) {
    EXPECT_EQ(of(other), TokenFault::bad_claim) << other;
  }
  EXPECT_EQ(verify(R"({"exp":1700003600})"), TokenFault::no_user);
}

TEST(Who, ClaimsAreFilledOnlyByAGoodToken) {
  Hs256 verify;
  ASSERT_EQ(verify(payload_with(R"("ringcast":{"publish":["a"]})")), TokenFault::none);
  const Claims before = verify.claims;
  EXPECT_EQ(verify(R"({"sub":"mallory","exp":1})"), TokenFault::expired);
  EXPECT_EQ(verify.claims.user, before.user);
  EXPECT_EQ(verify.claims.session, before.session);
  EXPECT_EQ(verify.claims.grants, before.grants);
  // What the claims had before does not stay.
  ASSERT_EQ(verify(R"({"sub":"bob","exp":1700003600})"), TokenFault::none);
  EXPECT_EQ(verify.claims.user, "bob");
  EXPECT_FALSE(verify.claims.grants);
}

// ------------------------------------------------------------------ grants

TEST(TokenGrants, AreReadFromTheirClaim) {
  Hs256 verify;
  const auto granted = [&](std::string_view claim) -> std::optional<Grants> {
    EXPECT_EQ(verify(payload_with(R"("ringcast":)" + std::string(claim))), TokenFault::none)
        << claim;
    return verify.claims.grants;
  };
  EXPECT_EQ(granted(R"({"subscribe":["orders","user/*"],"publish":["","{self}"]})"),
            (Grants{.subscribe = {"orders", "user/*"}, .publish = {"", "{self}"}}));
  EXPECT_EQ(granted(R"({"publish":["\u006frders"]})"), (Grants{.publish = {"orders"}}));
  // There, but nothing: not the same as no claim, which leaves it to the configuration.
  EXPECT_EQ(granted("{}"), Grants{});
  EXPECT_EQ(granted(R"({"subscribe":[]})"), Grants{});
}

TEST(TokenGrants, AnythingElseIsABadClaim) {
  Hs256 verify;
  for (const std::string_view claim :
       {"null", "[]", R"("*")", R"({"subscribe":"*"})", R"({"subscribe":[7]})",
        R"({"subscribe":[["a"]]})", R"({"subscribe":["a*"]})", R"({"publish":["{other}"]})",
        R"({"publish":["a\n"]})", R"({"publish":["a\ud800"]})", R"({"subscribe":null})",
        R"({"subscribe":["a"],"subscribe":["*"]})", R"({"subscribe":[],"\u0073ubscribe":["*"]})",
        R"({"subscribe":["a"],"deny":["b"]})"}) {
    EXPECT_EQ(verify(payload_with(R"("ringcast":)" + std::string(claim))), TokenFault::bad_claim)
        << claim;
  }
}

TEST(TokenGrants, AreTwoHundredAndFiftySixOfEachAtMost) {
  Hs256 verify;
  const auto many = [](std::size_t count) {
    std::string list = R"("ringcast":{"subscribe":[)";
    for (std::size_t i = 0; i < count; ++i) list += i == 0 ? R"("a")" : R"(,"a")";
    return payload_with(list + "]}");
  };
  EXPECT_EQ(verify(many(kPatternsMax)), TokenFault::none);
  EXPECT_EQ(verify.claims.grants->subscribe.size(), kPatternsMax);
  EXPECT_EQ(verify(many(kPatternsMax + 1)), TokenFault::bad_claim);
}

// ------------------------------------------------------------------ sessions

TEST(Session, NamesOneTokenAndNoOther) {
  Hs256 verify;
  ASSERT_EQ(verify(payload_with(R"("jti":"1")")), TokenFault::none);
  const std::uint64_t first = verify.claims.session;
  EXPECT_NE(first, 0U);
  ASSERT_EQ(verify(payload_with(R"("jti":"2")")), TokenFault::none);
  EXPECT_NE(verify.claims.session, first);
  ASSERT_EQ(verify(payload_with(R"("jti":"1")")), TokenFault::none);
  EXPECT_EQ(verify.claims.session, first);
}

// Who has a token can write another good signature under it: (r, n - s).
TEST(Session, StaysTheSameUnderARewrittenSignature) {
  TokenVerifier verifier(test::all_keys(), accept({Algorithm::es256}));
  const std::string text = test::signed_text(R"({"alg":"ES256"})", test::kGoodPayload);
  const std::string signature = test::sign(Algorithm::es256, text);

  BIGNUM* order = nullptr;
  ASSERT_EQ(
      EVP_PKEY_get_bn_param(test::key_for(Algorithm::es256), OSSL_PKEY_PARAM_EC_ORDER, &order), 1);
  BIGNUM* const s =
      BN_bin2bn(reinterpret_cast<const unsigned char*>(signature.data()) + 32, 32, nullptr);
  ASSERT_EQ(BN_sub(s, order, s), 1);
  std::string rewritten = signature;
  ASSERT_EQ(BN_bn2binpad(s, reinterpret_cast<unsigned char*>(rewritten.data()) + 32, 32), 32);
  BN_free(s);
  BN_free(order);
  ASSERT_NE(rewritten, signature);

  Claims claims;
  ASSERT_EQ(verifier.verify(text + '.' + test::base64url(signature), kNowMs, claims),
            TokenFault::none);
  const std::uint64_t session = claims.session;
  ASSERT_EQ(verifier.verify(text + '.' + test::base64url(rewritten), kNowMs, claims),
            TokenFault::none);
  EXPECT_EQ(claims.session, session);
}

TEST(TokenFaults, EachHasANameOfItsOwn) {
  std::vector<std::string_view> names;
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(TokenFault::no_user); ++i) {
    names.push_back(to_string(static_cast<TokenFault>(i)));
    EXPECT_NE(names.back(), "unknown");
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_EQ(to_string(TokenFault::unknown_key), "unknown-key");
}

}  // namespace
