/// Verifying a token: once for each connection, so in a reconnect storm at the rate of accepts.

#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>

#include "ringcast/auth/token.h"

#include "allocation_counter.h"
#include "signing.h"

namespace {

using namespace ringcast;
using auth::Algorithm;
using auth::TokenFault;

void verify(benchmark::State& state, const std::string& token, Algorithm algorithm,
            TokenFault expected) {
  auth::TokenVerifier verifier(test::all_keys(), {.algorithms = {algorithm}});
  auth::Claims claims;
  if (verifier.verify(token, test::kNowMs, claims) != expected) {
    state.SkipWithError("not the fault that was expected");
    return;
  }
  const std::uint64_t before = test::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(verifier.verify(token, test::kNowMs, claims));
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
}

std::string own_token(const auth::Grants* grants) {
  return auth::make_token(*test::all_keys(), {Algorithm::hs256},
                          {.user = "alice", .grants = grants, .issued_s = test::kNowS})
      .value();
}

/// As another issuer writes it.
std::string usual_token(Algorithm algorithm) {
  return test::token(
      algorithm, R"({"alg":")" + std::string(auth::to_string(algorithm)) + R"(","typ":"JWT"})",
      R"({"iss":"https://id.example/realms/main","aud":["events","account"],"sub":"alice",)"
      R"("exp":1700003600,"iat":1700000000,"jti":"0Jk2n3mQyZ0Zq3Qw1u0c5A","email":"a@example.org"})");
}

void algorithm(benchmark::State& state) {
  const auto which = static_cast<Algorithm>(state.range(0));
  state.SetLabel(std::string(auth::to_string(which)));
  verify(state, usual_token(which), which, TokenFault::none);
}
BENCHMARK(algorithm)->DenseRange(0, static_cast<int>(auth::kAlgorithms) - 1);

/// As `POST /login` makes it.
void own(benchmark::State& state) {
  verify(state, own_token(nullptr), Algorithm::hs256, TokenFault::none);
}
BENCHMARK(own);

void own_with_grants(benchmark::State& state) {
  const auth::Grants grants{.subscribe = {"orders", "a topic with a longer name/*"},
                            .publish = {"{self}"}};
  verify(state, own_token(&grants), Algorithm::hs256, TokenFault::none);
}
BENCHMARK(own_with_grants);

/// What an attacker can make us do with a few bytes.
void refused(benchmark::State& state) {
  const auto which = static_cast<Algorithm>(state.range(0));
  state.SetLabel(std::string(auth::to_string(which)));
  std::string token = usual_token(which);
  char& digit = token[token.rfind('.') + 20];
  digit = digit == 'A' ? 'B' : 'A';
  verify(state, token, which, TokenFault::signature);
}
BENCHMARK(refused)
    ->Arg(static_cast<int>(Algorithm::hs256))
    ->Arg(static_cast<int>(Algorithm::rs256))
    ->Arg(static_cast<int>(Algorithm::es384));

/// The longest, all of it header: the most work before any signature is looked at.
void refused_header_of_a_thousand_names(benchmark::State& state) {
  std::string header = R"({"alg":"HS256")";
  for (int i = 0; header.size() < 6000; ++i) header += ",\"" + std::to_string(i) + "\":0";
  const std::string token = test::base64url(header + "}") + ".e30." + std::string(43, 'A');
  verify(state, token, Algorithm::hs256, TokenFault::signature);
}
BENCHMARK(refused_header_of_a_thousand_names);

void make(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(own_token(nullptr).data());
}
BENCHMARK(make);

}  // namespace
