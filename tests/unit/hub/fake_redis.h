#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../temporary_folder.h"

namespace ringcast::test {

/// Says what no real Redis would: signs everybody in, keeps nothing, and answers all else as
/// `reply` tells it (called on a thread of its own; an empty text = `-ERR fake`).
class FakeRedis {
 public:
  using Reply = std::function<std::string(const std::vector<std::string>& words)>;
  explicit FakeRedis(Reply reply);
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;
  ~FakeRedis();

  [[nodiscard]] std::string url() const { return "unix://" + folder_.path("fake.sock"); }

  // The form of replies.
  [[nodiscard]] static std::string text(std::string_view what);
  [[nodiscard]] static std::string list(const std::vector<std::string>& replies);
  /// As XRANGE shows it, with `data`.
  [[nodiscard]] static std::string entry(std::string_view id);

 private:
  void run(int listener, int end) const;
  [[nodiscard]] std::string answer(const std::vector<std::string>& words) const;

  TemporaryFolder folder_;
  Reply reply_;
  int end_ = -1;
  std::thread thread_;
};

}  // namespace ringcast::test
