#pragma once
// The figures of a report: what each draws and the table with its numbers. Pure.

#include <string>
#include <vector>

#include "baton/report/groups.hpp"
#include "baton/report/loaded_run.hpp"
#include "baton/report/table.hpp"

namespace baton::report {

struct Figure {
  std::string heading;
  std::string svg;  // "" for a table alone, which is then always open
  Table numbers;
};

/// Of one run: score matrix and routing of every router, experts with margins and ROC, losses.
std::vector<Figure> score_figures(const LoadedRun& loaded, const std::string& id);
std::vector<Figure> expert_figures(const LoadedRun& loaded, const std::string& id);
std::vector<Figure> loss_figures(const LoadedRun& loaded, const std::string& id);
std::vector<Figure> time_figures(const LoadedRun& loaded, const std::string& id);

/// Over all runs.
Figure average_figure(const std::vector<HeadlineRow>& rows);
std::vector<Figure> cost_figures(const std::vector<LoadedRun>& runs);
/// Questions that belong to no task: base against chain, and how well margins tell own queries from
/// them. Empty where no run was asked any.
std::vector<Figure> question_figures(const std::vector<LoadedRun>& runs);
Table settings_table(const std::vector<LoadedRun>& runs);
Table versions_table(const std::vector<LoadedRun>& runs);

/// The mean number of experts asked at stages 1..T by going down the line, newest first; nothing
/// where the walk does not give the number that the evaluation counted at the last stage.
std::vector<double> asked_by_stage(const LoadedRun& loaded);

/// A ROC of margins: one point a threshold between neighbours, from "accepts all" to "passes all".
std::vector<expert::RocPoint> roc_of(const std::vector<double>& own,
                                     const std::vector<double>& others);

/// Seconds since 1970 of "2026-11-24T23:39:54Z"; nothing for any other text.
std::optional<double> utc_seconds(const std::string& text);

}  // namespace baton::report
