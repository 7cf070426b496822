#pragma once

// Golden files: what a test renders, compared with a section of testdata/NAME.txt. Run the test
// with
// --rewrite to write the file anew, and review the difference.

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cli::testing {

class Golden {
 public:
  /// `file` is the full path. Sections begin with a line "== NAME".
  explicit Golden(std::string file);
  /// Fails the test when a section of the file was not asked for, or writes the file.
  ~Golden();
  Golden(const Golden&) = delete;
  Golden& operator=(const Golden&) = delete;

  /// `text` must be the section `name`. Escape characters are shown as ␛.
  void expect(std::string_view name, std::string_view text);

 private:
  std::string file_;
  std::map<std::string, std::string, std::less<>> wanted_;
  std::vector<std::pair<std::string, std::string>> seen_;
};

}  // namespace cli::testing
