"""Install qcompare and open the app, on any system: what `start.sh` does, without a shell.

python scripts/start.py              opens the app
python scripts/start.py --demo       runs the demo study in the terminal
python scripts/start.py plan X.yaml  hands the words to the command line
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from install import ROOT, install


def hand_over(command: Sequence[str], environment: dict[str, str]) -> int:
    """Go on as another program; gives its exit code where it has to be another process."""
    if sys.platform != "win32":
        os.execve(command[0], command, environment)
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # it has got it too, and decides
                continue


if __name__ == "__main__":
    python = install(["requirements.txt"])
    words = ["demo"] if sys.argv[1:] == ["--demo"] else sys.argv[1:] or ["app"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.exit(hand_over([str(python), "-m", "qcompare", *words], {**os.environ, "PYTHONPATH": path}))
