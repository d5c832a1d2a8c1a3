"""The report: its numbers are those of results.json and of numpy, it is whole without a network or scripts, it can be
used without a mouse, and what cannot be reported is refused. Nightly, where a Chromium is found, in a browser."""

import base64
import csv
import html.parser
import os
import re
import shutil
import subprocess
import unittest

import numpy

from support import read_json, read_lines, run, run_ok, run_tests, train, workspace

VOID = {"meta", "link", "br", "img", "input", "hr"}
SUMMARIES = ("AR", "FWT", "BWT", "forgetting")


class Page(html.parser.HTMLParser):
    """Tables by caption, svgs with their titles, ids, links; tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.svgs, self.ids, self.tags, self.links = {}, [], [], [], []
        self.open, self.details, self.faults = [], 0, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs[key] for key in ("href", "src", "xlink:href") if key in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "svg":
            self.svgs.append({"attrs": attrs, "title": "", "titled": False})
        if tag == "table":
            self.rows, self.caption = [], ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at line {self.getpos()[0]}")
        if tag == "table":
            self.tables.setdefault(self.caption, []).append(self.rows)

    def handle_data(self, data):
        if not self.open:
            return
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.open[-1] == "caption":
            self.caption += data
        elif self.open[-2:] == ["svg", "title"]:
            self.svgs[-1]["title"] += data


def evaluated(name, **changes):
    folder = train(name, **changes)
    run_ok("eval", "--run", folder)
    return folder


def shown(value):
    return "-" if value is None else f"{value:.2f}"


def last_scores(folder):
    return {(line["task"], line["id"]): line["scores"][line["answered_by"][-1]]
            for line in read_lines(folder / "eval/predictions.jsonl")}


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def find_chromium():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.see = evaluated("r-see", method__accept_threshold="auto", eval__routers="parallel, oracle")
        cls.replay = evaluated("r-replay", method__method="replay")
        cls.out = workspace() / "pages" / "both.html"
        cls.told = run_ok("report", "--run", cls.see, "--run", cls.replay, "--out", cls.out)
        cls.text = cls.out.read_text()
        cls.page = Page(cls.text)

    def test_the_page_is_whole_and_stands_alone(self):
        page = self.page
        self.assertEqual((page.faults, page.open), ([], []))
        self.assertEqual(len(page.ids), len(set(page.ids)))
        for link in page.links:
            self.assertRegex(link, r"^(#|data:,)")
        self.assertNotRegex(self.text, r"https?:|<script|javascript:|@import|url\((?!#)")
        self.assertNotIn("nan", re.sub(r"<style.*?</style>", "", self.text, flags=re.S).lower().replace("finan", ""))
        self.assertGreater(len(page.svgs), 10)
        for svg in page.svgs:
            self.assertTrue(svg["title"])
            if svg["attrs"].get("aria-hidden") != "true":
                self.assertEqual(svg["attrs"]["role"], "img")
                for name in svg["attrs"]["aria-labelledby"].split():
                    self.assertIn(name, page.ids)
        self.assertLess(len(self.text), 2_000_000)

    def test_numbers_are_those_of_the_results(self):
        headline = self.page.tables["Headline"][0]
        columns = headline[0]
        rows = {(row[0], row[1]): dict(zip(columns, row)) for row in headline[1:]}
        for folder, method in ((self.see, "see"), (self.replay, "replay")):
            results = read_json(folder / "eval/results.json")
            routers = results.get("routers") or {results["router"]: results}
            for router, scores in routers.items():
                for key in SUMMARIES:
                    self.assertEqual(rows[method, router][key], shown(scores[key]), (method, router, key))
                table = next(rows for title in self.page.tables for rows in self.page.tables[title]
                             if title == f"Score matrix, router {router}" and len(rows) == 5)
                self.assertEqual([row[2:] for row in table[1:]], [[shown(v) for v in row] for row in scores["matrix"]])
            self.assertEqual(rows["base alone", "-"]["AR"], shown(sum(results["base"]) / 3))
        see = read_json(self.see / "eval/results.json")
        self.assertEqual(rows["oracle of see", "-"]["AR"], shown(sum(see["oracle"]) / 3))
        routing = self.page.tables["Who answered, router sequential"][0]
        self.assertEqual([row[2:] for row in routing[1:]], [list(map(str, row)) for row in see["routing"]])

    def test_the_first_sentence_says_who_wins(self):
        ar = {}
        for folder in (self.see, self.replay):
            results = read_json(folder / "eval/results.json")
            routers = results.get("routers") or {results["router"]: results}
            for router, scores in routers.items():
                if router != "oracle":
                    name = results["method"] + (f", router {router}" if len(routers) > 1 else "")
                    ar[name] = scores["AR"]
        ranked = sorted(ar, key=ar.get, reverse=True)
        first = self.told.out.splitlines()[0]
        self.assertTrue(any(first.startswith(name) for name in ar if abs(ar[name] - ar[ranked[0]]) < 1e-9), first)
        self.assertIn(f"{ar[ranked[0]]:.2f}", first)

    # 1.5 points of slack: both draw 2,000 times.
    def test_intervals_agree_with_numpy(self):
        table = self.page.tables["Differences to see, router sequential"][0]
        row = dict(zip(table[0], next(row for row in table if row[0] == "replay")))
        low, high = (float(part) for part in row["AR 95 % interval"].split(" to "))
        see, replay = last_scores(self.see), last_scores(self.replay)
        chance = numpy.random.default_rng(3)
        total = 0
        for task in ("loud", "count", "last"):
            values = numpy.array([replay[key] - see[key] for key in see if key[0] == task])
            total = total + chance.choice(values, (20000, len(values))).mean(1) / 3
        expected = numpy.quantile(total, [0.025, 0.975])
        self.assertAlmostEqual(low, expected[0], delta=1.5)
        self.assertAlmostEqual(high, expected[1], delta=1.5)

    def test_the_same_tables_beside_it(self):
        rows = read_csv(self.out.with_name("both-headline.csv"))
        self.assertAlmostEqual(float(rows[0]["AR"]), read_json(self.see / "eval/results.json")["AR"], 12)
        losses = read_csv(self.out.with_name("both-loss.csv"))
        logged = read_lines(self.see / "logs/01-loud.jsonl")
        mine = [row for row in losses if row["run"] == "r-see" and row["expert"] == "loud"]
        self.assertEqual([(int(row["step"]), float(row["loss"])) for row in mine],
                         [(line["step"], line["loss"]) for line in logged])
        self.assertIn("| see | sequential |", self.out.with_suffix(".md").read_text())
        latex = self.out.with_suffix(".tex").read_text()
        self.assertEqual(latex.count("\\begin{table}"), latex.count("\\end{table}"))

    def test_one_run_alone_and_the_default_place(self):
        run_ok("report", "--run", self.replay)
        page = Page((self.replay / "report.html").read_text())
        self.assertEqual(page.faults, [])
        self.assertIn("no experts to choose from", (self.replay / "report.html").read_text())

    def test_seeds_of_one_method_are_a_mean_and_a_spread(self):
        other = evaluated("r-replay-7", method__method="replay", train__seed="7")
        out = workspace() / "seeds.html"
        run_ok("report", "--run", self.replay, "--run", other, "--out", out)
        table = Page(out.read_text()).tables["Headline"][0]
        row = dict(zip(table[0], table[1]))
        both = [read_json(folder / "eval/results.json")["AR"] for folder in (self.replay, other)]
        self.assertEqual((row["seeds"], row["runs"]), ("42, 7", "2"))
        self.assertEqual(row["AR"], shown(numpy.mean(both)))
        self.assertEqual(row["AR spread"], shown(numpy.std(both, ddof=1)))

    def refused(self, code, words, *arguments):
        result = run("report", *arguments)
        self.assertEqual(result.code, code, result.text)
        self.assertIn(words, result.err)
        self.assertNotIn("internal", result.err)

    def test_what_cannot_be_reported_is_refused(self):
        never = train("r-never", method__method="base")
        self.refused(2, "never evaluated", "--run", never)
        self.refused(2, "named twice", "--run", self.see, "--run", f"{self.see}/.")
        copy = workspace() / "copy"
        shutil.copytree(self.see, copy)
        self.refused(2, "same settings, seed and task order", "--run", self.see, "--run", copy)
        (copy / "eval/partial/abc").mkdir(parents=True)
        self.refused(2, "unfinished", "--run", copy)
        shutil.rmtree(copy / "eval/partial")
        text = (copy / "eval/results.json").read_text()
        (copy / "eval/results.json").write_text(text.replace('"AR"', '"BR"'))
        self.refused(4, "results.json", "--run", copy)
        fewer = evaluated("r-fewer", method__method="base", tasks="loud, count")
        self.refused(2, "same tasks", "--run", self.see, "--run", fewer)
        scorer = evaluated("r-scorer", method__method="base", eval__metric="exact_match")
        self.refused(2, "same scorer", "--run", self.see, "--run", scorer)
        less = evaluated("r-less", method__method="base", data__max_eval_samples="3")
        self.refused(2, "same queries", "--run", self.see, "--run", less)
        self.refused(2, "no page", "--run", self.see, "--out", workspace())
        self.refused(2, "no page", "--run", self.see, "--out", workspace() / "report.pdf")
        (workspace() / "file").write_text("")
        self.refused(5, "file", "--run", self.see, "--out", workspace() / "file" / "report.html")
        self.refused(2, "needs --run", "--out", workspace() / "x.html")

    @unittest.skipUnless(os.environ.get("BATON_NIGHTLY") and find_chromium(), "nightly, and with a Chromium")
    def test_in_a_browser_nothing_overflows(self):
        for width in (1280, 390):
            frame = workspace() / f"frame-{width}.html"
            inner = base64.b64encode(self.text.replace("</body>", "<script>parent.postMessage("
                                     "document.documentElement.scrollWidth + ' ' + innerWidth, '*')</script></body>")
                                     .encode()).decode()
            frame.write_text(f"<body style='margin:0'><iframe style='border:0;width:{width}px;height:800px' "
                             f"src='data:text/html;base64,{inner}'></iframe><script>addEventListener('message', "
                             "event => document.body.dataset.widths = event.data)</script></body>")
            command = [find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                       "--v=0", "--virtual-time-budget=5000", "--window-size=1400,900",
                       f"--user-data-dir={workspace()}/chromium", "--dump-dom", frame.as_uri()]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            widths = re.search(r'data-widths="(\d+) (\d+)"', done.stdout)
            self.assertIsNotNone(widths, done.stdout[:500] + done.stderr[-2000:])
            self.assertEqual(int(widths[2]), width)
            self.assertLessEqual(int(widths[1]), width)
            self.assertNotIn("CONSOLE", done.stderr)


if __name__ == "__main__":
    run_tests()
