// The corpora of tests/data: every object of a served kind is taken whole or refused with file and
// line, and what is taken can be written out and taken again.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <base/bytes.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "manifest/manifest_file.hpp"
#include "manifest/quantity.hpp"

namespace nexus::manifest {
namespace {

namespace fs = std::filesystem;

bool rewrite_golden = false;

const fs::path kData = fs::path(PROJECT_SOURCE_DIR) / "tests/data";
const fs::path kGolden = fs::path(TEST_SOURCE_DIR) / "reach.txt";

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<fs::path> manifests() {
  std::vector<fs::path> all;
  for (const char* corpus : {"k8s-manifests-apps", "k8s-manifests-kinds"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kData / corpus)) {
      if (entry.path().extension() == ".yaml") all.push_back(fs::relative(entry.path(), kData));
    }
  }
  std::ranges::sort(all);
  return all;
}

bool same_value(const Json& written, const Json& admitted) {
  if (written == admitted) return true;
  const auto amount = [](const Json& value) {
    return Quantity::parse(value.is_string() ? value.get<std::string>() : value.dump());
  };
  const bool scalars = !written.is_structured() && !admitted.is_structured();
  const auto a = scalars ? amount(written) : base::Result<Quantity>(std::unexpected(base::Error{}));
  const auto b =
      scalars ? amount(admitted) : base::Result<Quantity>(std::unexpected(base::Error{}));
  return a && b && *a == *b;
}

/// Everything that was written and is not in what was admitted.
void find_lost(const Json& written, const Json& admitted, const std::string& path,
               std::vector<std::string>& lost) {
  if (written.is_null()) return;
  if (written.is_object()) {
    for (const auto& member : written.items()) {
      const std::string here = path + "/" + member.key();
      if (here == "/status" || member.value().is_null()) continue;
      if (here == "/stringData") {
        for (const auto& text : member.value().items()) {
          const std::string base64 =
              base::to_base64(base::as_bytes(text.value().get<std::string>()));
          if (admitted["data"][text.key()] != base64) lost.push_back(here + "/" + text.key());
        }
      } else if (!admitted.is_object() || !admitted.contains(member.key())) {
        lost.push_back(here);
      } else {
        find_lost(member.value(), admitted[member.key()], here, lost);
      }
    }
  } else if (written.is_array()) {
    if (!admitted.is_array() || admitted.size() != written.size()) return lost.push_back(path);
    for (std::size_t i = 0; i < written.size(); ++i) {
      find_lost(written[i], admitted[i], fmt::format("{}/{}", path, i), lost);
    }
  } else if (!same_value(written, admitted)) {
    lost.push_back(path);
  }
}

bool is_of_served_kind(const Json& object) {
  if (!object.is_object() || !object.contains("kind") || !object["kind"].is_string()) return false;
  const std::string kind = object["kind"].get<std::string>();
  const auto served = std::ranges::find(served_kinds(), kind, &KindInfo::kind);
  return served != served_kinds().end() && served->serves(Verb::Create);
}

std::string name_of(const Json& object) {
  const Json metadata = object.value("metadata", Json::object());
  return fmt::format(
      "{}/{}", object["kind"].get<std::string>(),
      metadata.is_object() && metadata.contains("name") ? metadata["name"].dump() : "?");
}

TEST(ManifestCorpora, ObjectsAreTakenWholeOrRefusedWithFileAndLine) {
  std::string outcome;
  std::size_t served = 0, accepted = 0, seen = 0;
  for (const fs::path& path : manifests()) {
    const std::string file = path.string();
    SCOPED_TRACE(file);
    const std::string text = read_text(kData / path);
    Documents documents = read_documents(text, file);
    EXPECT_TRUE(documents.problems.empty()) << describe(documents.problems);
    const auto lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n') + 1);
    for (std::size_t i = 0; i < documents.documents.size(); ++i) {
      const Document& document = documents.documents[i];
      ++seen;
      if (!is_of_served_kind(document.value)) continue;
      ++served;
      SCOPED_TRACE(name_of(document.value));
      AdmitOptions options;
      options.positions = &document.positions;
      options.file = file;
      const Admission admission = admit(document.value, options);
      outcome += fmt::format("{} {}\n", file, name_of(document.value));
      for (const Problem& note : admission.notes)
        outcome += fmt::format("  note {}\n", note.headline());
      if (!admission.accepted()) {
        const bool last = i + 1 == documents.documents.size();
        const std::uint32_t end = last ? lines : documents.documents[i + 1].positions.value.line;
        for (const Problem& problem : admission.errors) {
          outcome += fmt::format("  refused {}\n", problem.headline());
          EXPECT_EQ(problem.file, file);
          EXPECT_GE(problem.position.line, document.positions.value.line);
          EXPECT_LE(problem.position.line, end);
          EXPECT_FALSE(problem.field.empty());
        }
        continue;
      }
      ++accepted;
      std::vector<std::string> lost;
      find_lost(document.value, admission.object, "", lost);
      EXPECT_TRUE(lost.empty()) << "accepted without "
                                << fmt::format("{}", lost.empty() ? "" : lost[0]);
      const Admission again = admit(admission.object);
      EXPECT_TRUE(again.accepted()) << describe(again.errors);
      EXPECT_EQ(again.object, admission.object);
    }
  }
  const std::string reach = fmt::format(
      "accepted {} of {} objects of served kinds ({} objects in all)\n", accepted, served, seen);
  fmt::print("{}", reach);
  outcome += reach;
  if (rewrite_golden) {
    std::ofstream(kGolden) << outcome;
    return;
  }
  EXPECT_EQ(read_text(kGolden), outcome)
      << "if this is meant: run with --rewrite and read the difference";
}

// kubectl and people turn YAML into JSON and back; the meaning must not depend on it.
TEST(ManifestCorpora, AreTheSameAsJson) {
  for (const fs::path& path : manifests()) {
    SCOPED_TRACE(path.string());
    for (const Document& document : read_documents(read_text(kData / path), "f").documents) {
      const Documents as_json = read_documents(document.value.dump(2), "f.json");
      ASSERT_EQ(as_json.documents.size(), 1u) << describe(as_json.problems);
      EXPECT_EQ(as_json.documents[0].value, document.value);
    }
  }
}

// Files in which one byte was lost or changed are read or refused, never worse.
TEST(ManifestCorpora, SurviveDamage) {
  std::size_t step = 0;
  for (const fs::path& path : manifests()) {
    const std::string text = read_text(kData / path);
    for (std::size_t at = step++ % 7; at < text.size(); at += 1 + text.size() / 8) {
      for (const char damage : {'\t', '"', '{', '\0', '\xff', ':'}) {
        std::string damaged = text;
        damaged[at] = damage;
        (void)describe(parse_file(damaged, "f").problems);
      }
      (void)describe(parse_file(std::string_view(text).substr(0, at), "f").problems);
    }
  }
}

}  // namespace
}  // namespace nexus::manifest

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  nexus::manifest::rewrite_golden = argc > 1 && std::string_view(argv[1]) == "--rewrite";
  return RUN_ALL_TESTS();
}
