"""Definitions of speech, graph and language networks: published sizes, gradients everywhere, and the sums they form."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from advisor.zoo import conformer, deepspeech2, fastpitch, graphs, hifigan, transformer_xl  # noqa: E402


def floats(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def indices(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.int64, device="meta")


def on_meta(factory: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    with torch.device("meta"):
        return factory()


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("factory", "parameters", "tolerance"),
    [
        pytest.param(graphs.gcn, 110120, 0, id="gcn"),
        pytest.param(graphs.graphsage, 218664, 0, id="graphsage"),
        pytest.param(transformer_xl.build, 192e6, 0.01, id="transformer-xl"),
        pytest.param(hifigan.generator, 13.92e6, 0.01, id="hifigan-generator"),
        pytest.param(fastpitch.build, 45e6, 0.01, id="fastpitch"),
        pytest.param(conformer.large, 121e6, 0.01, id="conformer"),
    ],
)
def test_a_network_has_the_published_number_of_parameters(
    factory: Callable[[], torch.nn.Module], parameters: float, tolerance: float
) -> None:
    assert count(on_meta(factory)) == pytest.approx(parameters, rel=tolerance, abs=0)


@pytest.mark.parametrize(
    ("factory", "inputs"),
    [
        (graphs.gcn, (floats(2, 9, 128), indices(2, 2, 20), floats(2, 20), indices(2, 9))),
        (graphs.graphsage, (floats(2, 9, 128), indices(2, 2, 20), floats(2, 20), indices(2, 9))),
        (graphs.gat, (floats(2, 9, 50), indices(2, 2, 20), floats(2, 9, 121))),
        (transformer_xl.build, (indices(8, 192), floats(8, 16, 192, 512), indices(8, 192))),
        (hifigan.step, (floats(2, 80, 32), floats(2, 1, 8192))),
        (
            fastpitch.build,
            (indices(2, 100), indices(2, 600), floats(2, 100), floats(2, 100), floats(2, 600, 80)),
        ),
        (conformer.large, (floats(2, 1500, 80), indices(2, 375))),
        (deepspeech2.build, (floats(2, 1, 161, 300), indices(2, 150))),
    ],
    ids=["gcn", "graphsage", "gat", "transformer-xl", "hifigan", "fastpitch", "conformer", "deepspeech2"],
)
def test_a_step_trains_every_parameter(
    factory: Callable[[], torch.nn.Module], inputs: tuple[torch.Tensor, ...]
) -> None:
    module = on_meta(factory)
    loss = module(*inputs)
    assert loss.shape == ()
    loss.backward()
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == []


def test_summing_over_edges_is_the_product_with_the_adjacency_matrix() -> None:
    torch.manual_seed(0)
    layer = graphs.GraphConvolution(3, 4)
    sources, targets = torch.tensor([0, 1, 2, 2, 4]), torch.tensor([1, 2, 0, 1, 4])
    weights, x = torch.rand(5), torch.randn(5, 3)
    adjacency = torch.zeros(5, 5)
    adjacency[targets, sources] = weights
    expected = adjacency @ (x @ layer.linear.weight.T) + layer.bias
    torch.testing.assert_close(layer(x, sources, targets, weights), expected)


def test_a_batch_of_graphs_does_not_mix_them() -> None:
    edges = torch.tensor([[[0, 1], [2, 0]], [[1, 1], [0, 2]]])
    sources, targets = graphs.joined(edges, nodes=3)
    assert (sources.tolist(), targets.tolist()) == ([0, 1, 4, 4], [2, 0, 3, 5])


def test_attention_over_equal_neighbours_returns_their_features() -> None:
    torch.manual_seed(0)
    layer = graphs.GraphAttention(3, 2, 4, mean=False)
    torch.nn.init.normal_(layer.source)
    torch.nn.init.normal_(layer.target)
    x = torch.randn(1, 3).expand(4, 3)
    sources, targets = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([0, 1, 2, 3, 3, 3])
    torch.testing.assert_close(layer(x, sources, targets), layer.linear(x))


def test_scores_by_distance_move_to_the_keys_at_that_distance() -> None:
    past, length = 2, 3
    # The score at place k is k: the key at distance past + length - 1 - k behind a query.
    scores = torch.arange(past + length, dtype=torch.float32).expand(1, 1, length, past + length)
    moved = transformer_xl.shifted(scores)[0, 0]
    for query in range(length):
        for key in range(past + query + 1):
            distance = past + query - key
            assert moved[query, key].item() == past + length - 1 - distance


def test_scores_by_signed_distance_move_to_their_keys() -> None:
    length = 4
    scores = torch.arange(length - 1, -length, -1, dtype=torch.float32).expand(1, 1, length, -1).contiguous()
    moved = conformer.RelativeAttention._shifted(scores)[0, 0]
    places = torch.arange(length, dtype=torch.float32)
    assert torch.equal(moved, places[:, None] - places)
