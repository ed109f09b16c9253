"""A mounted lossyfs, and whether this machine can have one."""
import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def missing():
    """Why there can be none here; None when there can."""
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    if not shutil.which("cc") and not shutil.which("gcc"):
        return "there is no C compiler"
    if subprocess.run(["pkg-config", "--exists", "fuse3"], check=False).returncode != 0:
        return "libfuse3-dev is not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            LossyDisk(folder).close()
        except OSError as error:
            return f"nothing can be mounted: {error}"
    return None


class LossyDisk:
    """A new, empty one at `folder`/mnt; the program is built into `folder` when it is not there."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "mnt")
        os.makedirs(self.path, exist_ok=True)
        program = os.path.join(folder, "lossyfs")
        if not os.path.exists(program):
            flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True,
                                   capture_output=True, text=True).stdout.split()
            subprocess.run(["cc", "-O2", "-Wall", "-Wextra", os.path.join(HERE, "lossyfs.c"),
                            "-o", program] + flags, check=True)
        self.process = subprocess.Popen([program, self.path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.ask("changes")
        for _ in range(1000):
            if os.path.ismount(self.path):
                return
            if self.process.poll() is not None:
                break
        self.close()
        raise OSError("lossyfs did not mount")

    def ask(self, command, value=0):
        try:
            self.process.stdin.write(f"{command} {value}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().split()
        except BrokenPipeError:
            answer = []
        if len(answer) != 2:
            raise OSError(f"lossyfs ended at `{command}`")
        return int(answer[1])

    def close(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if os.path.ismount(self.path):
            subprocess.run(["umount", "-l", self.path], check=False)
