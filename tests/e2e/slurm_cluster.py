"""A Slurm of one node for a test: munged, slurmctld and slurmd of its own, in a folder of its own, on free ports.

    with Cluster(folder) as cluster:
        job = cluster.submit("script.sbatch", CONFIG="...")

Needs root and the packages munge and slurm-wlm. NotPossible says why there is none.
"""

import atexit
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED")

CONFIG = """
ClusterName=baton
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that is queued again waits until credentials of its first start have run out.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5,bf_interval=5
MpiDefault=pmix
ReturnToService=2
# More tasks than cores are fine here.
SlurmdParameters=config_overrides
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class NotPossible(Exception):
    pass


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    def __init__(self, folder, cpus=4):
        self.folder = pathlib.Path(folder)
        self.cpus = cpus
        self.daemons = []
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("SLURM_", "OMPI_MCA", "PMIX_"))}
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self.environment["PATH"] += ":/usr/sbin:/sbin"

    def __enter__(self):
        if os.geteuid() != 0:
            raise NotPossible("starting Slurm daemons needs root")
        missing = [name for name in TOOLS if not shutil.which(name, path=self.environment["PATH"])]
        if missing:
            raise NotPossible(f"not installed: {', '.join(missing)} (packages munge and slurm-wlm)")
        atexit.register(self.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that atexit has its turn
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        for name in (".", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        host = socket.gethostname()
        controller_port, node_port = _free_ports(2)
        (self.folder / "slurm.conf").write_text(CONFIG.format(
            folder=self.folder, host=host, controller_port=controller_port, node_port=node_port, cpus=self.cpus))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self._daemon("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket",
                     f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
                     f"--seed-file={self.folder}/munge.seed")
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._daemon("slurmctld", "-D", "-f", self.folder / "slurm.conf")
        self._daemon("slurmd", "-D", "-f", self.folder / "slurm.conf", "-N", host)
        self._wait(lambda: "IDLE" in self.command("scontrol", "show", "node", check=False), "an idle node")

    def _daemon(self, name, *arguments):
        out = open(self.folder / f"{name}.out", "w")
        self.daemons.append(subprocess.Popen([name, *map(str, arguments)], env=self.environment, stdout=out, stderr=out,
                                             stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent))
        out.close()

    def _wait(self, condition, what, seconds=40):
        end = time.monotonic() + seconds
        while not condition():
            dead = [daemon.args[0] for daemon in self.daemons if daemon.poll() is not None]
            if dead or time.monotonic() > end:
                logs = "\n".join(f"{file.name}: {file.read_text(errors='replace')[-600:]}"
                                 for file in sorted(self.folder.glob("*.*")) if file.suffix in (".out", ".log"))
                raise NotPossible(f"{', '.join(dead) or what} did not come up here:\n{logs}")
            time.sleep(0.2)

    def command(self, *words, check=True, **variables):
        environment = self.environment | {key: str(value) for key, value in variables.items()}
        result = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True,
                                timeout=60, stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: status {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def submit(self, *words, **variables):
        """The job's number; `words` are sbatch's."""
        return re.search(r"Submitted batch job (\d+)", self.command("sbatch", *words, **variables)).group(1)

    def job(self, number):
        """What `scontrol show job` says of the job (of the first task of an array), as a dictionary."""
        text = self.command("scontrol", "show", "job", number)
        return dict(re.findall(r"(\w+)=(\S*)", text.split("\n\n")[0]))

    def wait_for_end(self, number, seconds):
        end = time.monotonic() + seconds
        while True:
            facts = self.job(number)
            if facts["JobState"] in ENDED:
                return facts
            if time.monotonic() > end:
                raise AssertionError(f"job {number} is {facts['JobState']} ({facts.get('Reason')}) after {seconds} s")
            time.sleep(0.3)

    def _leftovers(self):
        """Processes of jobs: slurmstepd and what it started have this folder in their environment or command line."""
        found = []
        mark = str(self.folder).encode()
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                known = mark in (entry / "environ").read_bytes() or mark in (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if known and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    def close(self):
        """Ends all jobs, all daemons and whatever they left."""
        if len(self.daemons) == 3 and all(daemon.poll() is None for daemon in self.daemons):
            self.command("scancel", "--user=root", check=False)
            end = time.monotonic() + 15
            while time.monotonic() < end and self.command("squeue", "--noheader", check=False).strip():
                time.sleep(0.3)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons = []
        for process in self._leftovers():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
