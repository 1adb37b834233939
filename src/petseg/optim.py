"""Optimizers, learning rate schedules and the average of weights. Mathematics only: no files, no printing."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from petseg.config.training import OptimizerParams, ScheduleParams


def build(network: nn.Module, params: OptimizerParams, lr: float) -> Optimizer:
    """Adam (Kingma, Ba 2015) or stochastic gradient descent with momentum (Sutskever et al. 2013), over all weights.

    Decay is L2 (its gradient, weight_decay * w, joins the loss's), or decoupled (each step also takes
    lr * weight_decay * w away: AdamW and SGDW, Loshchilov, Hutter 2019). All of an update is one kernel (`fused`), on
    CPU and GPU alike.
    """
    decay, decoupled = params.weight_decay, params.decay == "decoupled"
    if params.name == "adam":
        return (AdamW if decoupled else Adam)(network.parameters(), lr=lr, weight_decay=decay, fused=True)
    l2 = 0.0 if decoupled else decay
    optimizer = SGD(network.parameters(), lr=lr, momentum=params.momentum, weight_decay=l2, fused=True)
    if decoupled and decay:
        optimizer.register_step_pre_hook(lambda optimizer, *_: _shrink(optimizer, decay))
    return optimizer


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Of the next steps, for all weights."""
    for group in optimizer.param_groups:
        group["lr"] = lr


@torch.no_grad()
def _shrink(optimizer: Optimizer, decay: float) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.mul_(1 - group["lr"] * decay)


class Schedule:
    """The learning rate of each step.

    constant: `lr`. cosine: half a cosine from `lr` to 0, a value an epoch (Loshchilov, Hutter 2017, without restarts).
    plateau: `factor` times as much whenever the valid loss has not fallen for more than `patience` epochs. one_cycle:
    a value a step, up from lr / 25 to `lr` in the first 3 tenths of the training, down to lr / 250,000, both along half
    cosines (Smith, Topin 2018; momentum stays). All with the defaults of torch's schedulers of these names.

    With `warm_up` the rate is multiplied by a line from 0 to 1 over the steps of the first epochs (Goyal et al. 2017).

    Args:
        lr: the highest rate.
        epochs: of the whole training.
        steps: of an epoch.
    """

    _RISES, _BEGINS, _ENDS = 0.3, 1 / 25, 1 / 25e4  # one_cycle: share of the training; of lr
    _THRESHOLD = 1e-4  # plateau: by which part a loss must be lower than the lowest to count

    def __init__(self, params: ScheduleParams, lr: float, epochs: int, steps: int) -> None:
        self.params, self.highest, self.epochs, self.steps = params, lr, epochs, steps
        self.lowered = 1.0  # by plateau so far
        self.lowest = math.inf  # valid loss
        self.waited = 0  # epochs since

    def lr(self, epoch: int, step: int) -> float:
        """Of a step of an epoch, both from 0."""
        done = epoch * self.steps + step
        warm = min(1.0, (done + 1) / max(1, self.params.warm_up * self.steps))
        return self.highest * warm * self._shape(epoch, done)

    def _shape(self, epoch: int, done: int) -> float:
        if self.params.name == "cosine":
            return _between(1, 0, epoch / self.epochs)
        if self.params.name == "one_cycle":
            last = self.epochs * self.steps - 1
            top = max(1e-9, self._RISES * (last + 1) - 1)  # the step of the highest rate, a fraction perhaps
            if done <= top:
                return _between(self._BEGINS, 1, done / top)
            return _between(1, self._ENDS, (done - top) / (last - top))
        return self.lowered  # 1 but for plateau

    def end_epoch(self, valid_loss: float) -> None:
        """Tells of an epoch's end; only plateau minds."""
        if valid_loss < self.lowest * (1 - self._THRESHOLD):
            self.lowest, self.waited = valid_loss, 0
        else:
            self.waited += 1
        if self.params.name == "plateau" and self.waited > self.params.patience:
            self.lowered, self.waited = self.lowered * self.params.factor, 0

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("lowered", "lowest", "waited")}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        for name, value in saved.items():
            setattr(self, name, value)


def _between(start: float, end: float, part: float) -> float:
    """Along half a cosine from `start`, at part 0, to `end`, at part 1."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


class Average:
    """The exponential moving average of a network's weights and batch-norm statistics (Polyak, Juditsky 1992).

    After step t, from 0, average = d * average + (1 - d) * weights with d = min(decay, (1 + t) / (10 + t)), so that the
    first weights, which are random, are soon forgotten.

    torch.optim.swa_utils.AveragedModel does the same but without that warm-up, and looks at its counter in each step,
    for which a GPU would have to be waited for.

    Args:
        network: where it is computed; its tensors stay the same ones.
        decay: in (0, 1); None: there is no average, `network` is the network itself.

    Attributes:
        network: a copy with the averaged weights.
    """

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        self.decay, self.network = decay, network
        if decay is not None:
            self.network = copy.deepcopy(network).requires_grad_(False)
            own, followed = ([*each.parameters(), *each.buffers()] for each in (self.network, network))
            self._numbers = _where(own, followed, lambda tensor: tensor.is_floating_point())
            self._counters = _where(own, followed, lambda tensor: not tensor.is_floating_point())  # of batch norm

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step.

        Args:
            step: how many steps of the whole training were done before it.
        """
        if self.decay is None:
            return
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._numbers, part)
        if self._counters[0]:
            torch._foreach_copy_(*self._counters)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.decay is None else self.network.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        if self.decay is not None:
            self.network.load_state_dict(saved)


def _where(own: list[Tensor], followed: list[Tensor], kind: Callable[[Tensor], bool]) -> tuple[list, list]:
    """Those tensors of one kind, and those that they follow."""
    return [x for x in own if kind(x)], [y for y in followed if kind(y)]
