"""What holds for all tests: one thread for every library that computes with several, and no deadline per example.

The models are tiny, and several test processes on few cores would wait for one another's threads: minutes instead of
seconds. Set before torch and NumPy are loaded, which read it then, and for the processes that tests start; bit-equal
results need the same number everywhere. A property does not fail because the machine was busy.
"""

import contextlib
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

with contextlib.suppress(ModuleNotFoundError):  # where only the tests of the trainer on a GPU are run
    from hypothesis import settings

    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")
