"""Optimizers, learning rate schedules and the moving average of weights."""

import copy
import math
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from petseg.config.training import OptimizerParams, ScheduleParams

ENCODER = ("stem.", "encoder.")  # beginnings of the names of an encoder's parameters


def build(network: nn.Module, params: OptimizerParams, lr: float, encoder_lr: float = 1.0) -> Optimizer:
    """Adam (Kingma, Ba 2015) or SGD with momentum (Sutskever et al. 2013), over all parameters of `network`.

    Weight decay is L2 (weight_decay * w is added to the gradient) or decoupled (lr * weight_decay * w is subtracted
    from the weights: AdamW and SGDW, Loshchilov, Hutter 2019). `fused` makes an update one kernel, on CPU and GPU.

    Args:
        lr: the learning rate until `set_lr` is called.
        encoder_lr: factor of the learning rate of the encoder, see `ENCODER`.
    """
    groups = _parameter_groups(network, encoder_lr)
    decay, decoupled = params.weight_decay, params.decay == "decoupled"
    if params.name == "adam":
        return (AdamW if decoupled else Adam)(groups, lr=lr, weight_decay=decay, fused=True)
    l2 = 0.0 if decoupled else decay
    optimizer = SGD(groups, lr=lr, momentum=params.momentum, weight_decay=l2, fused=True)
    if decoupled and decay:
        optimizer.register_step_pre_hook(lambda optimizer, *_: _decay_weights(optimizer, decay))
    return optimizer


def _parameter_groups(network: nn.Module, encoder_lr: float) -> list[dict[str, Any]]:
    """The parameters of the encoder and all others, without empty groups."""
    encoder, others = [], []
    for name, parameter in network.named_parameters():
        (encoder if name.startswith(ENCODER) else others).append(parameter)
    groups = [{"params": others, "factor": 1.0}, {"params": encoder, "factor": encoder_lr, "is_encoder": True}]
    return [group for group in groups if group["params"]]


def set_lr(optimizer: Optimizer, lr: float, freeze_encoder: bool = False) -> None:
    """Sets the learning rate of all parameters, that of the encoder times its factor, or to 0."""
    for group in optimizer.param_groups:
        frozen = freeze_encoder and group.get("is_encoder", False)
        group["lr"] = 0.0 if frozen else lr * group["factor"]


@torch.no_grad()
def _decay_weights(optimizer: Optimizer, decay: float) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.mul_(1 - group["lr"] * decay)


class Schedule:
    """The learning rate of each step.

    - constant: `lr`.
    - cosine: half a cosine from `lr` to 0, one value per epoch (Loshchilov, Hutter 2017, without restarts).
    - plateau: multiplied by `factor` when the validation loss has not fallen for more than `patience` epochs.
    - one_cycle: one value per step, up from lr / 25 to `lr` in the first 30 % of the training, then down to
      lr / 250,000, both along half a cosine (Smith, Topin 2018; momentum is constant).

    Constants are the defaults of torch's schedulers. With `warm_up`, the rate is also multiplied by a line from
    0 to 1 over the steps of the first epochs (Goyal et al. 2017).

    Args:
        lr: the maximum.
        epochs: of the whole training.
        steps: per epoch.
    """

    _PEAK, _START, _END = 0.3, 1 / 25, 1 / 25e4  # one_cycle: share of the training; shares of lr
    _THRESHOLD = 1e-4  # plateau: relative decrease that counts as an improvement

    def __init__(self, params: ScheduleParams, lr: float, epochs: int, steps: int) -> None:
        self.params, self.max_lr, self.epochs, self.steps = params, lr, epochs, steps
        self.reduction = 1.0  # plateau: product of the factors so far
        self.best_loss = math.inf
        self.bad_epochs = 0

    def lr(self, epoch: int, step: int) -> float:
        """The learning rate of a step of an epoch, both counted from 0."""
        done = epoch * self.steps + step
        warm_up = min(1.0, (done + 1) / max(1, self.params.warm_up * self.steps))
        return self.max_lr * warm_up * self._factor(epoch, done)

    def _factor(self, epoch: int, done: int) -> float:
        if self.params.name == "cosine":
            return _cosine(1, 0, epoch / self.epochs)
        if self.params.name == "one_cycle":
            last = self.epochs * self.steps - 1
            peak = max(1e-9, self._PEAK * (last + 1) - 1)  # step of the maximum, maybe a fraction
            if done <= peak:
                return _cosine(self._START, 1, done / peak)
            return _cosine(1, self._END, (done - peak) / (last - peak))
        return self.reduction

    def end_epoch(self, valid_loss: float) -> None:
        """Takes the validation loss at the end of an epoch; only plateau uses it."""
        if valid_loss < self.best_loss * (1 - self._THRESHOLD):
            self.best_loss, self.bad_epochs = valid_loss, 0
        else:
            self.bad_epochs += 1
        if self.params.name == "plateau" and self.bad_epochs > self.params.patience:
            self.reduction, self.bad_epochs = self.reduction * self.params.factor, 0

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("reduction", "best_loss", "bad_epochs")}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        for name, value in saved.items():
            setattr(self, name, value)


def _cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` at progress 0 to `end` at progress 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


class EMA:
    """Exponential moving average of a network's weights and batch-norm statistics (Polyak, Juditsky 1992).

    After step t, from 0: average = d * average + (1 - d) * weights with d = min(decay, (1 + t) / (10 + t)), so that the
    random initial weights are soon forgotten. torch's `AveragedModel` has no such warm-up, and reads a counter from the
    device in every step.

    Args:
        network: on its final device; later on its tensors are only changed in place.
        decay: in (0, 1); None disables averaging: then the attribute `network` is `network` itself.

    Attributes:
        network: a copy with the averaged weights.
    """

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        self.decay, self.network = decay, network
        if decay is None:
            return
        self.network = copy.deepcopy(network).requires_grad_(False)
        averaged, followed = ([*each.parameters(), *each.buffers()] for each in (self.network, network))
        pairs = list(zip(averaged, followed, strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]  # of batch norm

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the weights after step `step` of the whole training, counted from 0."""
        if self.decay is None:
            return
        averaged, followed = zip(*self._floats, strict=True)
        get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))(averaged, followed, None)
        for averaged, followed in self._counters:
            averaged.copy_(followed)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.decay is None else self.network.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        if self.decay is not None:
            self.network.load_state_dict(saved)
