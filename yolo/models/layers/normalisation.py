"""Batch normalisation whose training statistics are as exact as float32 allows."""

from __future__ import annotations

from typing import Final

import oneflow as flow
from oneflow import nn

from yolo.distributed.tensors import write

MOST_SUMMED: Final = 1024


class BatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` whose training statistics come from pairwise sums where it matters.

    OneFlow 0.9.0's own CPU kernel adds up a whole channel in one float32 running sum: over 10^5 values that costs
    two decimal places in the statistics, and the error grows on its way back through the network (gradients of
    YOLOv5n off by 10^-4 to 10^-3). Up to ``MOST_SUMMED`` values a channel its error is 10^-6, and one kernel takes
    less time than the forty small operators here; in evaluation mode nothing is summed. There it is used.

    On a global tensor each rank's kernel takes the statistics of its own part, which then differ. With ``over_ranks``
    they are those of the whole batch, by the small operators.

    One value a channel is its own mean, and its variance counts as 0, as in compiled training: OneFlow's kernel
    divides by 0 there and says nothing.
    """

    over_ranks = False

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """float32 [B, C, H, W] -> the same shape; moves the running statistics when training."""
        count = x.numel() // x.shape[1]
        summed = self.over_ranks if x.is_global else count > MOST_SUMMED
        if self.training and count == (len(x.placement.ranks) if x.is_global and not summed else 1):
            return self._of_one(x)
        if not self.training or not summed:
            return nn.BatchNorm2d.forward(self, x)  # in a graph self is a proxy, which super() refuses
        mean = x.detach().mean(dim=(0, 2, 3), keepdim=True)
        centred = x - mean
        seen = centred.detach()
        variance = (seen * seen).mean(dim=(0, 2, 3), keepdim=True)
        self._move_statistics(mean.reshape(-1), variance.reshape(-1) * (count / (count - 1)))
        return _Scale.apply(centred, self.weight, self.bias, (variance + self.eps).rsqrt())

    def _of_one(self, x: flow.Tensor) -> flow.Tensor:
        """The bias, whatever the one value a channel is; without ``over_ranks`` one of each rank's."""
        mean = x.detach().mean(dim=(0, 2, 3))  # over ranks too, whose statistics become their mean with the update
        self._move_statistics(mean, mean - mean)
        return (x - x) * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)

    def _move_statistics(self, mean: flow.Tensor, variance: flow.Tensor) -> None:
        kept, momentum = 1.0 - self.momentum, self.momentum
        with flow.no_grad():
            write(self.running_mean, self.running_mean * kept + mean * momentum)
            write(self.running_var, self.running_var * kept + variance * momentum)


class _Scale(flow.autograd.Function):
    """centred / deviation * weight + bias; its gradient is that of the whole normalisation (Ioffe and Szegedy 2015):

    the dependence of mean and deviation on the input is in it, so the caller's subtraction of the mean passes it on
    as it is. A wide tensor stands left of a narrow one: OneFlow's other order is many times slower.
    """

    @staticmethod
    def forward(ctx, centred, weight, bias, inverse_deviation):
        ctx.save_for_backward(centred, weight, inverse_deviation)
        return centred * (inverse_deviation * weight.reshape(1, -1, 1, 1)) + bias.reshape(1, -1, 1, 1)

    @staticmethod
    def backward(ctx, gradient):
        centred, weight, inverse_deviation = ctx.saved_tensors
        count = centred.numel() // centred.shape[1]
        to_bias = gradient.sum(dim=(0, 2, 3), keepdim=True)
        to_weight = (gradient * centred).sum(dim=(0, 2, 3), keepdim=True) * inverse_deviation
        scale = inverse_deviation * weight.reshape(1, -1, 1, 1)
        along = centred * (scale * inverse_deviation * to_weight / count)
        return gradient * scale - along - scale * to_bias / count, to_weight.reshape(-1), to_bias.reshape(-1), None
