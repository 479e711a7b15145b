"""DeepMLF: who reads whom, what the gates let in, what stands still, and what each loss teaches."""

import math
import sys
from dataclasses import replace

import pytest
import small
import torch
from torch import nn

import mmalign
from mmalign.batch import Batch
from mmalign.config import settings
from mmalign.errors import InputError
from mmalign.neighbours.deepmlf import DeepMLF, DeepMLFConfig, shuffle_features
from mmalign.neighbours.language import Codebook, LanguageModel, _hooked, counted_perplexity, token_ids
from mmalign.system import seeded
from mmalign.training import fit

pytestmark = pytest.mark.slow  # a library of language models is loaded first

TINY = {
    "width": 8, "heads": 2, "codes": 8, "language_width": 16, "language_layers": 3, "language_heads": 2, "longest": 32,
    "language_epochs": 1, "av_epochs": 1, "fusion_tokens": 4, "fusion_depth": 2,
}  # fmt: skip
layouts = pytest.mark.parametrize("lm", ["gpt2", "llama"])
combined = pytest.mark.parametrize("combine", [True, False])


def three(setting="B", survival=1.0, **knobs):
    """Three planted modalities: the first becomes words, the others are listened to."""
    return mmalign.load(
        "planted", ("first", "second", "third"), survival, setting, samples=60, shortest=3, longest=8, **knobs
    )  # fmt: skip


def build(data=None, **changes):
    """A tiny model with random weights that differ from where gates and placeholders start."""
    data = data or three()
    model = DeepMLF.from_data(data, settings(DeepMLFConfig, TINY, **changes)).eval()
    return model, data.train.batch.rows(torch.arange(7))


def other_sound(batch):
    """The same words, other sound and sight."""
    return replace(batch, features=(batch.features[0], *(torch.randn_like(one) for one in batch.features[1:])))


def text_logits(model, batch):
    return model.language.logits(model.read(batch).words)


def bare_logits(model, batch):
    return model.language.logits(model.bare_states(*model.spell(batch)))


# ---- who reads whom ----------------------------------------------------------------------------------


@layouts
def test_of_14_positions_each_reads_itself_and_those_before_it(lm):
    with seeded(0):
        model = LanguageModel(lm, 8, 16, 2, 2, 32).eval()
    states = torch.randn(1, 14, 16, requires_grad=True)  # a first place and 9 words, then 4 fusion tokens
    real, places = torch.ones(1, 14, dtype=torch.bool), torch.arange(14)[None]
    answer = model(states, real, places, {})
    rows = [torch.autograd.grad(answer[0, row].norm(), states, retain_graph=True)[0][0] for row in range(14)]
    reads = torch.stack(rows).abs().sum(2) > 0  # (14, 14)
    assert reads.equal(torch.ones(14, 14).tril().bool()) and not reads[:10, 10:].any()


@layouts
@combined
def test_words_see_neither_tokens_nor_sound(lm, combine):
    model, batch = build(lm=lm, combine=combine)
    features = tuple(one.clone().requires_grad_() for one in batch.features[1:])
    heard = replace(batch, features=(batch.features[0], *features))
    reading = model.read(heard)
    watched = (model.tokens, *features)
    for states in (reading.words, model.language.logits(reading.words), reading.text):
        found = torch.autograd.grad(states.square().sum(), watched, retain_graph=True, allow_unused=True)
        assert all(one is None or not one.any() for one in found)  # a Jacobian of exact zeros
    assert any(one.any() for one in torch.autograd.grad(reading.tokens.square().sum(), features))
    model.tokens.data = torch.randn(4, 16)
    assert model.read(other_sound(batch)).words.equal(reading.words)


@layouts
def test_tokens_see_the_words_and_the_tokens_before_them(lm):
    model, batch = build(lm=lm)
    before, tokens = model.read(batch).tokens, model.tokens.data
    for place in range(4):
        model.tokens.data = tokens.clone()
        model.tokens.data[place] = torch.randn(16)
        moved = (model.read(batch).tokens - before).abs().amax(dim=(0, 2)) > 0
        assert moved.tolist() == [number >= place for number in range(4)]
    model.tokens.data = tokens
    embeddings = model.language.net.get_input_embeddings().weight
    (slope,) = torch.autograd.grad(model.read(batch).tokens[:, 0].norm(), embeddings)
    words, said = model.spell(batch)
    assert all(slope[word].any() for word in words[said].unique())


def test_the_cross_attention_does_not_care_in_which_order_the_steps_stand():
    model, batch = build()
    block, (sound, heard) = model.blocks[0], model.hear(batch)
    tokens, order = torch.randn(7, 4, 16), torch.randperm(sound.shape[1])
    before = block.look(tokens, sound, batch.real, heard)
    torch.testing.assert_close(block.look(tokens, sound[:, order], batch.real[:, order], heard), before)
    assert not torch.allclose(block.look(tokens, sound[:, order], batch.real, heard), before)


def test_padding_is_harmless_behind_packed_positions_and_not_as_released():
    for positions, harmless in (("packed", True), ("fixed", False)):
        model, batch = build(positions=positions)
        wide = replace(batch, features=tuple(nn.functional.pad(one, (0, 0, 0, 5)) for one in batch.features))
        assert torch.allclose(model.predict(wide), model.predict(batch), atol=1e-5) == harmless


# ---- gates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["sigmoid0", "tanh0"])
def test_behind_closed_gates_the_bare_language_model_speaks(gate):
    model, batch = build(gate=gate)
    if gate == "sigmoid0":
        for block in model.blocks:
            block.alpha.data.fill_(-40)
    torch.testing.assert_close(text_logits(model, batch), bare_logits(model, batch), atol=1e-5, rtol=0)
    ours, theirs = model.read(batch), model.read(other_sound(batch))
    torch.testing.assert_close(ours.tokens, theirs.tokens)  # what sound says comes through its mean alone
    assert not torch.allclose(ours.sound, theirs.sound)


def test_gates_start_half_open_shut_or_open():
    for gate, value in (("sigmoid0", 0.5), ("tanh0", 0.0), ("none", 1.0)):
        model, batch = build(gate=gate)
        assert all(block.gates().tolist() == [value, value] for block in model.blocks)
        looked = (model.read(batch).tokens - model.read(other_sound(batch)).tokens).abs().max() > 1e-6
        assert looked == (value > 0)


def test_half_open_gates_change_the_words_only_where_words_pass_them():
    for combine in (True, False):
        model, batch = build(combine=combine)
        same = torch.allclose(text_logits(model, batch), bare_logits(model, batch), atol=1e-5)
        assert same != combine
    data = three()
    fit(model, data, mmalign.TrainConfig(epochs=3), progress=False)
    torch.testing.assert_close(text_logits(model, batch), bare_logits(model, batch), atol=1e-5, rtol=0)


@layouts
def test_a_block_starts_with_the_feed_forward_net_of_its_layer_also_after_language_is_learnt(lm):
    data = three()
    model, _ = build(data, lm=lm, language_epochs=2)
    states = torch.randn(2, 3, 16)
    for epoch in range(3):
        model.prepare(epoch, data.train)
        same = [
            torch.equal(block.feed(states), model.language.layers[layer].mlp(states))
            for layer, block in zip(model.fused, model.blocks, strict=True)
        ]
        assert same == [epoch in (0, 2)] * 2
        for value in model.language.parameters() if epoch < 2 else ():  # as training would
            value.data += 0.1
    assert model.fused == (1, 2)


def test_without_fused_layers_the_tokens_never_hear_anything():
    model, batch = build(fusion_depth=0)
    ours, theirs = model.read(batch), model.read(other_sound(batch))
    assert ours.tokens.equal(theirs.tokens) and not ours.sound.equal(theirs.sound)
    words, said = model.spell(batch)
    assert ours.words.shape == (*(words.shape[0], words.shape[1] + 1), 16)
    torch.testing.assert_close(ours.words, model.bare_states(words, said), atol=1e-6, rtol=0)


def test_a_token_more_costs_as_many_parameters_as_the_language_model_is_wide():
    sizes = [sum(one.numel() for one in build(fusion_tokens=tokens)[0].parameters()) for tokens in (1, 2, 5)]
    assert sizes[1] - sizes[0] == 16 and sizes[2] - sizes[1] == 3 * 16


# ---- curriculum and gradients ------------------------------------------------------------------------


def test_the_curriculum_is_language_then_sound_then_fusion():
    model, _ = build(language_epochs=2, av_epochs=1)
    names = [model.stages(epoch, 6)[0].steps[0].moves for epoch in range(6)]
    assert names == [("language",)] * 2 + [("av",)] + [("av", "fusion")] * 3 and model.warmup == 3
    joint, _ = build(train_language=True)
    assert set(joint.stages(5, 6)[0].steps[0].moves) == {"av", "fusion", "language"}


@pytest.mark.parametrize("train_language", [False, True])
def test_a_frozen_language_model_keeps_every_bit_and_has_no_gradient(train_language):
    data = three()
    model, _ = build(data, language_epochs=0, train_language=train_language)
    before = small.copied(model.language.parameters())
    fit(model, data, mmalign.TrainConfig(epochs=2), progress=False)
    assert small.same_weights(before, [*model.language.parameters()]) != train_language
    assert all((one.grad is None) != train_language for one in model.language.layers.parameters())


def reached(model, loss):
    """Names of the parameters that a loss has a gradient on, without their numbers."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss, [*named.values()], allow_unused=True, retain_graph=True)
    return {name for name, one in zip(named, found, strict=True) if one is not None and one.any()}


def test_each_loss_teaches_its_own_stream():
    model, batch = build()
    parts = {name: reached(model, loss) for name, loss in model.fusion_loss(batch).items()}
    trained = {name for name, _ in model.named_parameters() if not name.startswith("language.")}
    av = {name for name in trained if name.startswith(("senses.", "join"))}
    feed = {name for name in trained if name.startswith("blocks.") and (".feed." in name or ".norm_mid." in name)}
    unheard = {"absent", "silence", "wordless", *(name for name in trained if name.endswith(".cls"))}
    heads = {one: {f"{one}.head.weight", f"{one}.head.bias"} for one in ("text_answer", "token_answer", "av_answer")}
    for name in ("text", "language"):
        taught = parts[name] & trained
        assert not taught & (av | {"tokens"}) and not any("attend" in one or "norm_in" in one for one in taught)
        assert feed <= taught and {"blocks.0.alpha", "blocks.1.alpha"} <= taught
    assert parts["av"] - heads["av_answer"] <= av and heads["av_answer"] <= parts["av"]
    answers = {name for name in trained if "answer" in name}
    keys = {name for name in trained if "bias" in name and ".feed." in name}  # some biases may be idle
    assert trained - answers - unheard - keys <= parts["tokens"]
    assert not parts["tokens"] & (answers - heads["token_answer"])


def test_attention_gates_learn_from_tokens_and_not_from_words():
    model, batch = build()
    for part, taught in (("text", False), ("language", False), ("tokens", True), ("task", True)):
        (slope,) = torch.autograd.grad(model.fusion_loss(batch)[part], model.blocks[0].alpha)
        assert bool(slope[0]) == taught and bool(slope[1])


def test_with_weights_of_0_a_loss_is_the_others_alone():
    model, batch = build(lambda_tokens=0.0, lambda_text=0.0, lambda_av=0.0, gamma=0.0)
    parts = model.fusion_loss(batch)
    assert parts["task"] > 0 and sum(parts.values()) == parts["task"]


def test_the_loss_of_a_regression_is_the_absolute_error_in_spreads_of_the_labels():
    model, batch = build()
    gap = (model.predict(batch) - batch.labels).abs().mean() / three().train.batch.labels.std(correction=0)
    torch.testing.assert_close(model.fusion_loss(batch)["task"], gap)


# ---- language ----------------------------------------------------------------------------------------


def test_a_trained_language_model_beats_counting_pairs_where_two_words_tell_the_next():
    data = small.spoken(count=200)
    model, _ = build(data, words="ids", codes=5, language_epochs=30, language_layers=2, fusion_depth=1)
    fit(model, data, mmalign.TrainConfig(epochs=32, lr=1e-2), progress=False)
    found = model.perplexities(data.train.batch, data.valid.batch)
    assert found["model"] < 0.6 * found["bigram"] and 4.5 < found["unigram"] < 6 and 4 < found["bigram"] < 6


def test_counting_agrees_with_hand_counts():
    train, valid = [torch.tensor([0, 0, 1])], [torch.tensor([0, 1])]
    alone = [3 / 5, 2 / 5]
    assert counted_perplexity(train, valid, 2, 0) == pytest.approx((alone[0] * alone[1]) ** -0.5)
    first, behind_0 = (1 + alone[0]) / 2, (1 + alone[1]) / 3  # once at the start; behind 0 came 0 and 1
    assert counted_perplexity(train, valid, 2, 1) == pytest.approx((first * behind_0) ** -0.5)


def test_a_codebook_names_the_nearest_centre_and_repeats_itself():
    values = torch.cat([torch.randn(50, 2) / 10 + 5, torch.randn(50, 2) / 10 - 5])
    found = []
    for _ in range(2):
        book = Codebook(2, 2, 5.0)
        book.learn(values)
        found.append(book(values))
    assert found[0].equal(found[1]) and len({*found[0][:50].tolist()}) == len({*found[0][50:].tolist()}) == 1
    assert found[0][0] != found[0][-1]


def test_a_codebook_with_more_words_than_steps_leaves_some_unused():
    book = Codebook(1, 8, 5.0)
    book.learn(torch.tensor([[0.0], [1.0], [1.0], [2.0]]))
    words = book(torch.tensor([[0.0], [1.0], [2.0]]))
    assert len({*words.tolist()}) == 3


def test_the_text_is_the_modality_of_that_name_or_else_the_first():
    data = three()
    assert build(data)[0].place == 0
    named = replace(data, spec=replace(data.spec, modalities=("first", "text", "third")))
    model, _ = build(named)
    assert model.place == 1 and model.others == [0, 2]


def test_shuffled_features_hold_the_same_numbers_and_padding_stays():
    states, said = torch.randn(3, 6, 40), torch.arange(6) < torch.tensor([[6], [4], [1]])
    moved = shuffle_features(states, said, 0.5)
    assert moved[~said].equal(states[~said]) and moved[2].equal(states[2])
    for row, count in ((0, 6), (1, 4)):
        assert moved[row, :count].sort(0).values.equal(states[row, :count].sort(0).values)
    untouched = (moved[0] == states[0]).all(0).sum()
    assert 0 < untouched < 40
    model, batch = build(permute=0.5)
    assert model.predict(batch).equal(model.predict(batch))
    model.train()
    assert not model.read(batch).words.equal(model.read(batch).words)


# ---- absence -----------------------------------------------------------------------------------------


def lacking(batch, *places):
    """The same samples without some modalities."""
    present = batch.present.clone()
    present[:, places] = False
    features = tuple(one * math.nan if place in places else one for place, one in enumerate(batch.features))
    return Batch(features, batch.lengths, batch.labels, present, batch.ids)


def test_in_silence_tokens_look_at_nothing_and_a_placeholder_speaks_for_the_sound():
    model, batch = build()
    model.silence.data.fill_(7.0)
    reading = model.read(lacking(batch, 1, 2))
    assert (reading.sound == 7).all() and not reading.heard.any() and reading.tokens.isfinite().all()
    sound, heard = model.hear(lacking(batch, 1, 2))
    assert not any(block.look(torch.randn(7, 4, 16), sound, batch.real, heard).any() for block in model.blocks)
    assert "av" not in model.fusion_loss(lacking(batch, 1, 2)) and model.av_loss(lacking(batch, 1, 2)) == {}


def test_one_absent_stream_is_replaced_by_its_placeholder():
    model, batch = build()
    before = model.predict(lacking(batch, 2))
    assert before.isfinite().all() and not torch.allclose(before, model.predict(batch))
    model.absent.data[1] += 1
    assert not torch.allclose(model.predict(lacking(batch, 2)), before)
    torch.testing.assert_close(model.predict(batch), build()[0].predict(batch))


def test_without_words_only_the_first_place_is_read():
    model, batch = build()
    model.wordless.data.fill_(3.0)
    mute = lacking(batch, 0)
    reading = model.read(mute)
    assert (reading.text == 3).all() and not reading.said.any()
    assert {"text", "language"}.isdisjoint(model.fusion_loss(mute)) and model.language_loss(mute) == {}
    short = replace(mute, features=tuple(one[:, :1] for one in mute.features), lengths=torch.ones_like(mute.lengths))
    assert model.read(short).words[:, 0].allclose(reading.words[:, 0], atol=1e-6)


def test_a_stream_that_is_told_to_be_ignored_changes_nothing():
    for streams, quiet in (("text", (1, 2)), ("av", (0,))):
        model, batch = build(streams=streams)
        full, _ = build()
        assert model.predict(batch).equal(full.predict(lacking(batch, *quiet)))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_it_learns_where_every_modality_may_be_absent(task):
    data = three(setting="R", survival=0.4, task=task)
    model, _ = build(data)
    history = fit(model, data, mmalign.TrainConfig(epochs=3, batch_size=8), progress=False)
    assert history.best_epoch == 2 and model.predict(data.test.batch).isfinite().all()


# ---- the library -------------------------------------------------------------------------------------


def test_a_layer_may_answer_with_a_tensor_or_with_a_tuple_that_starts_with_it():
    class Pair(nn.Module):
        def forward(self, states):
            return states, "cache"

    layers = nn.ModuleList([Pair(), nn.Identity()])
    with _hooked(layers, {0: lambda states: states + 1, 1: lambda states: states * 2}):
        states, rest = layers[0](torch.ones(1))
        assert (states.item(), rest, layers[1](states).item()) == (2, "cache", 4)
    assert layers[1](torch.ones(1)).item() == 1  # and leaves no trace


def test_a_language_model_by_name_keeps_its_weights_and_is_saved_with_the_rest(tmp_path, capfd):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=7, n_positions=32, bos_token_id=6, eos_token_id=6)
    trained = GPT2LMHeadModel(config)
    trained.save_pretrained(tmp_path / "lm")
    capfd.readouterr()
    data = small.spoken()
    model, batch = build(data, lm=str(tmp_path / "lm"), words="ids", language_epochs=0)
    assert capfd.readouterr() == ("", "")  # the library is quiet
    words = model.spell(batch)[0]
    theirs = trained.eval()(input_ids=nn.functional.pad(words, (1, 0), value=6)).logits
    torch.testing.assert_close(bare_logits(model, batch), theirs, atol=1e-5, rtol=1e-5)
    model.save(tmp_path / "model.safetensors")
    again = DeepMLF.restore(tmp_path / "model.safetensors")
    assert again.predict(batch).equal(model.predict(batch))


def test_strings_become_words_by_the_tokeniser_of_a_model(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"good": 0, "bad": 1, "?": 2}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?").save_pretrained(tmp_path)
    words, lengths = token_ids(["good good bad", "what"], str(tmp_path))
    assert words[0, :, 0].tolist() == [0, 0, 1] and words[1, 0, 0] == 2 and lengths.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion_depth": 4}, "fusion_depth must be at most 3"),
        ({"lm": "bert"}, "knows its own words"),
        ({"lm": "no/such-folder/here", "words": "ids"}, "no language model at hand"),
        ({"words": "ids"}, "one column"),
        ({"language_heads": 3}, "multiple of language_heads"),
        ({"gate": "ajar"}, "unknown gate"),
        ({"fusion_tokens": 0}, "fusion_tokens must be"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    data = small.spoken() if changes.get("lm", "").startswith("no/") else three()
    with pytest.raises(InputError, match=message):
        build(data, **changes)


def test_a_word_that_the_model_does_not_know_and_a_text_too_long_are_refused():
    with pytest.raises(InputError, match="whole numbers from 0 to 3"):
        build(small.spoken(), words="ids", codes=3)
    model, batch = build(longest=10)
    with pytest.raises(InputError, match="10 positions, found 1"):
        model.predict(batch)


def test_without_the_library_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"mmalign\[language\]"):
        build()
