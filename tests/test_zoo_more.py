"""Definitions of recommenders, detectors, and recurrent and speech networks: published sizes, and a whole step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from advisor.zoo import (  # noqa: E402
    detection,
    gnmt,
    lstm_lm,
    recommenders,
    small_nets,
    tacotron2,
    waveglow,
    yolo,
)

Shapes = tuple[tuple[int, ...], ...]


def on_meta(factory: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    with torch.device("meta"):
        return factory()


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def run(module: torch.nn.Module, floats: Shapes, indices: Shapes, order: str) -> None:
    """Run forward and backward; ``order`` says which of the arguments are floats (f) and which indices (i)."""
    made = {
        "f": [torch.empty(shape, device="meta") for shape in floats],
        "i": [torch.empty(shape, dtype=torch.int64, device="meta") for shape in indices],
    }
    found = module(*(made[each].pop(0) for each in order))
    losses = found if isinstance(found, tuple) else (found,)
    assert all(loss.shape == () for loss in losses)
    sum(losses).backward()
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, parameter in module.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize(
    ("factory", "parameters", "floats", "indices", "order"),
    [
        pytest.param(recommenders.ncf, 31.8e6, ((2,),), ((2,), (2,)), "iif", id="ncf"),
        pytest.param(recommenders.dlrm, 24.0e9, ((2, 13), (2,)), ((2, 26),), "fif", id="dlrm"),
        pytest.param(gnmt.build, 159.6e6, (), ((2, 9), (2, 7), (2, 7)), "iii", id="gnmt"),
        pytest.param(lstm_lm.build, 50.0e6, (), ((2, 5), (2, 5)), "ii", id="lstm-lm"),
        pytest.param(tacotron2.build, 28.2e6, ((2, 80, 6), (2, 6)), ((2, 9),), "iff", id="tacotron2"),
        pytest.param(waveglow.build, 268.1e6, ((2, 80, 32), (2, 8000)), (), "ff", id="waveglow"),
        pytest.param(
            lambda: waveglow.build(256), 87.9e6, ((2, 80, 32), (2, 8000)), (), "ff", id="waveglow-256"
        ),
        *(
            pytest.param(
                lambda size=size: yolo.yolov5(size), parameters, ((2, 3, 640, 640), (2, 64, 5)), (), "ff",
                id=f"yolov5{size}",
            )
            for size, parameters in (("n", 1.9e6), ("s", 7.2e6), ("m", 21.2e6), ("l", 46.5e6), ("x", 86.7e6))
        ),
        pytest.param(yolo.yolov3, 61.9e6, ((2, 3, 640, 640), (2, 64, 5)), (), "ff", id="yolov3"),
    ],
)  # fmt: skip
def test_a_network_has_its_published_size_and_runs_a_step(
    factory: Callable[[], torch.nn.Module], parameters: float, floats: Shapes, indices: Shapes, order: str
) -> None:
    module = on_meta(factory)
    assert count(module) == pytest.approx(parameters, rel=0.02)
    run(module, floats, indices, order)


@pytest.mark.parametrize(
    ("factory", "parameters", "shape"),
    [
        (small_nets.mlp_mnist, 669706, (2, 1, 28, 28)),
        (small_nets.cnn_mnist, 1199882, (2, 1, 28, 28)),
        (small_nets.resnet20_cifar10, 0.27e6, (2, 3, 32, 32)),
    ],
)
def test_a_classifier_has_its_published_size_and_ten_classes(
    factory: Callable[[], torch.nn.Module], parameters: float, shape: tuple[int, ...]
) -> None:
    module = on_meta(factory)
    assert count(module) == pytest.approx(parameters, rel=0.02)
    logits = module(torch.empty(shape, device="meta"))
    assert logits.shape == (2, 10)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


IMAGE, BOXES, LABELS = (2, 3, 800, 1344), (2, 8, 4), (2, 8)


@pytest.mark.parametrize(
    ("factory", "parameters", "floats", "labels", "order"),
    [
        pytest.param(
            detection.ssd300_resnet50, 22.9e6, ((2, 3, 300, 300), (2, 8732, 4)), (2, 8732), "ffi", id="ssd300"
        ),
        pytest.param(
            detection.retinanet_resnet50, 34014999, (IMAGE, BOXES), LABELS, "ffi", id="retinanet"
        ),
        pytest.param(
            detection.faster_rcnn_resnet50, 41755286, (IMAGE, BOXES), LABELS, "ffi", id="faster-rcnn"
        ),
        pytest.param(
            detection.mask_rcnn, 44401393, (IMAGE, BOXES, (2, 128, 28, 28)), LABELS, "ffif", id="mask-rcnn"
        ),
        pytest.param(
            lambda: detection.mask_rcnn(101), 63.3e6, (IMAGE, BOXES, (2, 128, 28, 28)), LABELS, "ffif",
            id="mask-rcnn-101",
        ),
    ],
)  # fmt: skip
def test_a_detector_has_its_published_size_and_runs_a_step(
    factory: Callable[[], torch.nn.Module],
    parameters: float,
    floats: Shapes,
    labels: tuple[int, ...],
    order: str,
) -> None:
    try:
        import torchvision.models.detection  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported beside this torch: {error}")
    module = on_meta(factory)
    assert count(module) == pytest.approx(parameters, rel=0.02)
    run(module, floats, (labels,), order)


def test_tables_of_dlrm_are_updated_as_sgd_would() -> None:
    torch.manual_seed(0)
    table, indices = torch.randn(5, 3), torch.tensor([1, 4, 1])
    expected = table.clone().requires_grad_()
    weights = torch.randn(3, 3)
    (torch.nn.functional.embedding(indices, expected) * weights).sum().backward()
    after = expected.detach() - 0.5 * expected.grad
    anchor = torch.zeros(1, requires_grad=True)
    (recommenders.RowUpdate.apply(anchor, table, indices, 0.5) * weights).sum().backward()
    torch.testing.assert_close(table, after)


def test_offsets_of_a_box_lead_back_to_it() -> None:
    torch.manual_seed(0)
    low = torch.rand(2, 7, 2) * 100
    boxes = torch.cat((low, low + 1 + torch.rand(2, 7, 2) * 50), dim=-1)
    anchors = boxes.flip(1)
    torch.testing.assert_close(detection._decoded(detection._encoded(boxes, anchors), anchors), boxes)


def test_boxes_overlap_by_the_share_of_their_union() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 2.0, 2.0]]])
    anchors = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    torch.testing.assert_close(detection._overlaps(boxes, anchors), torch.tensor([[[1.0, 1 / 3, 0.0]]]))
    centred = torch.tensor([[1.0, 1.0, 2.0, 2.0], [2.0, 1.0, 2.0, 2.0], [5.5, 5.5, 1.0, 1.0]])
    torch.testing.assert_close(
        yolo._intersection_over_union(centred[:1], centred), torch.tensor([1.0, 1 / 3, 0.0])
    )


def test_regions_read_the_features_at_their_place() -> None:
    ramp = torch.linspace(0.5, detection.WIDTH - 0.5, detection.WIDTH)
    finest = ramp.expand(1, 1, detection.HEIGHT, detection.WIDTH)
    maps = [finest] * 4
    boxes = torch.tensor([[[100.0, 50.0, 170.0, 90.0]] * 8])
    found = detection._regions(maps, boxes, 7)
    assert found.shape == (8, 1, 7, 7)
    torch.testing.assert_close(
        found[0, 0], torch.arange(105.0, 170.0, 10.0).expand(7, 7), rtol=1e-4, atol=0.01
    )
