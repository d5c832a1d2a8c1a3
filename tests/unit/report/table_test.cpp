#include "baton/report/table.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace baton::report {
namespace {

Table small() {
  return {.slug = "small",
          .title = "A & B",
          .header = {"task", "score"},
          .rows = {{"qa<script>", number_cell(1.0 / 3)}, {"x|y_z", number_cell(std::nullopt)}},
          .note = "100 %"};
}

TEST(Escape, EveryWritingTakesAnyText) {
  EXPECT_EQ(escape_html("<a href=\"x\">&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(escape_html("a\x1b[31m\n"), "a\\x1B[31m\\x0A");
  EXPECT_EQ(escape_markdown("a|b*c_d<e"), "a\\|b\\*c\\_d&lt;e");
  EXPECT_EQ(escape_latex("50 % of $x_1 & {y}\\z~"),
            "50 \\% of \\$x\\_1 \\& \\{y\\}\\textbackslash{}z\\textasciitilde{}");
  EXPECT_EQ(csv_field("plain"), "plain");
  EXPECT_EQ(csv_field("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
}

TEST(Cells, NumbersAsPeopleReadThem) {
  EXPECT_EQ(number_cell(12.345).text, "12.35");
  EXPECT_EQ(number_cell(std::nullopt).text, "-");
  EXPECT_EQ(number_cell(std::nan("")).text, "-");
  EXPECT_EQ(signed_cell(2).text, "+2.00");
  EXPECT_EQ(signed_cell(-0.5, 1).text, "-0.5");
  EXPECT_EQ(count_cell(1200).text, "1200");
}

TEST(Tables, HtmlEscapesAndMarksHeaders) {
  const std::string html = html_table(small());
  EXPECT_NE(html.find("<caption>A &amp; B</caption>"), std::string::npos);
  EXPECT_NE(
      html.find("<th scope=\"row\" class=\"k\">qa&lt;script&gt;</th><td class=\"n\">0.33</td>"),
      std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
}

TEST(Tables, MarkdownAndLatex) {
  EXPECT_EQ(markdown_table(small()),
            "| task | score |\n| --- | ---: |\n| qa&lt;script&gt; | 0.33 |\n| x\\|y\\_z | - |\n"
            "\n100 %\n");
  const std::string latex = latex_table(small());
  EXPECT_NE(latex.find("\\begin{tabular}{lr}"), std::string::npos);
  EXPECT_NE(latex.find("x|y\\_z & - \\\\"), std::string::npos);
  EXPECT_NE(latex.find("100 \\%"), std::string::npos);
}

TEST(Tables, CsvHasFullNumbersAndTheUnionOfColumns) {
  Table other = small();
  other.run = "b,c";
  other.header = {"task", "more"};
  const std::vector<Table> tables = {small(), other};
  EXPECT_EQ(csv_tables(tables),
            "run,task,score,more\r\n,qa<script>,0.3333333333333333,\r\n,x|y_z,-,\r\n"
            "\"b,c\",qa<script>,,0.3333333333333333\r\n\"b,c\",x|y_z,,-\r\n");
}

}  // namespace
}  // namespace baton::report
