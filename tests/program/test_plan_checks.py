"""What an executor refuses of a plan before it runs: whoever plans, nothing is touched outside of a map."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.program.mutants.training import training_plans
from tests.program.plan_content import PLANS, Content, copied, executor, plan_with, step_of
from yolo import native

KINDS = {
    *("load_images", "store_head", "load_head_gradient", "conv_forward", "conv_backward", "norm_act_add"),
    *("norm_act_add_backward", "norm_act_add_recompute", "resample", "resample_backward", "gather", "scatter"),
    *("attention", "attention_backward", "accumulate"),
    *("conv", "int8_conv", "quantise", "dequantise", "copy_bytes"),
}


def test_the_plans_have_every_kind_and_are_accepted() -> None:
    assert {step["kind"] for content in PLANS.values() for step in content["forward"] + content["backward"]} == KINDS
    for name, content in PLANS.items():
        executor(content, name)


def views_of() -> list[tuple[str, str]]:
    """Each role of each kind."""
    steps = [step for content in PLANS.values() for step in content["forward"] + content["backward"]]
    return sorted({(step["kind"], role) for step in steps for role in step["views"]})


@pytest.mark.parametrize(("kind", "role"), views_of())
def test_every_view_lies_in_the_arena_and_fits(kind: str, role: str) -> None:
    changes: dict[str, Callable[[Content, Content], Any]] = {
        "behind": lambda view, content: view.update(offset=content["arena"]),
        "before": lambda view, _: view.update(offset=-64),
        "far": lambda view, _: view.update(offset=2**62),
        "not on a number": lambda view, _: view.update(
            offset=view["offset"] + view["element"] // 2 + (view["element"] == 1)
        ),
        "higher": lambda view, _: view.update(height=view["height"] + 1),
        "wider": lambda view, _: view.update(width=2**40),
        "no channels": lambda view, _: view.update(channels=0),
        "more channels": lambda view, _: view.update(channels=view["channels"] + 64),
        "between blocks": lambda view, _: view.update(first=1),
        "other numbers": lambda view, _: view.update(element=3),
        "twice": lambda view, content: None,
    }
    for name, change in changes.items():
        content, step = plan_with(kind, role)
        view = step["views"][role][0]
        if name == "not on a number" and view["element"] == 1:
            continue
        change(view, content)
        if name == "twice":
            step["views"][role] = [view] * 100
        # Moves take maps of any size: only those who read them afterwards see that it is another.
        anywhere = (kind, name) in (("gather", "higher"), ("scatter", "higher"))
        with pytest.raises(ValueError, match=r"^\S+: " if anywhere else rf"^{re.escape(step['where'])}: "):
            executor(content)


@pytest.mark.parametrize(("kind", "role"), views_of())
def test_every_role_and_attribute_is_asked_for(kind: str, role: str) -> None:
    content, step = plan_with(kind, role)
    step["views"][f"{role}s"] = step["views"].pop(role)
    with pytest.raises(ValueError, match=r"has 0 maps as|has maps that its kind does not take"):
        executor(content)
    for name, value in plan_with(kind)[1]["attributes"].items():
        content, step = plan_with(kind)
        step["attributes"][name] = "none" if isinstance(value, list) else []
        with pytest.raises(ValueError, match=f"has no {name}, or one of another type"):
            executor(content)


@pytest.mark.parametrize(
    ("kind", "attribute", "wrong"),
    [
        ("conv_forward", "weights", [0, 2**40]),
        ("conv_forward", "weights", [-1, 16]),
        ("conv_forward", "weights", []),
        ("conv_forward", "weights", [5]),
        ("conv_forward", "kernel", [0, 1]),
        ("conv_forward", "kernel", [3]),
        ("conv_forward", "stride", [-1, 1]),
        ("conv_forward", "padding", [7, 1]),
        ("conv_forward", "dilation", [2**40, 1]),
        ("conv_forward", "groups", 0),
        ("conv_forward", "groups", 7),
        ("conv_forward", "bias", 2**40),
        ("conv_forward", "bias", -1),
        ("conv_backward", "of", 0),
        ("conv_backward", "of", -1),
        ("conv_backward", "of", 10**6),
        ("norm_act_add", "weight", 2**40),
        ("norm_act_add", "variance", -5),
        ("norm_act_add", "activation", "nothing"),
        ("norm_act_add", "eps", 0.0),
        ("norm_act_add_backward", "of", 0),
        ("norm_act_add_recompute", "of", 0),
        ("resample", "kernel", 0),
        ("resample", "stride", 3),
        ("resample", "padding", 9),
        ("resample", "method", "nothing"),
        ("resample_backward", "kernel", 1),
        ("resample_backward", "method", "upsample"),
        ("gather", "index", [0, 0, 0]),
        ("gather", "stride", 0),
        ("scatter", "stride", -1),
        ("attention", "heads", 0),
        ("attention", "heads", 3),
        ("attention_backward", "heads", 0),
        ("store_head", "number", 9),
        ("load_head_gradient", "number", -1),
        ("load_images", "divisor", 0.0),
    ],
)
def test_no_number_leads_out_of_a_map_or_a_vector(kind: str, attribute: str, wrong: object) -> None:
    content, step = plan_with(kind, "index" if kind == "resample_backward" else "")
    step["attributes"][attribute] = wrong
    with pytest.raises(ValueError):
        executor(content)


@pytest.mark.parametrize(("field", "less"), [("values", 1), ("gradient", 1), ("arena", 4096)])
def test_the_vectors_and_the_arena_are_as_large_as_the_steps_need(field: str, less: int) -> None:
    content = copied("levels")
    content[field] -= less
    with pytest.raises(ValueError, match=r"takes values that are not there|outside the program's memory"):
        executor(content)


def test_vectors_that_are_too_short() -> None:
    plan = training_plans()["levels"]
    made = native.Executor(plan)
    images = np.zeros(plan.images, np.uint8)
    values, gradient = np.ones(plan.values, np.float32), np.zeros(plan.gradient, np.float32)
    with pytest.raises(ValueError, match="values"):
        made(images, values[:-1])
    with pytest.raises(ValueError, match="values"):
        made(images)
    heads = made(images, values)
    with pytest.raises(ValueError, match="gradient"):
        made.backward(heads, values, gradient[:-1].copy())
    with pytest.raises(ValueError, match="head"):
        made.backward(heads[:-1], values, gradient)
    made.backward(heads, values, gradient)


def test_maps_that_are_needed_at_once_share_no_memory() -> None:
    content = copied("levels")
    first, second = [step for step in content["forward"] if step["kind"] == "conv_forward"][:2]
    (source,), (target,) = first["views"]["target"], second["views"]["target"]
    target["offset"] = source["offset"]
    with pytest.raises(ValueError, match=r"writes over|reads a map that nothing has written|reads another map"):
        executor(content)


def test_places_of_maxima_are_those_of_the_same_pool() -> None:
    content, step = plan_with("resample_backward", "index")
    forward = step_of(content, "resample", "index")
    content["forward"].remove(forward)
    for other in content["backward"]:  # numbers of later steps move with it
        if "of" in other["attributes"] and other["attributes"]["of"] >= len(content["forward"]):
            other["attributes"]["of"] -= 1
    with pytest.raises(ValueError):
        executor(content)
    content, step = plan_with("resample_backward", "index")
    index = step["views"]["index"][0]
    others = [view for row in content["forward"] for views in row["views"].values() for view in views]
    step["views"]["index"] = [{**index, "offset": next(v["offset"] for v in others if v["offset"] != index["offset"])}]
    with pytest.raises(ValueError, match=r"nothing has written|places of another pool"):
        executor(content)


def test_forward_steps_before_backward_steps_that_need_them() -> None:
    content = copied("attention")  # in others, a head of the forward pass lies where the gradient will
    moved = step_of(content, "load_head_gradient")
    content["backward"].remove(moved)
    content["backward"].append(moved)
    with pytest.raises(ValueError, match="reads a map that nothing has written"):
        executor(content)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("load_images", "backward"),
        ("store_head", "backward"),
        ("load_head_gradient", "forward"),
        ("conv_backward", "forward"),
        ("norm_act_add_backward", "forward"),
        ("norm_act_add_recompute", "forward"),
    ],
)
def test_steps_belong_to_the_pass_that_has_what_they_use(kind: str, part: str) -> None:
    content, step = plan_with(kind)
    content["backward" if part == "forward" else "forward"].remove(step)
    content[part].append(step)
    with pytest.raises(ValueError, match=r"belongs to the other pass|that nothing has written|step of another kind"):
        executor(content)
