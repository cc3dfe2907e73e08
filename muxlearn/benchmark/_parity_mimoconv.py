"""Compare our numbers with those that MIMOConv's reference implementation gave.

A case is ``<name>.safetensors`` (weights, inputs, outputs) with ``<name>.json`` (configuration)
beside it, made by running the authors' code on a small random model.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from muxlearn.benchmark._parity_case import below, max_error, relative_error
from muxlearn.nn.binding import HRRBinding, MatrixBinding, MBATBinding, Unbinding
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.mimoconv_recipe import backward, one_cycle_sgd
from muxlearn.nn.regularize import binding_regularizer, isometry_regularizer

__all__ = ["covers", "errors", "tolerance"]

Tensors = Mapping[str, Tensor]

# How often steps of training are repeated from weights that differ by their rounding.
_REPEATS = 16


def tolerance(quantity: str) -> float:
    """Return the largest error that is allowed, by the name of the quantity."""
    return 1e-9 if quantity.startswith("float64 ") else 2e-5


def covers(case: dict[str, Any]) -> bool:
    """Return whether a case, read from its json file with its `name`, is one of MIMOConv."""
    if case["name"].startswith(("binding_micro", "onecycle_")):
        return True
    return "architecture" in case.get("config", {}) and "official_class" not in case


def errors(path: Path) -> dict[str, float]:
    """Return the largest absolute error of each quantity of a case.

    Parameters
    ----------
    path : Path
        The json file.

    Returns
    -------
    dict of str to float
        Those of double precision start with "float64 ". The error of the isometry term, a sum
        over thousands of products, is relative. Infinite where shapes differ.
    """
    case = json.loads(path.read_text(encoding="utf-8"))
    if "lr_momentum_per_step" in case:
        return _schedule_errors(case)
    tensors = load_file(path.with_suffix(".safetensors"))
    if "config" not in case:
        return _binding_errors(tensors)
    if "recorded" in case:
        return _nearest_training_errors(case, tensors)
    single = _model_errors(case["config"], tensors, "output", torch.float32)
    double = _model_errors(case["config"], tensors, "output64", torch.float64)
    return single | {f"float64 {name}": error for name, error in double.items()}


@torch.no_grad()
def _model_errors(
    config: Mapping[str, Any], tensors: Tensors, kind: str, dtype: torch.dtype
) -> dict[str, float]:
    weights = {name: _cast(tensor, dtype) for name, tensor in below(tensors, "weight").items()}
    model = MuxWideResNet.from_state_dict(config, weights)
    folded = model.for_inference()
    images = tensors["input.images"].to(dtype)
    found = {}
    for name, theirs in below(tensors, kind).items():
        if name == "binding_reg":
            found[name] = max_error(binding_regularizer(model.binding).to(theirs), theirs)
        elif name == "isometry_reg" and not config["architecture"].startswith("WideResNet"):
            found[name] = relative_error(isometry_regularizer(model.trunk.convolutions()), theirs)
        elif name.startswith("logits"):
            # Of 7 images the reference drops those that fill no mixture.
            n_mux = int(name[-1])
            rows = images[: len(theirs)]
            found[name] = max_error(model(rows, n_mux), theirs)
            found[f"{name}, folded"] = max_error(folded(rows, n_mux), theirs)
    return found


@torch.no_grad()
def _binding_errors(tensors: Tensors) -> dict[str, float]:
    found: dict[str, float] = {}
    for case in sorted({name.partition(".")[0] for name in tensors}):
        recorded = below(tensors, case)
        n_mux, channels = recorded["x"].shape[1:3]
        kind: type[MatrixBinding] = HRRBinding if case.startswith("hrr") else MBATBinding
        binding = kind(n_mux, channels)
        binding.keys.copy_(recorded["key"].reshape(binding.keys.shape))
        unbinding = Unbinding(n_mux, recorded["unbind_in"].shape[1])
        unbinding.linear.weight.copy_(recorded["unbind_weight"].flatten(1))
        unbinding.linear.bias.copy_(recorded["unbind_bias"])
        bound = torch.einsum("sij,bsjhw->bsihw", binding.matrices(), recorded["x"])
        unbound = unbinding(recorded["unbind_in"].flatten(1), n_mux)
        found |= {
            f"{case} bound": max_error(bound, recorded["bound"]),
            f"{case} bundled": max_error(binding(recorded["x"]), recorded["bundled"]),
            f"{case} unbound": max_error(unbound.flatten(1), recorded["unbind_out"].flatten(1)),
            f"{case} binding_reg": max_error(binding_regularizer(binding), recorded["binding_reg"]),
        }
    return found


def _schedule_errors(case: Mapping[str, Any]) -> dict[str, float]:
    optimizer, scheduler = one_cycle_sgd(torch.nn.Linear(1, 1), case["total_steps"], case["max_lr"])
    group = optimizer.param_groups[0]
    found = []
    for step, recorded in enumerate(case["lr_momentum_per_step"]):
        if step > 0:
            optimizer.step()
            scheduler.step()
        found.append(torch.tensor([group["lr"], group["momentum"]]) - torch.tensor(recorded))
    lr, momentum = torch.stack(found).abs().amax(0).tolist()
    return {"lr": lr, "momentum": momentum}


def _nearest_training_errors(case: Mapping[str, Any], tensors: Tensors) -> dict[str, float]:
    """Return the errors of the run of training that is nearest to the recorded one.

    A unit that is zero but for its rounding lies at the kink of its activation. On which side
    differs between processors, even between two runs on one, and with it the gradient, by much
    more than rounding. So a run that is too far away is repeated from weights that are moved by no
    more than their rounding: one that takes the recorded sides must meet the recorded numbers.
    """
    found = _training_errors(case, tensors)
    generator = torch.Generator().manual_seed(0)
    for _ in range(_REPEATS):
        if _is_near(found):
            break
        moved = {
            name: _move(tensor, generator) if name.startswith("weight.") else tensor
            for name, tensor in tensors.items()
        }
        found = min(found, _training_errors(case, moved), key=_worst)
    return found


def _is_near(found: Mapping[str, float]) -> bool:
    return all(error <= tolerance(name) for name, error in found.items())


def _worst(found: Mapping[str, float]) -> float:
    # A NaN is further away than any number.
    return max(math.inf if math.isnan(error) else error for error in found.values())


def _move(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Change each number by at most one unit in its last place."""
    if not tensor.is_floating_point():
        return tensor
    share = 2 * torch.rand(tensor.shape, generator=generator, dtype=torch.float64) - 1
    return (tensor.double() * (1 + torch.finfo(tensor.dtype).eps * share)).to(tensor.dtype)


def _training_errors(case: Mapping[str, Any], tensors: Tensors) -> dict[str, float]:
    """Repeat the recorded steps of training."""
    config, recorded = case["config"], case["recorded"]
    weights = below(tensors, "weight")
    model = MuxWideResNet.from_state_dict(config, weights).train()
    optimizer, scheduler = one_cycle_sgd(
        model, config["total_steps"], config["max_lr"], config["weight_decay"]
    )
    found: dict[str, list[float]] = defaultdict(list)
    for i, n_mux in enumerate(config["num_img_sup_per_step"]):
        step = backward(
            model,
            tensors["input.images"][i],
            tensors["input.labels"][i],
            n_mux,
            tensors["input.mixup_index"][i],
            tensors["input.mixup_lambda"][i].item(),
            config["orthogonal_regularization"],
            config["binding_regularization"],
        )
        if i == 0:
            found["gradients"] = _gradient_errors(model, config, tensors)
        found["logits"].append(max_error(step.logits, tensors[f"output.logits_step{i}"]))
        group = optimizer.param_groups[0]
        values = {
            "loss": step.loss,
            "task_loss": step.task_loss,
            "binding_reg": step.binding,
            "isometry_reg": step.isometry,
            "isometry_grad_norm": step.isometry_norm,
            "total_grad_norm": step.norm,
            "lr": group["lr"],
            "momentum": group["momentum"],
        }
        for name, ours in values.items():
            scale = recorded[name][i] if name == "isometry_reg" else 1.0
            found[name].append(abs(ours - recorded[name][i]) / scale)
        optimizer.step()
        scheduler.step()
    after = MuxWideResNet.from_state_dict(config, below(tensors, "after")).state_dict()
    state = model.state_dict()
    found["final state"] = [max_error(state[name], after[name]) for name in state]
    # Unlike Python's, this maximum does not pass over a NaN.
    return {name: torch.tensor(values).max().item() for name, values in found.items()}


def _gradient_errors(
    model: MuxWideResNet, config: Mapping[str, Any], tensors: Tensors
) -> list[float]:
    gradients = {**below(tensors, "weight"), **below(tensors, "grad")}
    expected = MuxWideResNet.from_state_dict(config, gradients)
    return [
        math.inf if ours.grad is None else max_error(ours.grad, theirs)
        for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True)
    ]


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
