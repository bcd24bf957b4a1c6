"""One thread: the models are tiny, and several test processes on few cores would wait for one another's threads."""

import torch

torch.set_num_threads(1)
