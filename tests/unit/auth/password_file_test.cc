#include "ringcast/auth/password_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <crypt.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "../temporary_folder.h"

namespace ringcast::auth {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPassword = "correct horse";
// The same password, hashed by other programs.
constexpr std::string_view kHtpasswd5 =  // htpasswd -nbB -C 5
    "$2y$05$1lMVVQs6wF33lD0bhSQpsurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy";
constexpr std::string_view kHtpasswd10 =  // htpasswd -nbB -C 10
    "$2y$10$VCrtr5WLtjQJiaNQm4opRe13vQz.nA7o.Modn1r0XXpZxHBKRDBN2";
constexpr std::string_view kBcryptA =  // mkpasswd -m bcrypt-a
    "$2a$05$r8xwNLufXb4iIbW3B3QYR.9FlgqF5Qv3ulQxBOCcSK8.giuvR1K62";
constexpr std::string_view kBcryptB =  // mkpasswd -m bcrypt
    "$2b$05$aiwgmKu3tk449NFtTghLnu/KE8CozKHb9plB1snvjFWLhDyuGpVwi";
constexpr std::string_view kYescrypt1 =  // mkpasswd -m yescrypt -R 1
    "$y$j75$9FvD6tdUclkj6DmL5mN4J/$0obhQcXIR2yNK6bra4y/QlpojJ4LRHZOMuuoCl.Db0D";
constexpr std::string_view kYescrypt5 =  // mkpasswd -m yescrypt
    "$y$j9T$T4DFvdGq9njhGFpwebB2f1$nqiVFiYuCR/fSVXf/FHhqEnlwIio2VX7ltOBoDihzs9";
constexpr std::string_view kSha512 =  // mkpasswd -m sha-512
    "$6$ZPFZ0v46p7K9qQ4X$A2Iamb0eY2PPF680YQik4kJYAw4trBeQp5nOUKb4es.NokaekAUIoqSTWJ5ql2SJA/"
    "I2I1li3ktcDTQUW2x7P1";
constexpr std::string_view kSha512Short =  // openssl passwd -6 -salt saltsalt
    "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/"
    "uamSo5z0";
constexpr std::string_view kSha512Rounds =  // mkpasswd -m sha-512 -R 1000
    "$6$rounds=1000$9luSEdJ8Szha5Dkh$FkmEp1/IBNpWvpU05dkrbibq2yWVI5sbIYw3eyJROrU7MyYfQDjWwjm41mlsJ4"
    "7qPn72bxnJJsx.nB8tHz.pW/";

constexpr std::string_view kAccepted[] = {kHtpasswd5, kHtpasswd10,  kBcryptA,
                                          kBcryptB,   kYescrypt1,   kYescrypt5,
                                          kSha512,    kSha512Short, kSha512Rounds};

std::shared_ptr<const PasswordFile> parse(std::string_view text) {
  auto file = PasswordFile::parse(text, "users");
  EXPECT_TRUE(file.ok()) << (file ? "" : file.error().message);
  return file ? std::move(file).value() : nullptr;
}

std::string fault(std::string_view text) {
  const auto file = PasswordFile::parse(text, "users");
  return file ? "" : file.error().message;
}

std::string with_user(std::string_view name, std::string_view hash) {
  return std::string(name) + ":" + std::string(hash) + "\n";
}

// What crypt_r makes of a password and a setting; only its cost matters to the tests of decoys.
std::string hash_with(std::string_view setting) {
  const auto data = std::make_unique<crypt_data>();
  return crypt_r("any password", std::string(setting).c_str(), data.get());
}

TEST(Passwords, FitTheHashesOfHtpasswdAndMkpasswd) {
  for (const std::string_view hash : kAccepted) {
    EXPECT_TRUE(password_fits(kPassword, hash)) << hash;
    EXPECT_FALSE(password_fits("correct horsf", hash)) << hash;
  }
}

TEST(Passwords, OthersDoNotFit) {
  for (const std::string_view wrong :
       {std::string_view(), std::string_view("correct hors"), std::string_view("correct horse "),
        std::string_view("Correct horse"), std::string_view("correct horse\0", 14),
        std::string_view("correct horse\0x", 15)}) {
    EXPECT_FALSE(password_fits(wrong, kHtpasswd5)) << wrong;
  }
}

TEST(Passwords, EveryByteOfUtf8Counts) {
  // htpasswd -nbB -C 4
  constexpr std::string_view kHash = "$2y$04$YVTZflUZ/z.Q4L1SZPnvFeGbZjxJGF77otgPHAebbzdtPvkUWrVpK";
  EXPECT_TRUE(password_fits("zażółć gęślą 🔑", kHash));
  EXPECT_FALSE(password_fits("zażółć gęślą 🔒", kHash));
}

TEST(Passwords, EmptyOneFitsOnlyItsOwnHash) {
  // htpasswd -nbB -C 4 x ''
  EXPECT_TRUE(password_fits("", "$2y$04$f/MPRumt42GDfPZyvyNrP.EkaqFBRlaER7lI8gl3ALGqTMbw.nxc6"));
  EXPECT_FALSE(password_fits("", kHtpasswd5));
  EXPECT_FALSE(password_fits(std::string_view("\0", 1),
                             "$2y$04$f/MPRumt42GDfPZyvyNrP.EkaqFBRlaER7lI8gl3ALGqTMbw.nxc6"));
}

TEST(Passwords, BcryptLooksAtSeventyTwoBytes) {
  // htpasswd -nbB -C 4, of 80 times `p`
  constexpr std::string_view kHash = "$2y$04$0KJgo0It2dLObKd5SJUVHut44I4zrwog61GuGfVxxse1ewv.tPEAS";
  EXPECT_TRUE(password_fits(std::string(80, 'p'), kHash));
  EXPECT_TRUE(password_fits(std::string(72, 'p'), kHash));
  EXPECT_FALSE(password_fits(std::string(71, 'p'), kHash));
}

TEST(Passwords, LongerThanTheLimitNeverFits) {
  constexpr std::string_view kHash = "$2y$04$0KJgo0It2dLObKd5SJUVHut44I4zrwog61GuGfVxxse1ewv.tPEAS";
  EXPECT_TRUE(password_fits(std::string(kPasswordBytesMax, 'p'), kHash));
  EXPECT_FALSE(password_fits(std::string(kPasswordBytesMax + 1, 'p'), kHash));
  EXPECT_FALSE(password_fits(std::string(100'000, 'p'), kHash));
}

TEST(Passwords, FitNoHashOfAKindThatIsNotTaken) {
  // Each is a hash of `b`.
  EXPECT_FALSE(password_fits("b", "u8bBps8L6wE8Y"));
  EXPECT_FALSE(password_fits("b", "$1$Nhmoz52C$E2AoJcB9qoyXHnOFFRQWh."));
  EXPECT_FALSE(
      password_fits("b", "$5$i3EdFiAXQrMdrwjU$fCafGK3LqMCi5FRX2Gc56e0pb4hYNmzel4uaF.edtD."));
  EXPECT_FALSE(password_fits("b", "b"));
  EXPECT_FALSE(password_fits("b", ""));
  EXPECT_FALSE(password_fits("", ""));
  EXPECT_FALSE(password_fits("*0", "*0"));
  EXPECT_FALSE(password_fits("b", std::string("$6$") + std::string(1000, 'a')));
}

TEST(Passwords, HashThatIsMadeFitsItsPassword) {
  const auto hash = hash_password(kPassword);
  ASSERT_TRUE(hash.ok());
  EXPECT_EQ(hash.value().substr(0, 7), "$2y$10$");
  EXPECT_TRUE(password_fits(kPassword, hash.value()));
  EXPECT_FALSE(password_fits("correct horsf", hash.value()));
  EXPECT_NE(hash.value(), hash_password(kPassword).value());
  EXPECT_EQ(fault(with_user("alice", hash.value())), "");
}

TEST(Passwords, NoneIsMadeOfWhatBcryptWouldCut) {
  EXPECT_TRUE(hash_password(std::string(72, 'p')).ok());
  EXPECT_FALSE(hash_password(std::string(73, 'p')).ok());
  EXPECT_FALSE(hash_password(std::string_view("a\0b", 3)).ok());
}

TEST(PasswordFile, FindsEachUser) {
  std::string text = "# made by hand\n\n";
  int number = 0;
  for (const std::string_view hash : kAccepted) {
    text += with_user("user" + std::to_string(++number), hash);
    text += "  \t\n";
  }
  const auto file = parse(text);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->size(), std::size(kAccepted));
  number = 0;
  for (const std::string_view hash : kAccepted) {
    const auto entry = file->find("user" + std::to_string(++number));
    EXPECT_TRUE(entry.known);
    EXPECT_EQ(entry.hash, hash);
  }
  EXPECT_FALSE(file->find("user").known);
  EXPECT_FALSE(file->find("USER1").known);
  EXPECT_FALSE(file->find("").known);
  EXPECT_FALSE(file->find("# made by hand").known);
}

TEST(PasswordFile, TakesLineEndsOfOtherSystemsAndNoneAtTheEnd) {
  const auto file = parse(
      "\xef\xbb\xbf"
      "alice:" +
      std::string(kHtpasswd5) + "\r\n\r\nbob:" + std::string(kBcryptB));
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->find("alice").hash, kHtpasswd5);
  EXPECT_EQ(file->find("bob").hash, kBcryptB);
}

TEST(PasswordFile, WithoutUsersLetsNobodyIn) {
  for (const char* const text : {"", "\n\n", "# nobody\n"}) {
    const auto file = parse(text);
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(file->size(), 0U);
    const auto entry = file->find("alice");
    EXPECT_FALSE(entry.known);
    EXPECT_EQ(entry.hash.substr(0, 7), "$2y$10$");
    EXPECT_EQ(hash_with(entry.hash).substr(0, 29), entry.hash.substr(0, 29));
    EXPECT_FALSE(password_fits("any password", entry.hash));
  }
}

TEST(PasswordFile, DecoyCostsWhatTheCostliestHashCosts) {
  struct Case {
    std::vector<std::string_view> hashes;
    std::string_view costliest;
    std::size_t setting_bytes;
  };
  const Case cases[] = {
      {{kHtpasswd5}, kHtpasswd5, 29},
      {{kHtpasswd5, kHtpasswd10, kBcryptB}, kHtpasswd10, 29},
      {{kSha512, kSha512Rounds}, kSha512, 20},
      {{kSha512Rounds, kSha512Short, kBcryptB}, kBcryptB, 29},
      {{kYescrypt1, kYescrypt5, kHtpasswd5}, kYescrypt5, 30},
      {{kYescrypt1, kSha512}, kSha512, 20},
      {{kYescrypt5, kHtpasswd10}, kHtpasswd10, 29},
  };
  for (const Case& each : cases) {
    std::string text;
    for (const std::string_view hash : each.hashes) {
      text += with_user("user" + std::to_string(text.size()), hash);
    }
    const auto file = parse(text);
    ASSERT_NE(file, nullptr);
    const auto decoy = file->find("nobody");
    EXPECT_FALSE(decoy.known);
    EXPECT_EQ(decoy.hash.substr(0, each.setting_bytes),
              each.costliest.substr(0, each.setting_bytes));
    EXPECT_EQ(decoy.hash.size(), each.costliest.size());
    // libcrypt really hashes with it, and never makes this digest.
    const std::string made = hash_with(decoy.hash);
    EXPECT_EQ(made.substr(0, each.setting_bytes), decoy.hash.substr(0, each.setting_bytes));
    EXPECT_EQ(made.size(), decoy.hash.size());
    EXPECT_NE(made, decoy.hash);
    EXPECT_NE(fault(with_user("nobody", decoy.hash)), "");
    EXPECT_FALSE(password_fits(kPassword, decoy.hash));
  }
}

TEST(PasswordFile, ErrorNamesFileLineUserAndRemedy) {
  EXPECT_EQ(fault("# users\nalice:" + std::string(kHtpasswd5) + "\nbob:$apr1$x$y\n"),
            "users: line 3: user \"bob\": MD5 of Apache (`$apr1$`) is too weak; make a new one: "
            "htpasswd -B -C 10 users bob");
  EXPECT_EQ(PasswordFile::parse("it's me:b\n", "/etc/my users").error().message,
            "/etc/my users: line 1: user \"it's me\": a password in plain text is no hash; make a "
            "new one: htpasswd -B -C 10 '/etc/my users' 'it'\\''s me'");
  EXPECT_EQ(fault("alice\n"),
            "users: line 1: has no colon; a line is NAME:HASH, as `htpasswd -B` writes it");
}

TEST(PasswordFile, RefusesKindsThatAreTooWeak) {
  // Of htpasswd with -m, -s, -d, -p, -5, of openssl passwd -1, and of mkpasswd.
  const std::pair<std::string_view, std::string_view> kinds[] = {
      {"$apr1$iG5EteZf$Ci.6kdL/q4jQVgZnlxz2d1", "MD5 of Apache"},
      {"{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=", "SHA-1 without a salt"},
      {"u8bBps8L6wE8Y", "DES"},
      {"b", "plain text"},
      {"hunter2:$2y$", "plain text"},
      {"$5$i3EdFiAXQrMdrwjU$fCafGK3LqMCi5FRX2Gc56e0pb4hYNmzel4uaF.edtD.", "SHA-256"},
      {"$1$Nhmoz52C$E2AoJcB9qoyXHnOFFRQWh.", "MD5 (`$1$`)"},
      {"$2x$05$aiwgmKu3tk449NFtTghLnu/KE8CozKHb9plB1snvjFWLhDyuGpVwi", "$2x$"},
      {"$gy$j9T$zBUIToo4DYouF/faDiKrg.$b.rJ4aoXfpNXgoSxj49qsnw7YwLdFUSe/bDTxoacQh3", "not taken"},
      {"$7$CU..../....M7utFKNqompUnIC.B6aDK.$.5tKI/mR0DQckrCjuf1/VG2czA8bjmJb.hGvQNo5QIB",
       "not taken"},
      {"$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "not taken"},
      {"_J9..rasmBYk8r9AiWNc", "DES"},
      {"!", "locked"},
      {"*", "locked"},
      {"!$6$saltsalt$x", "locked"},
      {"", "no hash"},
  };
  for (const auto& [hash, reason] : kinds) {
    const std::string message = fault(with_user("alice", hash));
    EXPECT_NE(message.find(reason), std::string::npos) << hash << " -> " << message;
    EXPECT_NE(message.find("line 1: user \"alice\""), std::string::npos) << message;
    EXPECT_NE(message.find("htpasswd -B -C 10 users alice"), std::string::npos) << message;
    if (hash.size() > 4) {
      EXPECT_EQ(message.find(hash), std::string::npos) << "shows the hash";
    }
  }
}

TEST(PasswordFile, RefusesDamagedHashes) {
  for (const std::string_view hash : kAccepted) {
    const std::string good(hash);
    const std::size_t digest = good.size() - 5;
    std::vector<std::string> bad{good.substr(0, good.size() - 1), good + "a", good + " ",
                                 good + ":comment", good.substr(0, 8)};
    for (const char c : {'!', ' ', '-', '_', '=', '$', '\0', '\x80'}) {
      bad.push_back(good);
      bad.back()[digest] = c;
    }
    bad.push_back(good);
    bad.back().back() = hash.starts_with("$2") ? '9' : 'z';  // bits beyond the digest
    for (const std::string& text : bad) {
      EXPECT_NE(fault(with_user("alice", text)), "") << text;
    }
  }
  for (const char* const hash : {
           "$2y$5$$1lMVVQs6wF33lD0bhSQpsurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy",
           "$2y$03$1lMVVQs6wF33lD0bhSQpsurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy",
           "$2y$-5$1lMVVQs6wF33lD0bhSQpsurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy",
           "$2y$05$1lMVVQs6wF33lD0bhSQpstrxI6J/F/M7iSbc72nRxcbBIl/lbUbYy",  // salt of too many bits
           "$2y$05$1lMVVQs6wF33lD0bhS:psurxI6J/F/M7iSbc72nRxcbBIl/lbUbYy",
           "$2y$",
           "$y$",
           "$6$",
           "$y$j75$$0obhQcXIR2yNK6bra4y/QlpojJ4LRHZOMuuoCl.Db0D",
           "$y$j75$9$0obhQcXIR2yNK6bra4y/QlpojJ4LRHZOMuuoCl.Db0D",
           "$y$j75$9FvD6tdUclkj6DmL5mN4Jz$0obhQcXIR2yNK6bra4y/QlpojJ4LRHZOMuuoCl.Db0D",
       }) {
    EXPECT_NE(fault(with_user("alice", hash)), "") << hash;
  }
}

TEST(PasswordFile, RefusesCostsOfManySeconds) {
  const std::string bcrypt(kHtpasswd5);
  for (const char* const cost : {"04", "15"}) {
    EXPECT_EQ(fault(with_user("a", "$2y$" + std::string(cost) + bcrypt.substr(6))), "") << cost;
  }
  for (const char* const cost : {"16", "31", "99"}) {
    EXPECT_NE(
        fault(with_user("a", "$2y$" + std::string(cost) + bcrypt.substr(6))).find("15 at most"),
        std::string::npos)
        << cost;
  }
  const std::string sha_end(kSha512Rounds.substr(kSha512Rounds.find("$9lu")));
  for (const char* const rounds : {"1000", "1000000"}) {
    EXPECT_EQ(fault(with_user("a", "$6$rounds=" + std::string(rounds) + sha_end)), "") << rounds;
  }
  for (const char* const rounds : {"1000001", "999999999", "99999999999999999999999"}) {
    EXPECT_NE(
        fault(with_user("a", "$6$rounds=" + std::string(rounds) + sha_end)).find("1000000 at most"),
        std::string::npos)
        << rounds;
  }
  for (const char* const rounds : {"999", "0", "", "-5000", "05000", "5000x", "0x2000", " 5000"}) {
    EXPECT_NE(fault(with_user("a", "$6$rounds=" + std::string(rounds) + sha_end)).find("damaged"),
              std::string::npos)
        << rounds;
  }
}

TEST(PasswordFile, BoundsTheMemoryOfYescrypt) {
  // Every cost that crypt_gensalt knows, in its own words.
  const std::string end(kYescrypt5.substr(kYescrypt5.rfind('$')));
  for (unsigned long cost = 1; cost <= 11; ++cost) {
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    ASSERT_NE(crypt_gensalt_rn("$y$", cost, nullptr, 0, setting, sizeof setting), nullptr);
    const std::string message = fault(with_user("a", setting + end));
    if (cost <= 9) {
      EXPECT_EQ(message, "") << setting;
    } else {
      EXPECT_NE(message.find("256 MiB"), std::string::npos) << setting << " -> " << message;
    }
  }
  // Another flavour, parameters cut short, more of them, the largest numbers, too little work.
  for (const char* const parameters :
       {"", "j9k", "j9z", "jk.", "jzT", ".9T", "/9T", "j", "j9", "j9T.", "j9T/./", "jzzzzzzzz",
        "jzzzzzz", "j9zzzzzz", "j..", "j5.", "k9T", "j9-", "zzzz9T"}) {
    const std::string hash =
        "$y$" + std::string(parameters) + std::string(kYescrypt5.substr(kYescrypt5.find("$T4D")));
    EXPECT_NE(fault(with_user("a", hash)), "") << hash;
  }
}

TEST(PasswordFile, RefusesNamesThatAreNone) {
  const std::string hash = ":" + std::string(kHtpasswd5) + "\n";
  EXPECT_EQ(fault(hash), "users: line 1: the name: must not be empty");
  EXPECT_EQ(fault("a\tb" + hash), "users: line 1: the name: must not contain control characters");
  EXPECT_EQ(fault(std::string(129, 'a') + hash), "users: line 1: the name: longer than 128 bytes");
  EXPECT_EQ(fault("\xff" + hash), "users: line 1: the name: not valid UTF-8");
  EXPECT_EQ(fault("alice" + hash + "bob" + hash + "alice" + hash),
            "users: line 3: user \"alice\": is there already, in line 1");
}

class PasswordFileOnDisk : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }

  const test::TemporaryFolder folder_;
};

TEST_F(PasswordFileOnDisk, IsReadWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += with_user("user" + std::to_string(i), kHtpasswd5);
  write("users", text);
  const auto file = PasswordFile::load(path("users"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file.value()->size(), 5000U);
  EXPECT_TRUE(file.value()->find("user4999").known);
}

TEST_F(PasswordFileOnDisk, ErrorBeginsWithThePath) {
  EXPECT_EQ(PasswordFile::load(path("none")).error().message,
            path("none") + ": No such file or directory (ENOENT)");
  EXPECT_EQ(PasswordFile::load(folder_.path()).error().message, folder_.path() + ": is not a file");
  write("users", "alice\n");
  EXPECT_EQ(PasswordFile::load(path("users")).error().message.find(path("users") + ": line 1: "),
            0U);
}

TEST_F(PasswordFileOnDisk, PipeIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(PasswordFile::load(path("pipe")).error().message, path("pipe") + ": is not a file");
}

TEST_F(PasswordFileOnDisk, HasALimit) {
  std::string text(kPasswordFileBytesMax, '\n');
  write("users", text);
  EXPECT_TRUE(PasswordFile::load(path("users")).ok());
  write("users", text + "\n");
  EXPECT_EQ(PasswordFile::load(path("users")).error().message,
            path("users") + ": larger than 16 MiB");
}

}  // namespace
}  // namespace ringcast::auth
