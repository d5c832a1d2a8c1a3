"""What is saved survives: failing calls, full disks, kills, flipped bits and cut files.

BATON_PROBE names the program of tests/support/checkpoint_probe.cpp, BATON_IO_FAULT the library of io_fault.c beside it
(default: the first build folder that has them). BATON_NIGHTLY=1 tries more places.
"""

import atexit
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from support import find_built, run_tests

NIGHTLY = os.environ.get("BATON_NIGHTLY") == "1"
STORAGE = 5
SIZE = 2000  # parameters of the probe's small states
FILES = ("state.h5", "manifest.json", "COMPLETE")
DISK_ERRORS = ("ENOSPC", "EDQUOT", "EIO")
WRITING_CALLS = ("open", "write", "fsync", "rename", "close", "mkdir")


PROBE = str(find_built("BATON_PROBE", "tests/checkpoint_probe"))
IO_FAULT = str(find_built("BATON_IO_FAULT", "tests/libio_fault.so"))
# In memory where that can be: what is proven here is the order of calls and what they do when they fail, and a busy
# disk makes each fsync take its time.
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) and "TMPDIR" not in os.environ else None
ROOT = pathlib.Path(tempfile.mkdtemp(prefix="baton-durability-", dir=IN_MEMORY))
atexit.register(shutil.rmtree, ROOT, ignore_errors=True)


def probe(*words, fault=None, prefix=None, limit=None, timeout=60):
    """Runs the probe. `fault`: what io_fault.c is told; `limit`: bytes a file may have."""
    env = dict(os.environ)
    if fault:
        env["LD_PRELOAD"] = IO_FAULT
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        env["IO_FAULT_PREFIX"] = str(prefix)
        env.update({f"IO_FAULT_{key.upper()}": str(value) for key, value in fault.items()})
    start = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.run([PROBE, *map(str, words)], env=env, capture_output=True, text=True, timeout=timeout,
                          preexec_fn=start)


def probe_ok(*words, **options):
    result = probe(*words, **options)
    if result.returncode != 0:
        raise AssertionError(f"exit code {result.returncode} from {words}:\n{result.stderr}")
    return result.stdout


class Server:
    """The probe, asked again and again for the newest generation of one folder."""

    def __init__(self, folder):
        self.process = subprocess.Popen([PROBE, "serve", str(folder), str(SIZE)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def newest(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


def content(folder):
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


class Case(unittest.TestCase):
    number = 0

    def fresh(self):
        Case.number += 1
        folder = ROOT / f"{self._testMethodName}-{Case.number}"
        folder.mkdir()
        return folder

    def newest(self, folder, size=SIZE):
        return json.loads(probe_ok("newest", folder, size))

    def check_storage_error(self, result, name, where):
        self.assertEqual(result.returncode, STORAGE, f"{where}\n{result.stderr}")
        self.assertIn(f"errno {getattr(errno, name)}", result.stderr, where)
        self.assertIn(os.strerror(getattr(errno, name)), result.stderr, where)
        self.assertRegex(result.stderr, r"where: +/", where)
        self.assertIn("what to do", result.stderr, where)


class Order(Case):
    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_each_thing_is_durable_before_the_next_begins(self):
        folder = self.fresh() / "checkpoints"
        probe_ok("save", folder, 1, 2)
        trace = self.fresh() / "trace"
        command = ["strace", "-f", "-y", "-o", trace, "-e",
                   "trace=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir",
                   PROBE, "save", folder, "3", "3"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if result.returncode != 0 and "ptrace" in result.stderr.lower():
            self.skipTest("strace may not trace here: " + result.stderr.strip()[-200:])
        self.assertEqual(result.returncode, 0, result.stderr)
        # "Was /folder/step-00000003.tmp.PID" and after the rename "/folder/step-00000003".
        steps = []
        for line in trace.read_text().splitlines():
            found = re.search(r"(\w+)\((.*)\) += (-?\d+)", line)
            if not found or str(folder) not in line:
                continue
            call, arguments = found[1], found[2]
            if call == "unlink" and found[3] == "-1":
                continue  # tried on a folder
            self.assertGreaterEqual(int(found[3]), 0, line)
            path = re.search(re.escape(str(folder)) + r"[^>\"]*", arguments)[0]
            steps.append(f"{call} {re.sub(r'[.]tmp[.][0-9]+', '.tmp', path[len(str(folder)):]) or '/'}")
        one = "/step-00000003"
        writing = [
            f"mkdir {one}.tmp", "fsync /",
            f"write {one}.tmp/state.h5", f"fsync {one}.tmp/state.h5",
            f"write {one}.tmp/manifest.json", f"fsync {one}.tmp/manifest.json",
            f"fsync {one}.tmp", f"rename {one}.tmp", "fsync /",
            f"write {one}/COMPLETE", f"fsync {one}/COMPLETE", f"fsync {one}"]
        self.assertEqual(steps[:len(writing)], writing)
        # Only then the oldest one goes, its marker first.
        removing = steps[len(writing):]
        self.assertTrue(removing and all("step-00000001" in step or step.endswith((*FILES, "/")) for step in removing),
                        removing)
        self.assertIn("COMPLETE", removing[0])


class FailingCalls(Case):
    """Each call of one save fails once: exit 5, file and errno named, the generations before it untouched."""

    def prepared(self):
        folder = self.fresh() / "checkpoints"
        probe_ok("save", folder, 1, 2, SIZE)
        return folder

    def try_call(self, call, name, sticky):
        """Fails the first, second, ... call; how many of them mattered. HDF5 looks for a file before it makes one, and
        a generation before that cannot be read is kept rather than removed: those failures change nothing."""
        folder = self.prepared()
        before = content(folder)
        num_refused = 0
        for nth in range(1, 100):
            fault = {"call": call, "nth": nth, "errno": getattr(errno, name), "sticky": sticky}
            where = f"{call} {nth}: {name}"
            result = probe("save", folder, 3, 3, SIZE, fault=fault, prefix=folder)
            if result.returncode == 0:
                found = self.newest(folder)
                self.assertEqual((found["step"], found["right"]), (3, True), where)
                if "io_fault:" not in result.stderr:
                    return num_refused
                self.assertIn(call, ("open", "close"), where)
                folder = self.prepared()
                before = content(folder)
                continue
            num_refused += 1
            self.check_storage_error(result, name, where)
            self.assertIn(str(folder), result.stderr, where)
            self.assertEqual(content(folder), before, where)
            self.assertEqual(sorted(path.name for path in folder.iterdir()), ["step-00000001", "step-00000002"])
            found = self.newest(folder)
            self.assertEqual((found["step"], found["right"]), (2, True), where)
        self.fail(f"{call} fails without end")

    def test_every_call_of_a_save(self):
        total = 0
        for name in DISK_ERRORS:
            for sticky in (0, 1):
                counts = {call: self.try_call(call, name, sticky) for call in WRITING_CALLS}
                # Three files; before and after them the two folders. A sticky error is the same one call earlier too.
                least = {"open": 7, "write": 3, "fsync": 7, "rename": 1, "close": 3, "mkdir": 1}
                for call, count in least.items():
                    (self.assertGreaterEqual if sticky else self.assertEqual)(counts[call], count, call)
                total += sum(counts.values())
        print(f"{total} injected errors, each ended with exit code 5 and the old state", file=sys.stderr)

    def test_first_save_of_all(self):
        for call in WRITING_CALLS:
            for nth in range(1, 100):
                folder = self.fresh() / "run" / "checkpoints" / "01-qa"
                fault = {"call": call, "nth": nth, "errno": errno.ENOSPC}
                result = probe("save", folder, 1, 1, SIZE, fault=fault, prefix=folder.parents[1])
                if "io_fault:" not in result.stderr:
                    break
                if result.returncode == 0:
                    continue
                self.check_storage_error(result, "ENOSPC", f"{call} {nth}")
                self.assertEqual(self.newest(folder)["step"], -1)
                probe_ok("save", folder, 1, 1, SIZE)
                self.assertEqual(self.newest(folder)["step"], 1)

    def test_short_writes_are_completed(self):
        folder = self.prepared()
        probe_ok("save", folder, 3, 3, SIZE, prefix=folder, fault={"call": "write", "nth": 1, "errno": 0, "sticky": 1})
        found = self.newest(folder)
        self.assertEqual((found["step"], found["right"]), (3, True))

    def test_what_cannot_be_read_is_passed_over(self):
        folder = self.prepared()
        for call in ("open", "read", "pread"):
            steps = []
            for nth in range(1, 100):
                result = probe("newest", folder, SIZE, fault={"call": call, "nth": nth, "errno": errno.EIO},
                               prefix=folder / "step-00000002")
                self.assertEqual(result.returncode, 0, result.stderr)
                found = json.loads(result.stdout)
                self.assertTrue(found["right"])
                steps.append(found["step"])
                if found["step"] == 2:
                    break
                # HDF5 itself does not always say the errno of a failed read.
                self.assertIn("passed over", found["passed_over"][0])
                self.assertIn("step-00000002", found["passed_over"][0])
            self.assertEqual(steps, [1] * (len(steps) - 1) + [2], call)
            self.assertGreater(len(steps), 3, call)


class FullDisks(Case):
    def test_real_full_disk(self):
        folder = self.fresh()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=256k") != 0:
            self.skipTest(f"cannot mount a small file system here: {os.strerror(ctypes.get_errno())}")
        try:
            self.fill(folder / "checkpoints")
        finally:
            libc.umount2(str(folder).encode(), 2)

    def fill(self, folder):
        last = num_refused = 0
        ballast = folder.parent / "ballast"
        for num_pages in range(60, 0, -1):  # free space for less and less of a save
            ballast.write_bytes(b"")
            probe_ok("save", folder, last + 1, last + 1, SIZE)
            last += 1
            before = content(folder)
            free = os.statvfs(folder.parent).f_bavail * 4096
            ballast.write_bytes(b"x" * max(0, free - 4096 * num_pages))
            result = probe("save", folder, last + 1, last + 1, SIZE)
            found = self.newest(folder)
            self.assertTrue(found["right"])
            if result.returncode == 0:
                last += 1
            else:
                num_refused += 1
                self.check_storage_error(result, "ENOSPC", f"{num_pages} pages free")
                self.assertEqual(content(folder), before)
            self.assertEqual(found["step"], last)
        self.assertGreater(num_refused, 5)
        self.assertGreater(last - 60, 5)

    def test_file_size_limit(self):
        folder = self.fresh() / "checkpoints"
        probe_ok("save", folder, 1, 2, SIZE)
        before = content(folder)
        sizes = sorted(len(before[f"step-00000002/{name}"]) for name in FILES)
        for limit in (0, 1, sizes[0] - 1, sizes[0], sizes[1] - 1, sizes[1], 4096, sizes[2] // 2, sizes[2] - 1):
            result = probe("save", folder, 3, 3, SIZE, limit=limit)
            self.check_storage_error(result, "EFBIG", f"limit {limit}")
            self.assertIn("ulimit -f", result.stderr)
            self.assertEqual(content(folder), before)
        probe_ok("save", folder, 3, 3, SIZE, limit=sizes[2])


class Kills(Case):
    def test_killed_at_any_moment(self):
        chance = random.Random(1)
        folder = self.fresh() / "checkpoints"
        saved_somewhere = 0
        for attempt in range(600 if NIGHTLY else 200):
            before = self.newest(folder)["step"]
            process = subprocess.Popen([PROBE, "loop", str(folder), str(SIZE)], stdout=subprocess.PIPE, text=True)
            process.stdout.readline()  # it begins
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
            lines = process.communicate()[0].split("\n")
            # What it said it had saved is there; a line cut short was not said.
            said = [int(line.split()[1]) for line in lines[:-1]]
            least = max([before, *said])
            found = self.newest(folder)
            self.assertTrue(found["right"], f"attempt {attempt}: {found}")
            self.assertIn(found["step"], (least, max(least, 0) + 1), f"attempt {attempt}: {found}")
            saved_somewhere += found["step"] > before
        self.assertGreater(saved_somewhere, 20)
        print(f"{attempt + 1} kills, step {found['step']} in the end", file=sys.stderr)


class Damage(Case):
    """Something of the newest generation is changed: the one before it is taken, and it is said why."""

    def setUp(self):
        self.folder = self.fresh() / "checkpoints"
        probe_ok("save", self.folder, 1, 2, SIZE)
        self.newer = self.folder / "step-00000002"
        self.original = {name: (self.newer / name).read_bytes() for name in FILES}
        self.server = Server(self.folder)
        self.addCleanup(self.server.close)

    @contextlib.contextmanager
    def damaged(self, name, data):
        (self.newer / name).write_bytes(data)
        try:
            yield self.server.newest()
        finally:
            (self.newer / name).write_bytes(self.original[name])

    def expect_older(self, found, where):
        self.assertNotIn("signal", found, where)
        self.assertEqual((found.get("step"), found.get("right")), (1, True), f"{where}: {found}")
        self.assertEqual(pathlib.Path(found["path"]).name, "step-00000001", where)
        self.assertIn(f"passed over {self.newer}", found["passed_over"][0], where)

    def flips(self, chance, count):
        """Bits of all three files: the borders of each, then anywhere, as often in the small ones as in the large."""
        for _ in range(count):
            name = chance.choice(FILES)
            size = len(self.original[name])
            place = chance.choice((chance.randrange(size), chance.randrange(min(size, 2048)),
                                   size - 1 - chance.randrange(min(size, 1024))))
            yield name, place, chance.randrange(8)

    def test_flipped_bits(self):
        count = 3000 if NIGHTLY else 300
        for name, place, bit in self.flips(random.Random(2), count):
            data = bytearray(self.original[name])
            data[place] ^= 1 << bit
            with self.damaged(name, data) as found:
                self.expect_older(found, f"{name}, byte {place}, bit {bit}")
        found = self.server.newest()
        self.assertEqual((found["step"], found["right"]), (2, True))
        print(f"{count} flipped bits: 0 silent, 0 crashes, 0 hangs", file=sys.stderr)

    def test_flipped_bits_behind_the_checksum(self):
        """The same with sums made to fit: then HDF5's own checksums are all there is."""
        import hashlib
        chance = random.Random(3)
        manifest = json.loads(self.original["manifest.json"])
        results = {"refused": 0, "no effect": 0}
        for _ in range(3000 if NIGHTLY else 300):
            data = bytearray(self.original["state.h5"])
            place = chance.choice((chance.randrange(len(data)), chance.randrange(4096)))
            data[place] ^= 1 << chance.randrange(8)
            manifest["files"][0]["sha256"] = hashlib.sha256(data).hexdigest()
            text = json.dumps(manifest).encode()
            (self.newer / "manifest.json").write_bytes(text)
            (self.newer / "COMPLETE").write_text(hashlib.sha256(text).hexdigest() + "\n")
            with self.damaged("state.h5", data) as found:
                self.assertNotIn("signal", found, f"byte {place}")
                self.assertTrue(found.get("right"), f"byte {place}: {found}")
                results["refused" if found["step"] == 1 else "no effect"] += 1
        self.assertGreater(results["refused"], 150)
        print(f"flips with fitting sums: {results}", file=sys.stderr)

    def test_cut_files(self):
        count = 0
        for name in FILES:
            data = self.original[name]
            places = set(range(0, len(data), 4096)) | {1, 7, 8, 47, 48, 49, 63, 64, len(data) - 1, len(data) - 8}
            dense = [*range(min(len(data), 4096)), *range(max(0, len(data) - 1024), len(data))]
            places |= set(dense if NIGHTLY else random.Random(4).sample(dense, min(40, len(dense))))
            for place in sorted(p for p in places if 0 <= p < len(data)):
                with self.damaged(name, data[:place]) as found:
                    self.expect_older(found, f"{name} cut to {place} of {len(data)} bytes")
                count += 1
            for more in (b"\0", b"x" * 4096):
                with self.damaged(name, data + more) as found:
                    self.expect_older(found, f"{name} with {len(more)} bytes more")
        print(f"{count} cuts", file=sys.stderr)

    def test_zeroed_blocks(self):
        """As a file system without ordered data leaves it after a power cut."""
        data = self.original["state.h5"]
        for place in range(0, len(data), 4096):
            block = data[place:place + 4096]
            if block.strip(b"\0"):
                with self.damaged("state.h5", data[:place] + bytes(len(block)) + data[place + 4096:]) as found:
                    self.expect_older(found, f"zeros at {place}")

    def test_both_damaged(self):
        older = self.folder / "step-00000001" / "state.h5"
        older.write_bytes(older.read_bytes()[:-1])
        with self.damaged("COMPLETE", b"") as found:
            self.assertEqual((found["step"], len(found["passed_over"])), (-1, 2))


class Clocks(Case):
    def test_times_of_files_choose_nothing(self):
        folder = self.fresh() / "checkpoints"
        probe_ok("save", folder, 1, 2, SIZE)
        day = 86400
        for offset in (-20_000 * day, 30_000 * day):
            for path in (folder / "step-00000002").rglob("*"):
                os.utime(path, (time.time() + offset,) * 2)
            for path in (folder / "step-00000001").rglob("*"):
                os.utime(path, (max(0, time.time() - offset),) * 2)
            os.utime(folder / "step-00000002", (max(0, time.time() + offset),) * 2)
            self.assertEqual(self.newest(folder)["step"], 2)
        probe_ok("save", folder, 3, 3, SIZE)
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["step-00000002", "step-00000003"])


class OtherFiles(Case):
    """Experts, buffers, run.json and small files: the old one or the new one, whole, and nothing beside it."""

    KINDS = {"expert": "experts/01-qa.h5", "buffer": "buffers/01-qa.h5", "run": "", "text": "status.json"}

    def value(self, kind, path):
        return json.loads(probe_ok("read", kind, path))["value"]

    def test_failing_calls(self):
        total = 0
        for kind, name in self.KINDS.items():
            root = self.fresh()
            path = root / name
            probe_ok("write", kind, path, 1)
            before = content(root)
            for call in WRITING_CALLS:
                for nth in range(1, 100):
                    fault = {"call": call, "nth": nth, "errno": getattr(errno, DISK_ERRORS[nth % 3])}
                    result = probe("write", kind, path, 2, fault=fault, prefix=root)
                    where = f"{kind}, call {nth} of {call}"
                    if result.returncode == 0:
                        self.assertEqual(self.value(kind, path), 2, where)
                        if "io_fault:" not in result.stderr:
                            probe_ok("write", kind, path, 1)
                            break
                        self.assertIn(call, ("open", "close"), where)
                    else:
                        self.check_storage_error(result, DISK_ERRORS[nth % 3], where)
                        self.assertEqual(sorted(content(root)), sorted(before), where)
                        # After the rename the new one is there; a folder that cannot be synced leaves open for how
                        # long.
                        is_renamed = "make a folder durable" in result.stderr
                        self.assertEqual(self.value(kind, path), 2 if is_renamed else 1, where)
                        total += 1
                    probe_ok("write", kind, path, 1)
                if call in ("write", "rename"):
                    self.assertGreater(nth, 1, f"{kind}: no {call}")
        print(f"{total} injected errors", file=sys.stderr)

    def test_file_size_limit(self):
        for kind, name in self.KINDS.items():
            root = self.fresh()
            path = root / name
            probe_ok("write", kind, path, 1)
            before = content(root)
            size = len(before[name or "run.json"])
            for limit in (0, 100, size // 2, size - 1):
                result = probe("write", kind, path, 2, limit=limit)
                self.check_storage_error(result, "EFBIG", f"{kind}, limit {limit}")
                self.assertEqual(content(root), before)

    def test_killed_while_replacing(self):
        chance = random.Random(5)
        for kind, name in self.KINDS.items():
            root = self.fresh()
            path = root / name
            probe_ok("write", kind, path, 1)
            for attempt in range(40 if NIGHTLY else 12):
                process = subprocess.Popen([PROBE, "write", kind, str(path), "2"])
                time.sleep(chance.uniform(0.002, 0.03))
                process.send_signal(signal.SIGKILL)
                process.wait()
                self.assertIn(self.value(kind, path), (1, 2), f"{kind}, attempt {attempt}")
                probe_ok("write", kind, path, 1)


if __name__ == "__main__":
    run_tests()
