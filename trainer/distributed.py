"""Ranks: one process, or those that torchrun started. Sums over ranks, and FSDP2 around the policy.

Without torchrun everything here is the identity. A rank without groups in a micro-batch still runs the model (on one
token, its loss times 0), because FSDP gathers weights in collectives that every rank must enter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from trainer.logprobs import TokenLogprobs


@dataclass(frozen=True)
class Ranks:
    """Who we are. device: of this rank.   local: number of this rank on its machine."""

    rank: int
    size: int
    device: torch.device
    local: int = 0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum over ranks, the same on all; float64 keeps counts exact."""
        if self.size > 1:
            on_device = values.to(self.device)
            dist.all_reduce(on_device)
            return on_device.cpu()
        return values

    def sum_all(self, values: Mapping[str, float | Tensor]) -> dict[str, float]:
        """Sums of many numbers in one exchange; every rank passes the same names."""
        names = sorted(values)
        packed = torch.tensor([float(values[name]) for name in names], dtype=torch.float64)
        return dict(zip(names, self.sum(packed).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether any rank says so."""
        return bool(self.sum(torch.tensor(float(flag))).item())

    def most(self, number: int) -> int:
        """The largest of the ranks' numbers, on every rank."""
        if self.size == 1:
            return number
        value = torch.tensor([number], device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def least(self, number: int) -> int:
        """The smallest of the ranks' numbers, on every rank."""
        return -self.most(-number)

    def from_first(self, make: Callable[[], bytes]) -> bytes:
        """What `make` gives on rank 0, on every rank; it is called there only."""
        return self.from_rank(0, make)

    def from_rank(self, rank: int, make: Callable[[], bytes]) -> bytes:
        """What `make` gives on one rank, on every rank; it is called there only."""
        if self.size == 1:
            return make()
        is_mine = self.rank == rank
        made = torch.from_numpy(np.frombuffer(make() if is_mine else b"", np.uint8).copy())
        size = torch.tensor([len(made)], device=self.device)
        dist.broadcast(size, rank)
        if not int(size):
            return b""
        data = torch.empty(int(size), dtype=torch.uint8, device=self.device)
        if is_mine:
            data.copy_(made)
        dist.broadcast(data, rank)
        return data.cpu().numpy().tobytes()

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier()


def join_ranks() -> Ranks:
    """Join the ranks that torchrun announces in the environment, or be the only one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size > 1 and not dist.is_initialized():
        # torchrun keeps one store for all its restarts: the addresses of ranks that are gone must not be taken for ours
        store, _, _ = next(rendezvous("env://"))
        store = PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    return Ranks(rank, size, device, local)


def leave_ranks() -> None:
    """End the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def place_policy(scorer: TokenLogprobs, ranks: Ranks, compiled: bool = False) -> None:
    """Move the policy to this rank's device: whole on one rank, in shards (FSDP2, one unit per block) on several."""
    blocks = transformer_blocks(scorer)
    if compiled:
        compile_blocks(scorer)
    if ranks.size == 1:
        scorer.to(ranks.device)
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(ranks.device.type, (ranks.size,))
    options: dict[str, Any] = {"mesh": mesh}
    for block in blocks:
        fully_shard(block, **options)
    # embeddings, last norm and head stay gathered from the forward to the backward: the chunked head reads them twice
    fully_shard(scorer, reshard_after_forward=False, **options)


def compile_blocks(scorer: TokenLogprobs, backend: str = "inductor") -> None:
    """torch.compile of every decoder layer, its attention left out; one graph for rows of all lengths."""
    for block in transformer_blocks(scorer):
        block.compile(dynamic=True, backend=backend)


def transformer_blocks(scorer: TokenLogprobs) -> list[nn.Module]:
    """The model's decoder layers: what it names as not to be split, or the longest list of modules."""
    model = scorer.causal_lm
    names = set(getattr(model, "_no_split_modules", None) or ())
    blocks = [module for module in model.modules() if type(module).__name__ in names]
    if blocks:
        return blocks
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return list(max(lists, key=len)) if lists else []
