"""Two hosts on one machine: mpirun starts its daemons through an agent that gives each a host name of its own.

Needs the right to make a UTS name space (unshare --uts); skipped with the reason where there is none.
"""

import json
import os
import re
import signal
import subprocess
import time
import unittest

from processes import ranks_of, wait_for_training
from support import SOURCE, digests, find_binary, read_json, run_tests, train, workspace, write_config

KEPT = ("experts/*.h5", "buffers/*.h5")
HOSTS = ("hosta", "hostb")
# What ssh does: HOST and the words of a command; other hosts are not there.
AGENT = """#!/bin/bash
host=$1
shift
case "$host" in
  hosta | hostb) ;;
  *) echo "agent: Could not resolve hostname $host: Name or service not known" >&2; exit 255 ;;
esac
exec unshare --uts bash -c 'echo "$0" >/proc/sys/kernel/hostname && exec sh -c "$*"' "$host" "$@"
"""


def agent_arguments():
    agent = workspace() / "agent.sh"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    settings = {"plm_rsh_agent": agent, "btl_tcp_if_include": "lo", "oob_tcp_if_include": "lo"}
    return [str(word) for name, value in settings.items() for word in ("--mca", name, value)]


def environment(**changes):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OMPI_MCA", "SLURM_"))}
    return kept | {"OMP_WAIT_POLICY": "passive"} | {key: str(value) for key, value in changes.items()}


def mpirun(*words, mapping=()):
    command = ["mpirun", "--allow-run-as-root", *agent_arguments(), "-H", "hosta:2,hostb:2", "--bind-to", "none",
               *mapping, find_binary(), *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, cwd=workspace(),
                          env=environment(), stdin=subprocess.DEVNULL)


def planned_groups(text):
    """(ranks, nodes) of each group in a printed plan."""
    rows = re.findall(r"^ *(\d+) +([\d,-]+) +(\d+) +(\d+) +\d+ +\d+ ", text, re.M)
    groups = []
    for _, ranks, size, nodes in rows:
        members = []
        for part in ranks.split(","):
            first, _, last = part.partition("-")
            members.extend(range(int(first), int(last or first) + 1))
        assert len(members) == int(size), rows
        groups.append((members, int(nodes)))
    return groups


def setUpModule():
    probe = subprocess.run(["unshare", "--uts", "sh", "-c", "echo probe >/proc/sys/kernel/hostname && hostname"],
                           capture_output=True, text=True)
    if probe.stdout.strip() != "probe":
        raise unittest.SkipTest(f"no name space with a host name of its own here: {probe.stderr.strip()}")
    result = subprocess.run(["mpirun", "--allow-run-as-root", *agent_arguments(), "-H", "hosta:1,hostb:1", "hostname"],
                            capture_output=True, text=True, timeout=60, env=environment(), stdin=subprocess.DEVNULL)
    if sorted(result.stdout.split()) != list(HOSTS):
        raise unittest.SkipTest(f"mpirun does not start two hosts through an agent here: {result.stderr[-500:]}")


class Places(unittest.TestCase):
    def check(self, expected, *mapping):
        result = mpirun("doctor", "--json", mapping=mapping)
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout)
        found = [(rank["host"], rank["node"], rank["local_rank"], rank["local_size"]) for rank in report["ranks"]]
        self.assertEqual(found, expected)
        rows = {row["check"]: row for row in report["findings"]}
        self.assertIn("4 ranks on 2 machines", rows["world"]["found"])

    def test_host_after_host(self):
        self.check([("hosta", 0, 0, 2), ("hosta", 0, 1, 2), ("hostb", 1, 0, 2), ("hostb", 1, 1, 2)])

    def test_in_turns(self):
        self.check([("hosta", 0, 0, 2), ("hostb", 1, 0, 2), ("hosta", 0, 1, 2), ("hostb", 1, 1, 2)], "--map-by", "node")


class Plans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expected = digests(train("alone"), *KEPT)

    def check(self, name, plan, mapping=(), **cluster):
        config = write_config(name, **{f"cluster__{key}": value for key, value in cluster.items()})
        result = mpirun("train", "--config", config, mapping=mapping)
        text = result.stdout + result.stderr
        self.assertEqual(result.returncode, 0, text[-4000:])
        self.assertEqual(sorted(planned_groups(text)), plan, text)
        self.assertEqual(digests(workspace() / name, *KEPT), self.expected)
        self.assertEqual(read_json(workspace() / name / "status.json")["host"], "hosta")
        return text

    def makers(self, name):
        files = read_json(workspace() / name / "run.json")["files"]
        return {file["task"]: file["made_by"] for path, file in files.items() if path.startswith("experts/")}

    def test_two_groups_keep_to_their_hosts(self):
        text = self.check("pairs", [([0, 1], 1), ([2, 3], 1)], groups=2)
        group_of = dict(re.findall(r"(\w+): to group (\d)", text))
        self.assertEqual(set(group_of.values()), {"0", "1"})
        for task, made in self.makers("pairs").items():  # not by rank 0's host but by the one that trained it
            self.assertEqual(made["host"], HOSTS[int(group_of[task])], task)
            self.assertEqual((made["num_ranks"], made["threads_per_rank"]), (2, 1))
            self.assertIn("torch", made["libraries"])

    def test_two_groups_keep_to_their_hosts_when_ranks_are_dealt_in_turns(self):
        self.check("turns", [([0, 2], 1), ([1, 3], 1)], mapping=["--map-by", "node"], groups=2)

    def test_a_group_of_all_spans_the_hosts_and_the_plan_says_so(self):
        text = self.check("span", [([0, 1, 2, 3], 2)], groups=1)
        self.assertRegex(text, r"(warning|note): .*(span|node|machine)")
        self.assertEqual({made["host"] for made in self.makers("span").values()}, {"hosta, hostb"})


class HostFile(unittest.TestCase):
    """launch/run.sh with a host file."""

    def start(self, *words, hosts, **variables):
        path = workspace() / "hosts.txt"
        path.write_text("".join(f"{host} slots=2\n" for host in hosts))
        settings = {"HOSTFILE": path, "BATON": find_binary(), "LAUNCH_ARGS": " ".join(agent_arguments()), "THREADS": 1}
        return subprocess.Popen([str(word) for word in (SOURCE / "launch" / "run.sh", *words)], cwd=workspace(),
                                env=environment(**(settings | variables)), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_a_rank_lost_on_the_second_host(self):
        long = {"train__num_train_epochs": "60"}
        expected = digests(train("alone-long", **long), *KEPT)
        run = workspace() / "hosts-run"
        process = self.start("train", "--config", write_config("hosts-run", **long), hosts=HOSTS, RANKS_PER_HOST=2)
        wait_for_training("hosts-run", 4)
        os.kill(ranks_of("hosts-run")[-1], signal.SIGKILL)
        text, _ = process.communicate(timeout=240)
        self.assertEqual(process.returncode, 0, text[-4000:])
        self.assertIn("a rank was lost", text)
        self.assertEqual(digests(run, *KEPT), expected)

    def test_doctor(self):
        process = self.start("doctor", hosts=HOSTS)
        text, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, text)
        self.assertIn("4 ranks on 2 machines", text)

    def test_a_host_that_is_not_there(self):
        for variables in ({}, {"LAUNCH_ARGS": ""}):  # through the agent, and through ssh where there is one
            began = time.monotonic()
            process = self.start("train", "--config", write_config("nobody"), hosts=("hosta", "no-such-host.invalid"),
                                 **variables)
            text, _ = process.communicate(timeout=100)
            self.assertEqual(process.returncode, 6, text)
            self.assertIn("not every host", text)
            self.assertIn("ssh HOST true", text)
            self.assertNotIn("restart", text)
            self.assertLess(time.monotonic() - began, 70)
            self.assertFalse((workspace() / "nobody").exists())


if __name__ == "__main__":
    run_tests()
