"""One thread for every library that computes with several, in this process and in those that tests start.

The models are tiny, and several test processes on few cores would wait for one another's threads: minutes instead of
seconds. Set before torch and NumPy are loaded, which read it then; bit-equal results need the same number everywhere.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
