"""What launch/common.sh chooses to set up, with drivers that are made up; what CMake then compiles; and that the lists
of pins agree.

    python check_setup.py SOURCE_FOLDER
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop() if len(sys.argv) > 1 else ".").resolve()
OPEN_MODULE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (a@b)\nGCC version: 12.2.0\n"
OLD_MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"


class Machine:
    """A folder of programs that stand before those of this machine, and a driver's folder."""

    def __init__(self, folder, driver=None, smi=None):
        self.driver = folder / "driver"
        self.programs = folder / "bin"
        self.programs.mkdir()
        if driver:
            self.driver.mkdir()
            (self.driver / "version").write_text(driver)
        tool = self.programs / "nvidia-smi"
        tool.write_text("#!/bin/sh\n" + (smi or "echo NVIDIA-SMI has failed; exit 9") + "\n")
        tool.chmod(0o755)

    def run(self, script, **variables):
        environment = {"PATH": f"{self.programs}:/usr/bin:/bin", "DRIVER_FOLDER": str(self.driver), **variables}
        result = subprocess.run(["bash", "-euc", f"source {ROOT}/launch/common.sh\n{script}"], env=environment,
                                capture_output=True, text=True)
        return result.stdout + result.stderr


def choice(machine, asked="", **variables):
    text = machine.run(f'choose_set {asked}; echo "chosen: $TORCH_SET $CUDA_MODE"', **variables)
    return text.rpartition("chosen: ")[2].strip(), text


class Setup(unittest.TestCase):
    def machine(self, **facts):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Machine(pathlib.Path(folder.name), **facts)

    def test_without_a_driver_the_cpu_is_chosen_and_said(self):
        chosen, text = choice(self.machine())
        self.assertEqual(chosen, "cpu AUTO")
        self.assertIn("CPU build: no NVIDIA driver was found", text)

    def test_a_driver_brings_cuda_and_nccl(self):
        chosen, text = choice(self.machine(driver=OPEN_MODULE))
        self.assertEqual(chosen, "cuda ON")
        self.assertIn("GPU build with CUDA and NCCL: NVIDIA driver 580.65.06", text)

    def test_a_driver_that_only_its_tool_knows(self):
        chosen, text = choice(self.machine(smi="echo 581.10"))
        self.assertEqual(chosen, "cuda ON")
        self.assertIn("NVIDIA driver 581.10", text)

    def test_a_driver_too_old_for_cuda_13_is_named(self):
        chosen, text = choice(self.machine(driver=OLD_MODULE))
        self.assertEqual(chosen, "cpu AUTO")
        self.assertIn("NVIDIA driver 535.104.05 is too old for CUDA 13, which needs 580", text)
        chosen, text = choice(self.machine(driver=OLD_MODULE), "gpu")
        self.assertEqual(chosen, "cuda ON")
        self.assertIn("warning: CUDA 13 needs driver 580", text)

    def test_what_is_asked_for_stands_above_what_is_found(self):
        chosen, text = choice(self.machine(driver=OPEN_MODULE), "cpu")
        self.assertEqual(chosen, "cpu OFF")
        self.assertIn("CPU build, as asked for (NVIDIA driver 580.65.06)", text)
        chosen, text = choice(self.machine(), "gpu")
        self.assertEqual(chosen, "cuda ON")
        self.assertIn("computes on the CPU on machines without a driver", text)

    def test_a_libtorch_of_ones_own_is_not_fetched_again(self):
        self.assertEqual(choice(self.machine(), BATON_TORCH_DIR="/opt/torch")[0], "own AUTO")
        self.assertEqual(choice(self.machine(driver=OPEN_MODULE), BATON_TORCH_DIR="/opt/torch")[0], "own AUTO")
        self.assertEqual(choice(self.machine(), "gpu", BATON_TORCH_DIR="/opt/torch")[0], "own ON")

    def test_one_rank_for_each_gpu_and_at_most_two(self):
        for gpus, visible, mode, ranks in ((1, None, "ON", "1"), (4, None, "ON", "2"), (4, "3", "ON", "1"),
                                           (4, "2,3", "ON", "2"), (0, None, "ON", "2"), (1, None, "OFF", "2"),
                                           (4, "", "ON", "2")):
            lines = "; ".join(f"echo 'GPU {n}: made up'" for n in range(gpus)) or "true"
            shown = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
            text = self.machine(smi=lines).run(f"CUDA_MODE={mode}; useful_ranks", **shown)
            self.assertEqual(text.strip(), ranks, (gpus, visible, mode))

    def test_packages_from_elsewhere_are_not_looked_for(self):
        text = self.machine().run("NO_PACKAGES=1; install_packages")
        self.assertIn("launch/README.md lists what must be there", text)

    def test_python_may_be_named(self):
        text = self.machine().run("find_python", BATON_PYTHON="/no/such/python")
        self.assertIn("BATON_PYTHON is /no/such/python", text)


@unittest.skipUnless(shutil.which("cmake") and shutil.which("ninja"), "no cmake here")
class Configure(unittest.TestCase):
    """CMake with LibTorch folders that are made up: only what it decides is looked at."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.plain = cls.make("libtorch", [])
        header = pathlib.Path(cls.folder.name) / "none/minja/minja/minja.hpp"
        header.parent.mkdir(parents=True)
        header.touch()
        nvidia = "../nvidia/"
        cls.full = cls.make("libtorch-cuda", [
            "lib/libtorch_cuda.so", nvidia + "cudnn/lib/libcudnn.so.9", nvidia + "nccl/include/nccl.h",
            nvidia + "nccl/lib/libnccl.so.2", nvidia + "cu13/lib/libcudart.so.13",
            nvidia + "cu13/include/cuda_runtime_api.h", nvidia + "cu13/include/crt/host_defines.h"])

    @classmethod
    def make(cls, name, files):
        parent = pathlib.Path(cls.folder.name) / name
        for file in ["include/ATen/ATen.h", "lib/libtorch_cpu.so", *files]:
            path = pathlib.Path(os.path.normpath(parent / "torch" / file))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return parent / "torch"

    def configure(self, torch, cuda, *more):
        with tempfile.TemporaryDirectory() as build:
            command = ["cmake", "-G", "Ninja", "-S", ROOT, "-B", build, "-DBATON_TESTS=OFF", f"-DBATON_CUDA={cuda}",
                       f"-DBATON_DEPS={self.folder.name}/none", f"-DBATON_TORCH_DIR={torch}", *more]
            result = subprocess.run(command, capture_output=True, text=True)
        return result.returncode, " ".join((result.stdout + result.stderr).split())

    def test_cuda_code_without_a_libtorch_for_it_falls_back_by_name_or_is_refused(self):
        code, text = self.configure(self.plain, "AUTO")
        self.assertEqual(code, 0, text)
        self.assertIn("CUDA: not compiled in, the program computes on the CPU: the LibTorch in", text)
        self.assertIn("has no CUDA; launch/quickstart.sh --gpu fetches one", text)
        code, text = self.configure(self.plain, "ON")
        self.assertNotEqual(code, 0)
        self.assertIn("BATON_CUDA=ON, but the LibTorch in", text)

    def test_the_wheels_are_enough_without_a_toolkit(self):
        code, text = self.configure(self.full, "ON", "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON")
        self.assertEqual(code, 0, text)
        self.assertIn("CUDA: compiled in with the runtime beside LibTorch; NCCL: compiled in", text)

    def test_cuda_that_is_switched_off_is_not_linked(self):
        code, text = self.configure(self.full, "OFF")
        self.assertEqual(code, 0, text)
        self.assertIn("BATON_CUDA is OFF", text)
        self.assertIn("its CUDA part is not used", text)


class Scripts(unittest.TestCase):
    def test_unknown_and_contradicting_arguments_end_before_anything_is_done(self):
        for arguments in (["--gpus"], ["--preset", "cpu", "--gpu"]):
            result = subprocess.run([ROOT / "launch/quickstart.sh", *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn("error: ", result.stderr)
            self.assertEqual(result.stdout, "")

    def test_pins_of_one_package_are_the_same_everywhere(self):
        pins = {}
        for path in sorted(ROOT.glob("launch/requirements-*.txt")):
            for name, rest in re.findall(r"^([a-z0-9-]+)==((?:.*\\\n)*.*)", path.read_text(), re.M):
                pin = rest.split()[0], *sorted(re.findall(r"sha256:[0-9a-f]{64}", rest))
                self.assertGreater(len(pin), 1, f"{path}: {name} has no hash")
                first, where = pins.setdefault(name, (pin, path.name))
                self.assertEqual(first, pin, f"{name} in {where} and {path.name}")

    def test_the_set_for_gpus_is_the_oracles_cuda(self):
        names = {}
        for which in ("libtorch-cuda", "oracles"):
            text = (ROOT / f"launch/requirements-{which}.txt").read_text()
            names[which] = set(re.findall(r"^(torch|nvidia-[a-z0-9-]+)==", text, re.M))
        self.assertEqual(names["oracles"] - names["libtorch-cuda"], {"nvidia-nvtx"})
        self.assertEqual(names["libtorch-cuda"] - names["oracles"], set())

    def test_the_container_takes_what_exists_and_asks_for_what_the_scripts_know(self):
        definition = (ROOT / "launch/baton.def").read_text()
        files = re.search(r"^%files\n((?:    .*\n)+)", definition, re.M).group(1)
        for line in files.splitlines():
            self.assertTrue((ROOT / line.split()[0]).exists(), line)
        known = (ROOT / "launch/quickstart.sh").read_text()
        for option in re.findall(r"quickstart\.sh((?: --[a-z-]+)+)", definition):
            for word in option.split():
                self.assertIn(word, known)


if __name__ == "__main__":
    unittest.main()
