"""The compiled GRU against PyTorch's own, packed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmalign.method import gru as gru_file
from mmalign.method.gru import BidirectionalGRU


def pytorch(gru, sequence, lengths):
    """PyTorch's GRU with the same weights."""
    twin = nn.GRU(gru.input_size, gru.hidden_size, batch_first=True, bidirectional=True).to(sequence.dtype)
    twin.load_state_dict(gru.state_dict())
    packed = pack_padded_sequence(sequence, lengths, batch_first=True, enforce_sorted=False)
    states = pad_packed_sequence(twin(packed)[0], batch_first=True, total_length=sequence.shape[1])[0]
    return states, list(twin.parameters())


def test_on_the_cpu_the_compiled_body_is_what_runs(monkeypatch):
    gru, ran = BidirectionalGRU(3, 2), []
    scan = gru_file.compiled.gru_forward
    monkeypatch.setattr(gru_file.compiled, "gru_forward", lambda *arrays: ran.append(1) or scan(*arrays))
    gru(torch.randn(2, 4, 3), torch.tensor([4, 2]))
    assert ran


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    extra=st.integers(0, 2), features=st.integers(1, 4), hidden=st.integers(1, 5), scale=st.sampled_from([1.0, 30.0]),
)  # fmt: skip
def test_values_and_every_gradient_equal_pytorchs(lengths, extra, features, hidden, scale):
    lengths, steps = torch.tensor(lengths), max(lengths) + extra
    gru = BidirectionalGRU(features, hidden).double()
    ours = (scale * torch.randn(len(lengths), steps, features, dtype=torch.float64)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    upstream = torch.randn(len(lengths), steps, 2 * hidden, dtype=torch.float64)
    found, (expected, weights) = gru(ours, lengths), pytorch(gru, theirs, lengths)
    torch.testing.assert_close(found, expected)
    found.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close([one.grad for one in gru.parameters()], [one.grad for one in weights])


def test_single_precision_agrees_to_rounding():
    gru, sequence, lengths = BidirectionalGRU(8, 32), torch.randn(5, 20, 8), torch.tensor([20, 1, 7, 13, 2])
    torch.testing.assert_close(gru(sequence, lengths), pytorch(gru, sequence, lengths)[0], atol=1e-6, rtol=1e-5)


def test_padding_is_zero_in_the_answer_and_what_it_holds_never_matters():
    gru, sequence, lengths = BidirectionalGRU(3, 4), torch.randn(2, 6, 3), torch.tensor([6, 2])
    states = gru(sequence, lengths)
    assert not states[1, 2:].any()
    sequence[1, 2:] = 1e6
    assert gru(sequence, lengths).equal(states)


def test_saturated_gates_stay_finite():
    gru, sequence = BidirectionalGRU(3, 4), (1e4 * torch.randn(2, 6, 3)).requires_grad_()
    states = gru(sequence, torch.tensor([6, 3]))
    states.sum().backward()
    assert states.isfinite().all() and sequence.grad.isfinite().all()


def test_without_the_compiled_path_pytorchs_own_runs_and_agrees(monkeypatch):
    gru, sequence, lengths = BidirectionalGRU(3, 4), torch.randn(3, 6, 3), torch.tensor([6, 1, 4])
    ours = gru(sequence, lengths)
    monkeypatch.setattr(gru_file, "COMPILED", False)
    plain = gru(sequence, lengths)
    assert plain.shape == ours.shape
    torch.testing.assert_close(plain, ours)


@pytest.mark.parametrize("batch", [1, 3])
def test_one_sequence_gets_the_same_answer_alone_and_in_a_batch(batch):
    gru, sequence, lengths = BidirectionalGRU(3, 4), torch.randn(batch, 6, 3), torch.tensor([4, 6, 1])[:batch]
    together = gru(sequence, lengths)
    for place, length in enumerate(lengths.tolist()):
        alone = gru(sequence[place : place + 1, :length], lengths[place : place + 1])
        torch.testing.assert_close(alone[0], together[place, :length])
