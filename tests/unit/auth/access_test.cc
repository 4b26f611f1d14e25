#include "ringcast/auth/access.h"

#include <algorithm>
#include <barrier>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../temporary_folder.h"

namespace ringcast::auth {
namespace {

namespace fs = std::filesystem;

// htpasswd -nbB -C 5 alice 'correct horse'
constexpr const char* kAlice =
    "alice:$2y$05$1lMVVQs6wF33lD0bhSQpsurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy\n";
constexpr const char* kSecret = "0123456789abcdef0123456789abcdef0123456789abcdef";

class AccessTest : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  [[nodiscard]] std::string secret_file() const { return state_ + "/jwt.secret"; }
  [[nodiscard]] std::string users_file() const { return state_ + "/users.htpasswd"; }

  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] LoadedAccess load(const AuthOptions& options = {}) const {
    auto loaded = load_access(options, state_);
    EXPECT_TRUE(loaded.ok()) << (loaded ? "" : loaded.error().message);
    return loaded ? std::move(loaded).value() : LoadedAccess{};
  }
  [[nodiscard]] std::string fault(const AuthOptions& options) const {
    const auto loaded = load_access(options, state_);
    return loaded ? "" : loaded.error().message;
  }
  static bool fits(const PasswordFile& users, std::string_view user, std::string_view password) {
    const auto entry = users.find(user);
    return password_fits(password, entry.hash) && entry.known;
  }

  const test::TemporaryFolder folder_;
  const std::string state_ = path("var/state");
};

TEST_F(AccessTest, FirstStartMakesASecretAndAUser) {
  const LoadedAccess first = load();
  ASSERT_NE(first.access, nullptr);
  ASSERT_TRUE(first.first_user.has_value());
  EXPECT_EQ(first.first_user->name, "demo");
  EXPECT_EQ(first.first_user->secret_file, secret_file());
  EXPECT_EQ(first.first_user->users_file, users_file());
  ASSERT_NE(first.access->users, nullptr);
  EXPECT_TRUE(fits(*first.access->users, "demo", first.first_user->password));
  EXPECT_FALSE(fits(*first.access->users, "demo", "demo"));
  ASSERT_NE(first.access->keys, nullptr);
  EXPECT_TRUE(first.access->keys->can_sign());
  EXPECT_EQ(first.access->grants_of("demo"), (Grants{{"*"}, {"*"}}));
  EXPECT_EQ(first.access->grants_of("other"), Grants{});
}

TEST_F(AccessTest, FilesAreTheOwnersAlone) {
  const mode_t before = umask(0);
  const LoadedAccess first = load();
  umask(before);
  for (const std::string& file : {secret_file(), users_file()}) {
    struct stat status {};
    ASSERT_EQ(stat(file.c_str(), &status), 0) << file;
    EXPECT_EQ(status.st_mode & 07777, 0600U) << file;
    EXPECT_EQ(status.st_nlink, 1U) << file;
  }
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(state_)) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"jwt.secret", "users.htpasswd"}));
}

TEST_F(AccessTest, SecretIsLongRandomText) {
  (void)load();
  const std::string secret = read(secret_file());
  ASSERT_EQ(secret.size(), 65U);  // 48 bytes in base64url, and a line end: enough for HS512
  EXPECT_EQ(secret.back(), '\n');
  EXPECT_EQ(secret.substr(0, 64).find_first_not_of(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  fs::remove_all(state_);
  (void)load();
  EXPECT_NE(read(secret_file()), secret);
}

TEST_F(AccessTest, SecretServesEveryAlgorithmOfSecrets) {
  for (const Algorithm algorithm : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
    EXPECT_EQ(fault(AuthOptions{.algorithms = {algorithm}}), "") << to_string(algorithm);
  }
}

TEST_F(AccessTest, FirstPasswordIsEasyToType) {
  std::set<std::string> passwords;
  std::set<char> letters;
  for (int i = 0; i < 4; ++i) {
    fs::remove_all(state_);
    const LoadedAccess first = load();
    ASSERT_TRUE(first.first_user.has_value());
    const std::string& password = first.first_user->password;
    passwords.insert(password);
    ASSERT_EQ(password.size(), 19U) << password;
    for (std::size_t at = 0; at < password.size(); ++at) {
      if (at % 5 == 4) {
        EXPECT_EQ(password[at], '-') << password;
      } else {
        EXPECT_NE(std::string_view("abcdefghijkmnpqrstuvwxyz23456789").find(password[at]),
                  std::string_view::npos)
            << password;
        letters.insert(password[at]);
      }
    }
  }
  EXPECT_EQ(passwords.size(), 4U);
  EXPECT_GT(letters.size(), 12U);  // of 32, in 64 draws
}

TEST_F(AccessTest, LaterStartsKeepTheFilesAndTellNothing) {
  const LoadedAccess first = load();
  const std::string secret = read(secret_file());
  const std::string users = read(users_file());
  const LoadedAccess second = load();
  EXPECT_FALSE(second.first_user.has_value());
  EXPECT_EQ(read(secret_file()), secret);
  EXPECT_EQ(read(users_file()), users);
  EXPECT_TRUE(fits(*second.access->users, "demo", first.first_user->password));
  EXPECT_EQ(second.access->grants_of("demo"), (Grants{{"*"}, {"*"}}));
}

TEST_F(AccessTest, EachMissingFileIsMadeWithoutTouchingTheOther) {
  (void)load();
  const std::string secret = read(secret_file());
  fs::remove(users_file());
  const LoadedAccess renewed = load();
  ASSERT_TRUE(renewed.first_user.has_value());
  EXPECT_TRUE(fits(*renewed.access->users, "demo", renewed.first_user->password));
  EXPECT_EQ(read(secret_file()), secret);

  const std::string users = read(users_file());
  fs::remove(secret_file());
  EXPECT_FALSE(load().first_user.has_value());
  EXPECT_EQ(read(users_file()), users);
  EXPECT_NE(read(secret_file()), secret);
}

TEST_F(AccessTest, ChangedUsersFileOfTheStateDirectoryIsKept) {
  write("var/state/users.htpasswd", kAlice);
  const LoadedAccess loaded = load();
  EXPECT_FALSE(loaded.first_user.has_value());
  EXPECT_TRUE(fits(*loaded.access->users, "alice", "correct horse"));
  EXPECT_FALSE(loaded.access->users->find("demo").known);
  EXPECT_TRUE(loaded.access->grants.empty()) << "there is no demo to grant anything to";
}

TEST_F(AccessTest, ConfiguredGrantsOfTheFirstUserStay) {
  const Grants own{{"orders"}, {}};
  EXPECT_EQ(load({.grants = {{"demo", own}}}).access->grants_of("demo"), own);
  const LoadedAccess all = load({.grants = {{"*", own}}});
  EXPECT_EQ(all.access->grants_of("demo"), own);
  EXPECT_EQ(all.access->grants.size(), 1U);
  const LoadedAccess other = load({.grants = {{"alice", own}}});
  EXPECT_EQ(other.access->grants_of("demo"), (Grants{{"*"}, {"*"}}));
  EXPECT_EQ(other.access->grants_of("alice"), own);
}

TEST_F(AccessTest, GrantsOfEverybodyAreForThoseWithoutTheirOwn) {
  Access access;
  EXPECT_EQ(access.grants_of("alice"), Grants{});
  access.grants = {{"*", Grants{{"news"}, {}}}, {"alice", Grants{{}, {"orders"}}}};
  EXPECT_EQ(access.grants_of("alice"), (Grants{{}, {"orders"}}));
  EXPECT_EQ(access.grants_of("bob"), (Grants{{"news"}, {}}));
}

// Takes part in a race for the first start: what it reports, and what it would then use.
std::string race_outcome(const std::string& state) {
  const auto loaded = load_access(AuthOptions{}, state);
  if (!loaded) return "error " + loaded.error().message;
  if (!loaded.value().first_user) return "ready";
  return "made " + loaded.value().first_user->password;
}

void expect_one_winner(const std::vector<std::string>& outcomes, const std::string& users_file) {
  std::vector<std::string> made;
  for (const std::string& outcome : outcomes) {
    if (outcome != "ready") made.push_back(outcome);
  }
  ASSERT_EQ(made.size(), 1U) << made[0];
  ASSERT_EQ(made[0].substr(0, 5), "made ");
  const auto users = PasswordFile::load(users_file);
  ASSERT_TRUE(users.ok());
  EXPECT_EQ(users.value()->size(), 1U);
  EXPECT_TRUE(password_fits(made[0].substr(5), users.value()->find("demo").hash));
}

TEST_F(AccessTest, OfThreadsThatStartAtOnceOneMakesTheFiles) {
  constexpr int kThreads = 6;
  for (int round = 0; round < 2; ++round) {
    fs::remove_all(state_);
    std::barrier start(kThreads);
    std::vector<std::string> outcomes(kThreads);
    std::vector<std::thread> threads;
    for (std::string& outcome : outcomes) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        outcome = race_outcome(state_);
      });
    }
    for (std::thread& thread : threads) thread.join();
    expect_one_winner(outcomes, users_file());
    EXPECT_EQ(std::distance(fs::directory_iterator(state_), {}), 2) << "left-over files";
  }
}

TEST_F(AccessTest, OfProcessesThatStartAtOnceOneMakesTheFilesAndAllUseThem) {
  constexpr int kProcesses = 6;
  int start[2];
  int answers[2];
  ASSERT_EQ(pipe(start), 0);
  ASSERT_EQ(pipe(answers), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(start[1]);
      char byte = 0;
      (void)!::read(start[0], &byte, 1);  // until the parent closes it
      std::string line = race_outcome(state_) + "\t";
      line += read(secret_file());
      const bool told = ::write(answers[1], line.data(), line.size()) > 0;
      _exit(told ? 0 : 1);
    }
    children.push_back(child);
  }
  close(start[0]);
  close(start[1]);
  close(answers[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(answers[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  close(answers[0]);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::vector<std::string> outcomes;
  std::set<std::string> secrets;
  while (!text.empty()) {
    const auto tab = text.find('\t');
    const auto end = text.find('\n');
    ASSERT_TRUE(tab != std::string::npos && end != std::string::npos && tab < end) << text;
    outcomes.push_back(text.substr(0, tab));
    secrets.insert(text.substr(tab + 1, end - tab - 1));
    text.erase(0, end + 1);
  }
  EXPECT_EQ(outcomes.size(), static_cast<std::size_t>(kProcesses));
  EXPECT_EQ(secrets.size(), 1U) << "somebody signs with another secret";
  EXPECT_EQ(secrets.begin()->size(), 64U);
  expect_one_winner(outcomes, users_file());
}

TEST_F(AccessTest, WithoutIdentityNothingIsReadOrMade) {
  const LoadedAccess loaded = load({.required = false, .users_file = path("none")});
  ASSERT_NE(loaded.access, nullptr);
  EXPECT_FALSE(loaded.access->required);
  EXPECT_EQ(loaded.access->keys, nullptr);
  EXPECT_EQ(loaded.access->users, nullptr);
  EXPECT_FALSE(fs::exists(state_));
}

TEST_F(AccessTest, ConfiguredFilesAreUsedAndNothingIsMade) {
  AuthOptions options{.cookie = "session",
                      .same_site = SameSite::none,
                      .token_seconds = 60,
                      .issuer = "us",
                      .audience = "them",
                      .leeway_seconds = 5};
  options.keys.secret_file = write("secret", kSecret);
  options.users_file = write("users", kAlice);
  const LoadedAccess loaded = load(options);
  EXPECT_FALSE(loaded.first_user.has_value());
  EXPECT_FALSE(fs::exists(state_));
  ASSERT_NE(loaded.access->users, nullptr);
  EXPECT_TRUE(loaded.access->users->find("alice").known);
  EXPECT_TRUE(loaded.access->required);
  EXPECT_EQ(loaded.access->cookie, "session");
  EXPECT_EQ(loaded.access->same_site, SameSite::none);
  EXPECT_EQ(loaded.access->token_seconds, 60U);
  EXPECT_EQ(loaded.access->tokens, (TokenPolicy{{Algorithm::hs256}, "us", "them", 5}));
}

TEST_F(AccessTest, OwnKeysWithoutAUsersFileMeanNoSignIn) {
  AuthOptions options;
  options.keys.secret_file = write("secret", kSecret);
  EXPECT_EQ(load(options).access->users, nullptr);
  EXPECT_FALSE(fs::exists(state_));
}

TEST_F(AccessTest, OwnUsersFileGoesWithTheMadeSecret) {
  AuthOptions options;
  options.users_file = write("users", "demo" + std::string(kAlice).substr(5));
  const LoadedAccess loaded = load(options);
  EXPECT_FALSE(loaded.first_user.has_value());
  EXPECT_TRUE(fs::exists(secret_file()));
  EXPECT_FALSE(fs::exists(users_file()));
  EXPECT_TRUE(loaded.access->users->find("demo").known);
  EXPECT_EQ(loaded.access->grants_of("demo"), Grants{}) << "another demo than the one that is made";
}

TEST_F(AccessTest, ErrorsBeginWithTheKeyAndNameTheFile) {
  AuthOptions options;
  options.keys.secret_file = write("secret", kSecret);
  options.users_file = write("users", "alice\n");
  EXPECT_EQ(fault(options), "auth.users_file: " + path("users") +
                                ": line 1: has no colon; a line is NAME:HASH, as `htpasswd -B` "
                                "writes it");
  options.users_file = path("none");
  EXPECT_EQ(fault(options),
            "auth.users_file: " + path("none") + ": No such file or directory (ENOENT)");

  const auto begins = [&](const AuthOptions& given, const std::string& front) {
    const std::string message = fault(given);
    EXPECT_EQ(message.substr(0, front.size()), front) << message;
  };
  AuthOptions secret;
  secret.keys.secret_file = write("short", "short");
  begins(secret, "auth.secret_file: " + path("short"));
  AuthOptions jwks{.algorithms = {Algorithm::rs256}};
  jwks.keys.jwks_file = path("none.json");
  begins(jwks, "auth.jwks_file: " + path("none.json"));
  AuthOptions pem{.algorithms = {Algorithm::rs256}};
  pem.keys.key_files = {path("none.pem")};
  begins(pem, "auth.key_files: " + path("none.pem"));
}

TEST_F(AccessTest, NothingIsMadeForAlgorithmsThatCannotUseIt) {
  const std::string message = fault({.algorithms = {Algorithm::rs256, Algorithm::eddsa}});
  EXPECT_EQ(message.substr(0, 49), "auth.algorithms: there is no key for any of them.") << message;
  EXPECT_FALSE(fs::exists(state_));
  EXPECT_NE(fault({.algorithms = {}}), "");
}

TEST_F(AccessTest, SignInNeedsASecretToSignWith) {
  AuthOptions options{.algorithms = {Algorithm::eddsa}};
  // openssl genpkey -algorithm ed25519 | openssl pkey -pubout
  options.keys.key_files = {write("key.pem",
                                  "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                  "-----END PUBLIC KEY-----\n")};
  EXPECT_EQ(fault(options), "");
  options.users_file = write("users", kAlice);
  EXPECT_EQ(fault(options).substr(0, 17), "auth.users_file: ");
}

TEST_F(AccessTest, UnusableStateDirectoryIsNamed) {
  write("file", "");
  const auto loaded = load_access(AuthOptions{}, path("file"));
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().message.find("server.state_directory: "), 0U) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(path("file")), std::string::npos);
}

TEST_F(AccessTest, SecretThatIsNoneIsNeitherUsedNorReplaced) {
  for (const char* const text : {"", "short\n"}) {
    write("var/state/jwt.secret", text);
    const std::string message = fault({});
    EXPECT_EQ(message.find("server.state_directory: " + secret_file()), 0U) << message;
    EXPECT_EQ(read(secret_file()), text);
  }
  fs::remove(secret_file());
  fs::create_symlink("nowhere", secret_file());
  EXPECT_NE(fault({}), "");
  EXPECT_TRUE(fs::is_symlink(secret_file()));
}

}  // namespace
}  // namespace ringcast::auth
