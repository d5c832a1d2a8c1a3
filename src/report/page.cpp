// The page: its style and its parts, put together.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "baton/report/figures.hpp"
#include "baton/report/report.hpp"

namespace baton::report {
namespace {

constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#8c959f;--grid:#d8dee4;--panel:#f6f8fa;
--accent:#1f5fa8;--mark:#b3261e;--own:#1f5fa8;--others:#b45309;
--h0:#eef4fa;--h1:#d3e3f2;--h2:#aecbe6;--h3:#86b4da;--h4:#5f9bce;--h5:#2a6cab;--h6:#0f4880;--low:#10161d;--mid:#10161d;--high:#fff;
--s0:#1f5fa8;--s1:#b45309;--s2:#15803d;--s3:#7e3fb5;--s4:#b91c1c;--s5:#0f766e;--s6:#be185d;--s7:#57534e}
@media (prefers-color-scheme:dark){:root{--bg:#0f141a;--fg:#e6edf3;--soft:#a5b0bb;--line:#768390;--grid:#2d353e;--panel:#171e26;
--accent:#7ab8ff;--mark:#ff9d94;--own:#7ab8ff;--others:#f0a860;
--h0:#1a2532;--h1:#1f3550;--h2:#254a73;--h3:#2b5b90;--h4:#6a9fd4;--h5:#93bde8;--h6:#c6def5;--low:#f0f4f8;--mid:#0b0f14;--high:#0b0f14;
--s0:#7ab8ff;--s1:#fdba74;--s2:#86efac;--s3:#d8b4fe;--s4:#fca5a5;--s5:#5eead4;--s6:#f9a8d4;--s7:#d6d3d1}}
*{box-sizing:border-box}
body{margin:0 auto;padding:16px;max-width:1120px;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.2;margin:.2em 0 .5em}h2{font-size:1.3rem;margin:2em 0 .6em;border-bottom:1px solid var(--grid);padding-bottom:.2em}
h3{font-size:1rem;margin:0 0 .4em}
.first{font-size:1.2rem;font-weight:600;border-left:4px solid var(--accent);padding:.2em 0 .2em .8em;margin:0 0 .6em}
.note,.facts{color:var(--soft);font-size:.875rem;margin:.4em 0 1em}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.3em 1.2em;padding:0;margin:1em 0}
a{color:var(--accent)}:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;font-weight:600;padding:.2em 0;white-space:nowrap}
th,td{text-align:left;padding:.3em .7em .3em 0;border-bottom:1px solid var(--grid);vertical-align:top;max-width:22em}
thead th{border-bottom:2px solid var(--line);vertical-align:bottom}tbody th{font-weight:500}
.n{text-align:right}.n,.k{white-space:nowrap}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(360px,100%),1fr));gap:16px;align-items:start}
figure{margin:0;min-width:0;background:var(--panel);padding:8px;border-radius:6px}
figure.wide{grid-column:1/-1}
summary{cursor:pointer;padding:.3em 0}details.run>summary{font-size:1.05rem;font-weight:600;margin:.4em 0}
figure:not(.wide) svg{max-width:100%;height:auto}svg{display:block;font-size:12px;fill:var(--fg)}svg .axis{fill:var(--soft);font-size:11px}svg .v{font-weight:600}
.axisline{stroke:var(--line)}.grid{stroke:var(--grid)}.bar{fill:var(--accent)}.bar.ref{fill:url(#hatch)}
.whisker{stroke:var(--fg);stroke-width:1.5}.hatch{stroke:var(--accent);stroke-width:3}.frame{fill:none;stroke:var(--accent)}
.span{fill:var(--h2);stroke:var(--accent)}.spantext{fill:var(--fg)}
.own{fill:var(--own)}.others{fill:url(#stripes);stroke:var(--others)}.stripe{stroke:var(--others);stroke-width:2.5}
.threshold{stroke:var(--mark);stroke-width:2;stroke-dasharray:5 4}
.h0{fill:var(--h0)}.h1{fill:var(--h1)}.h2{fill:var(--h2)}.h3{fill:var(--h3)}.h4{fill:var(--h4)}.h5{fill:var(--h5)}.h6{fill:var(--h6)}
.t0,.t1,.t2,.t3{fill:var(--low)}.t4{fill:var(--mid)}.t5,.t6{fill:var(--high)}
.s{fill:none;stroke-width:2}.s0{stroke:var(--s0)}.s1{stroke:var(--s1);stroke-dasharray:7 3}.s2{stroke:var(--s2);stroke-dasharray:2 3}
.s3{stroke:var(--s3);stroke-dasharray:9 3 2 3}.s4{stroke:var(--s4);stroke-dasharray:4 2}.s5{stroke:var(--s5);stroke-dasharray:12 4}
.s6{stroke:var(--s6);stroke-dasharray:2 2 6 2}.s7{stroke:var(--s7);stroke-dasharray:1 4}
.d0{fill:var(--s0)}.d1{fill:var(--s1)}.d2{fill:var(--s2)}.d3{fill:var(--s3)}.d4{fill:var(--s4)}.d5{fill:var(--s5)}.d6{fill:var(--s6)}.d7{fill:var(--s7)}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.figures+.scroll{margin-top:1.2em}
details{position:relative}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--bg);padding:.4em}
@media print{details{display:block}.scroll{overflow:visible}}
)css";

// Patterns that every chart may use; hidden from screen readers, it draws nothing.
constexpr const char* kPatterns =
    "<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\" "
    "focusable=\"false\"><title>patterns</title><defs>"
    "<pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" class=\"hatch\"/>"
    "</pattern>"
    "<pattern id=\"stripes\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(-45)\"><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"5\" "
    "class=\"stripe\"/></pattern></defs></svg>\n";

std::string figure_html(const Figure& figure) {
  if (figure.svg.empty()) {
    return "<figure class=\"wide\">" + html_table(figure.numbers) + "</figure>\n";
  }
  const std::string heading = escape_html(figure.heading);
  const bool is_wide = figure.svg.find("viewBox=\"0 0 340 ") == std::string::npos;
  return fmt::format(
      "<figure{}><figcaption><h3>{}</h3></figcaption><div class=\"scroll\" role=\"region\" "
      "tabindex=\"0\" aria-label=\"Chart: {}\">{}</div><details><summary>Numbers<span "
      "class=\"vh\">: {}</span></summary>\n{}"
      "</details></figure>\n",
      is_wide ? " class=\"wide\"" : "", heading, heading, figure.svg, heading,
      html_table(figure.numbers));
}

/// The page's text, and the tables that it has, in order.
struct Page {
  std::string body;
  std::vector<Table> tables;

  void add(const std::vector<Figure>& figures) {
    body += "<div class=\"figures\">\n";
    for (const Figure& figure : figures) {
      body += figure_html(figure);
      tables.push_back(figure.numbers);
    }
    body += "</div>\n";
  }
  void add(const Table& table) {
    body += html_table(table);
    tables.push_back(table);
  }
};

void add_head(Page& page,
              const std::vector<LoadedRun>& runs,
              const std::vector<std::string>& sentences) {
  std::size_t num_queries = 0;
  for (const auto& queries : runs.front().queries) {
    num_queries += queries.size();
  }
  page.body +=
      "<header><h1>" +
      escape_html(fmt::format("Continual fine-tuning of {} tasks: {} {}", runs.front().tasks.size(),
                              runs.size(), runs.size() == 1 ? "run" : "runs side by side")) +
      "</h1>\n";
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    page.body += (i == 0 ? "<p class=\"first\">" : "<p>") + escape_html(sentences[i]) + "</p>\n";
  }
  page.body +=
      "<p class=\"facts\">" +
      escape_html(fmt::format("Scorer {}, {} queries a run, base {}.", runs.front().metric,
                              num_queries, runs.front().base_description)) +
      "</p>\n<nav aria-label=\"Sections\"><ul><li><a href=\"#headline\">Headline</a></li><li><a "
      "href=\"#cost\">Cost</a></li>" +
      (question_figures(runs).empty() ? "" : "<li><a href=\"#general\">General ability</a></li>") +
      "<li><a href=\"#runs\">Run by run</a></li><li><a "
      "href=\"#settings\">Settings and versions</a></li></ul></nav></header>\n";
}

void add_run(Page& page, const LoadedRun& loaded, std::size_t place, bool is_open) {
  const std::string id = fmt::format("run{}", place);
  page.body += fmt::format(
      "<details class=\"run\"{}><summary>{}</summary>\n", is_open ? " open" : "",
      escape_html(fmt::format("{}: {}, seed {}", loaded.name, loaded.method, loaded.seed)));
  std::vector<Figure> figures = score_figures(loaded, id);
  for (auto* more : {&expert_figures, &loss_figures, &time_figures}) {
    std::vector<Figure> found = (*more)(loaded, id);
    figures.insert(figures.end(), std::make_move_iterator(found.begin()),
                   std::make_move_iterator(found.end()));
  }
  page.add(figures);
  if (loaded.oracle.empty()) {
    page.body +=
        "<p class=\"note\">This method has no experts to choose from: no routing, margins "
        "or ROC.</p>\n";
  }
  page.body += "</details>\n";
}

Page make_page(const std::vector<LoadedRun>& runs,
               const std::vector<HeadlineRow>& rows,
               const std::vector<std::string>& sentences) {
  Page page;
  add_head(page, runs, sentences);
  page.body +=
      "<main id=\"main\"><section aria-labelledby=\"headline\"><h2 "
      "id=\"headline\">Headline</h2>\n";
  page.add(headline_table(rows));
  page.add({average_figure(rows)});
  page.add(difference_table(rows));
  page.body += "</section>\n<section aria-labelledby=\"cost\"><h2 id=\"cost\">Cost</h2>\n";
  page.add(cost_figures(runs));
  if (const std::vector<Figure> questions = question_figures(runs); !questions.empty()) {
    page.body +=
        "</section>\n<section aria-labelledby=\"general\"><h2 id=\"general\">General "
        "ability</h2>\n";
    page.add(questions);
  }
  page.body += "</section>\n<section aria-labelledby=\"runs\"><h2 id=\"runs\">Run by run</h2>\n";
  std::vector<std::string> open_keys;
  for (std::size_t i = 0; i < runs.size(); ++i) {  // the first of each group lies open
    const std::string key = settings_key(runs[i]);
    const bool is_first = std::find(open_keys.begin(), open_keys.end(), key) == open_keys.end();
    open_keys.push_back(key);
    add_run(page, runs[i], i, is_first);
  }
  page.body +=
      "</section>\n<section aria-labelledby=\"settings\"><h2 id=\"settings\">Settings and "
      "versions</h2>\n";
  page.add(versions_table(runs));
  page.add(settings_table(runs));
  page.body += "</section></main>\n";
  return page;
}

std::vector<std::pair<std::string, std::string>> csv_files(const std::vector<Table>& tables) {
  std::vector<std::string> slugs;
  std::map<std::string, std::vector<Table>> by_slug;
  for (const Table& table : tables) {
    if (!by_slug.contains(table.slug)) {
      slugs.push_back(table.slug);
    }
    by_slug[table.slug].push_back(table);
  }
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::string& slug : slugs) {
    files.emplace_back(slug, csv_tables(by_slug[slug]));
  }
  return files;
}

}  // namespace

Report make_report(const std::vector<LoadedRun>& runs) {
  const std::vector<HeadlineRow> rows = headline_rows(runs);
  Report report;
  report.verdict = verdict(rows);
  const Page page = make_page(runs, rows, report.verdict);
  report.html =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" "
      "href=\"data:,\"><title>Baton report</title>\n<style>" +
      std::string(kStyle) +
      "</style></head>\n<body><a class=\"skip\" href=\"#main\">To the tables</a>\n" + kPatterns +
      page.body + "</body></html>\n";
  report.markdown = "# Baton report\n";
  report.latex = "% Tables of a Baton report; \\input this file.\n";
  for (const std::string& sentence : report.verdict) {
    report.markdown += "\n" + escape_markdown(sentence) + "\n";
    report.latex += "% " + escape_latex(sentence) + "\n";
  }
  for (const Table& table : page.tables) {
    if (!table.is_points) {
      report.markdown +=
          "\n## " + escape_markdown(table.title + (table.run.empty() ? "" : " of " + table.run)) +
          "\n\n" + markdown_table(table);
      report.latex += "\n" + latex_table(table);
    }
  }
  report.csv = csv_files(page.tables);
  return report;
}

}  // namespace baton::report
