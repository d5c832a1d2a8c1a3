"""`baton doctor`: what it says of this machine against other sources, and of machines that are not well."""

import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import unittest

from support import find_binary, run, run_tests, train, workspace, write_config

MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]


def clean_environment(**changes):
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("SLURM_", "PMIX_", "PMI_", "OMPI_COMM", "BATON_ALONE"))}
    return kept | changes


def doctor(*arguments, before=(), preexec=None, **changes):
    """Exit code, rows by name and the whole report."""
    process = subprocess.run([*before, str(find_binary()), "doctor", "--json", *map(str, arguments)],
                             capture_output=True, text=True, timeout=120, cwd=workspace(), preexec_fn=preexec,
                             env=clean_environment(**changes), stdin=subprocess.DEVNULL)
    try:
        report = json.loads(process.stdout)
    except ValueError:
        raise AssertionError(f"status {process.returncode}: {process.stdout}{process.stderr}")
    assert report["exit_code"] == process.returncode, (report["exit_code"], process.returncode)
    return process.returncode, {row["check"]: row for row in report["findings"]}, report


def in_mounts(script):
    """Words that run a command after `script` in a name space of mounts; the test is skipped where there is none."""
    before = ["unshare", "--mount", "sh", "-c", f"{script} && exec \"$@\"", "sh"]
    probe = subprocess.run([*before, "true"], capture_output=True, text=True) if shutil.which("unshare") else None
    if probe is None or probe.returncode != 0:
        raise unittest.SkipTest(f"no mount name spaces here: {probe.stderr.strip() if probe else 'no unshare'}")
    return before


def folder(name):
    path = workspace() / name
    path.mkdir(exist_ok=True)
    return path


class Machine(unittest.TestCase):
    def test_this_machine_against_other_sources(self):
        place = folder("here")
        code, rows, report = doctor("--dir", place)
        self.assertEqual(code, 0, rows)
        self.assertEqual(list(place.iterdir()), [])
        self.assertEqual({row["state"] for row in rows.values()} - {"ok", "warn", "not tested"}, set())
        (rank,) = report["ranks"]
        self.assertEqual(rank["host"], os.uname().nodename)
        self.assertEqual(rank["affinity_cores"], len(os.sched_getaffinity(0)))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(rank["limit_open_files"], None if soft == resource.RLIM_INFINITY else soft)
        shared = os.statvfs("/dev/shm")
        self.assertAlmostEqual(rank["shared_memory_bytes"] / (shared.f_bavail * shared.f_frsize), 1, delta=0.2)
        available = int(re.search(r"MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) * 1024
        self.assertLess(rank["memory_bytes"], 1.3 * available)
        name = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True).stdout.strip()
        name = {"ext2/ext3": "ext4"}.get(name, name)
        self.assertTrue(rows["file system"]["found"].startswith(name), (name, rows["file system"]))
        version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout
        self.assertIn(re.search(r"[\d.]+", version).group(), rows["MPI"]["found"])
        self.assertLess(float(rows["fsync"]["found"].split()[0]), 60_000)

    def test_rows_that_are_always_there(self):
        _, rows, _ = doctor()
        self.assertLessEqual({"baton", "MPI", "PMIx", "HDF5", "LibTorch", "CUDA", "world", "GPUs", "NCCL", "cores",
                              "memory", "/dev/shm", "limit: open files", "limit: file size", "limit: locked memory",
                              "clock", "file system", "writing", "fsync", "flock", "free space"}, set(rows))

    def test_text_for_people(self):
        result = run("doctor", "--dir", folder("text"))
        self.assertEqual(result.code, 0, result.text)
        self.assertRegex(result.out, r"what +state +found")
        self.assertTrue("Nothing is wrong" in result.out or "What to do:" in result.out)

    def test_a_run_folder_to_be_made(self):
        code, rows, _ = doctor("--run", workspace() / "not" / "there" / "yet")
        self.assertEqual(code, 0)
        self.assertIn("is not there yet", rows["writing"]["found"])
        self.assertFalse((workspace() / "not").exists())

    def test_a_run_whose_files_cannot_be_read(self):
        folder = train("whole", tasks="loud", train__num_train_epochs="1")
        code, rows, _ = doctor("--run", folder)
        self.assertEqual((code, rows["status.json"]["state"], rows["run.json"]["state"]), (0, "ok", "ok"))
        self.assertIn("train: done", rows["status.json"]["found"])
        for name in ("status.json", "run.json"):
            kept = (folder / name).read_bytes()
            for spoil in (lambda path: path.write_bytes(kept[:40]), lambda path: path.write_text('{"format": 1}'),
                          lambda path: (path.unlink(), path.mkdir()), lambda path: (path.unlink(), os.mkfifo(path))):
                spoil(folder / name)
                code, rows, _ = doctor("--run", folder)
                self.assertEqual((code, rows[name]["state"]), (4, "BAD"), rows)
                self.assertIn(str(folder / name), rows[name]["found"])
                self.assertTrue(rows[name]["fix"])
                (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
                (folder / name).write_bytes(kept)

    def test_a_run_that_failed(self):
        config = write_config("failed", tasks="loud")
        self.assertEqual(run("train", "--config", config, env={"BATON_FAULT": "kind=data"}).code, 3)
        code, rows, _ = doctor("--run", workspace() / "failed")
        self.assertEqual((code, rows["status.json"]["state"]), (0, "warn"), rows)
        self.assertIn("exit code 3", rows["status.json"]["found"])

    def test_bad_arguments(self):
        for words in (["--run", "a", "--dir", "b"], ["--dir"], ["more"]):
            self.assertEqual(run("doctor", *words).code, 2, words)


class Trouble(unittest.TestCase):
    def test_folder_that_cannot_be_written(self):
        place = folder("sealed")
        before = []
        if os.geteuid() == 0:
            before = in_mounts(f"mount -t tmpfs -o ro none {place}")
        else:
            place.chmod(0o555)
        code, rows, _ = doctor("--dir", place, before=before)
        self.assertEqual((code, rows["writing"]["state"]), (5, "BAD"), rows)
        self.assertRegex(rows["writing"]["found"], "Read-only|denied")
        self.assertIn("output.output_dir", rows["writing"]["fix"])

    def test_full_file_system(self):
        place = folder("tiny")
        code, rows, _ = doctor("--dir", place, before=in_mounts(f"mount -t tmpfs -o size=512k none {place}"))
        self.assertEqual((code, rows["writing"]["state"]), (5, "BAD"), rows)
        self.assertIn("No space left", rows["writing"]["found"])
        self.assertEqual(rows["free space"]["state"], "BAD")

    def test_little_space_in_memory(self):
        place = folder("small")
        code, rows, _ = doctor("--dir", place, before=in_mounts(f"mount -t tmpfs -o size=32m none {place}"))
        self.assertEqual((code, rows["writing"]["state"], rows["free space"]["state"]), (5, "ok", "BAD"), rows)
        self.assertEqual(rows["file system"]["state"], "warn")
        self.assertIn("tmpfs", rows["file system"]["found"])

    def test_small_shared_memory(self):
        code, rows, _ = doctor(before=in_mounts("mount -t tmpfs -o size=1m none /dev/shm"))
        self.assertEqual((code, rows["/dev/shm"]["state"]), (0, "warn"))
        self.assertIn("--shm-size", rows["/dev/shm"]["fix"])

    def test_file_size_limit(self):
        limit = 65536
        code, rows, _ = doctor(preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual((code, rows["limit: file size"]["state"], rows["writing"]["state"]), (5, "BAD", "BAD"), rows)
        self.assertIn("64.0 KiB", rows["limit: file size"]["found"])
        self.assertIn("File too large", rows["writing"]["found"])

    def test_few_open_files(self):
        code, rows, _ = doctor(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)))
        self.assertEqual((code, rows["limit: open files"]["state"]), (0, "warn"))
        self.assertIn("ulimit -n", rows["limit: open files"]["fix"])

    def test_alone_in_a_job_of_several_tasks(self):
        code, rows, report = doctor(SLURM_JOB_ID="77", SLURM_NTASKS="4")
        self.assertEqual((code, rows["world"]["state"]), (6, "BAD"), rows)
        self.assertIn("srun --mpi=pmix", rows["world"]["fix"])
        self.assertEqual(len(report["ranks"]), 1)
        code, rows, _ = doctor(SLURM_JOB_ID="77", SLURM_NTASKS="4", BATON_ALONE="1")
        self.assertEqual((code, rows["world"]["state"]), (0, "ok"), rows)

    def test_srun_without_pmix(self):
        step = {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}
        code, rows, _ = doctor(SLURM_PROCID="0", **step)
        self.assertEqual((code, rows["world"]["state"]), (6, "BAD"), rows)
        other = subprocess.run([find_binary(), "doctor"], env=clean_environment(SLURM_PROCID="1", **step),
                               capture_output=True, text=True)
        self.assertEqual((other.returncode, other.stdout), (6, ""))


def memory_groups():
    """Paths of the memory control files of this process's own group, below /sys/fs/cgroup."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield "memory" + path, "memory.limit_in_bytes", "memory.usage_in_bytes"
        elif (number, controllers) == ("0", ""):
            yield path.lstrip("/"), "memory.max", "memory.current"


class Memory(unittest.TestCase):
    def test_plan_and_doctor_read_the_same_limit(self):
        """That of the group this process is in, which lies below the root."""
        folder, limit, used = next(iter(memory_groups()), (None, None, None))
        if folder is None:
            self.skipTest("this process is in no memory group")
        below = f"/sys/fs/cgroup/{folder}"
        before = in_mounts(f"mount -t tmpfs none /sys/fs/cgroup && mkdir -p {below} && echo {16 << 20} >{below}/{limit} && "
                           f"echo {6 << 20} >{below}/{used}")
        _, rows, report = doctor(before=before)
        self.assertEqual(report["ranks"][0]["memory_bytes"], 10 << 20, rows["memory"])
        plan = subprocess.run([*before, find_binary(), "plan", "--config", write_config("planned"), "--ranks", "1"],
                              capture_output=True, text=True, timeout=120, cwd=workspace(), env=clean_environment())
        self.assertEqual(plan.returncode, 0, plan.stderr)
        self.assertRegex(plan.stdout, "as much memory as this machine has.*16.0 MiB")


class World(unittest.TestCase):
    def test_three_ranks(self):
        place = folder("world")
        code, rows, report = doctor("--dir", place, before=[*MPIRUN, "-n", "3"])
        self.assertEqual(code, 0, rows)
        for name in ("sums over MPI", "messages", "shared folder", "clocks", "baton"):
            self.assertEqual(rows[name]["state"], "ok", rows[name])
        self.assertIn("3 ranks on 1 machine,", rows["world"]["found"])
        self.assertEqual([(rank["rank"], rank["local_rank"], rank["local_size"]) for rank in report["ranks"]],
                         [(0, 0, 3), (1, 1, 3), (2, 2, 3)])
        self.assertEqual(len({rank["pid"] for rank in report["ranks"]}), 3)
        self.assertEqual(list(place.iterdir()), [])

    def test_another_build_on_one_rank(self):
        other = workspace() / "other-baton"
        shutil.copy(find_binary(), other)
        with open(other, "ab") as file:
            file.write(b"\0")
        code, rows, _ = doctor(before=[*MPIRUN, "-n", "1", other, "doctor", "--json", ":", "-n", "1"])
        self.assertEqual((code, rows["baton"]["state"]), (6, "BAD"), rows)
        self.assertIn("rank 1", rows["baton"]["found"])

    def test_a_folder_that_other_ranks_do_not_see(self):
        place = folder("private")
        hidden = in_mounts(f"mount -t tmpfs none {place}")
        code, rows, _ = doctor("--dir", place, before=[*MPIRUN, "-n", "1", find_binary(), "doctor", "--json", "--dir",
                                                       place, ":", "-n", "1", *hidden])
        self.assertEqual((code, rows["shared folder"]["state"]), (5, "BAD"), rows)
        self.assertIn("rank 1 does not see", rows["shared folder"]["found"])


if __name__ == "__main__":
    run_tests()
