"""A Hugging Face T5 as an `EncoderDecoder`: the same function, weight for weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.models.generators.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration


def from_t5(
    t5: T5ForConditionalGeneration,
    trie: Trie,
    codes_per_level: Sequence[int] | None = None,
    first_token: int = 1,
    max_length: int = 20,
) -> EncoderDecoder:
    """An `EncoderDecoder` that computes what a trained T5 computes (without dropout).

    Args:
        t5: with `feed_forward_proj="gated-silu"` and a vocabulary whose tokens follow `EncoderDecoder`'s numbering:
            `first_token` special ones (0 begins an item), then the codes of each level.
        trie: the catalogue.
        codes_per_level: `K_1 .. K_L`; None takes what the trie uses.
        first_token: tokens before the first code.
        max_length: items of a history that are read.

    Raises:
        ConfigurationError: another feed-forward network, or a vocabulary too small for the codes.
    """
    config = t5.config
    if config.feed_forward_proj != "gated-silu":
        raise ConfigurationError(
            f"feed_forward_proj is {config.feed_forward_proj!r}; EncoderDecoder has gated-silu networks only"
        )
    model = EncoderDecoder(
        trie,
        width=config.d_model,
        layers=config.num_layers,
        decoder_layers=config.num_decoder_layers,
        heads=config.num_heads,
        head_width=config.d_kv,
        hidden=config.d_ff,
        dropout=config.dropout_rate,
        tied=t5.lm_head.weight is t5.shared.weight and config.scale_decoder_outputs,
        max_length=max_length,
        codes_per_level=codes_per_level,
        first_token=first_token,
        buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
    )
    load_t5_weights(model, t5)
    return model.train(t5.training)


def load_t5_weights(model: EncoderDecoder, t5: T5ForConditionalGeneration) -> None:
    """Copy a T5's weights into a network of the same shape, in place; rows of unused tokens are left out.

    Raises:
        ConfigurationError: the T5's vocabulary is smaller than the network's.
    """
    weights = t5.state_dict()
    tokens = model.token_table.shape[0]
    if weights["shared.weight"].shape[0] < tokens:
        raise ConfigurationError(
            f"the T5 knows {weights['shared.weight'].shape[0]} tokens, the semantic IDs need {tokens}"
        )
    renamed = {
        "token_table": weights["shared.weight"][:tokens],
        "encoder_norm.weight": weights["encoder.final_layer_norm.weight"],
        "decoder_norm.weight": weights["decoder.final_layer_norm.weight"],
    }
    if model.output_table is not None:
        scale = t5.config.d_model**-0.5 if t5.config.scale_decoder_outputs else 1.0
        renamed["output_table"] = weights["lm_head.weight"][:tokens] * scale
    for stack in ("encoder", "decoder"):
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        renamed[f"{stack}_bias.weight"] = weights[bias]
    for layer in range(len(model.encoder)):
        renamed |= _self_attention(weights, "encoder", layer, "attention")
        renamed |= _feed_forward(weights, "encoder", layer, 1)
    for layer in range(len(model.decoder)):
        renamed |= _self_attention(weights, "decoder", layer, "self_attention")
        renamed |= _cross_attention(weights, layer)
        renamed |= _feed_forward(weights, "decoder", layer, 2)
    trie = {f"trie.{name}": value for name, value in model.trie.state_dict().items()}
    model.load_state_dict(renamed | trie)


def _self_attention(weights: dict[str, Tensor], stack: str, layer: int, name: str) -> dict[str, Tensor]:
    theirs, ours = f"{stack}.block.{layer}.layer.0", f"{stack}.{layer}"
    maps = [weights[f"{theirs}.SelfAttention.{letter}.weight"] for letter in "qkv"]
    return {
        f"{ours}.{name.removesuffix('attention') or 'attention_'}norm.weight": weights[f"{theirs}.layer_norm.weight"],
        f"{ours}.{name}.query_key_value.weight": torch.cat(maps),
        f"{ours}.{name}.out.weight": weights[f"{theirs}.SelfAttention.o.weight"],
    }


def _cross_attention(weights: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    theirs, ours = f"decoder.block.{layer}.layer.1", f"decoder.{layer}"
    maps = [weights[f"{theirs}.EncDecAttention.{letter}.weight"] for letter in "kv"]
    return {
        f"{ours}.cross_norm.weight": weights[f"{theirs}.layer_norm.weight"],
        f"{ours}.cross_attention.query.weight": weights[f"{theirs}.EncDecAttention.q.weight"],
        f"{ours}.cross_attention.key_value.weight": torch.cat(maps),
        f"{ours}.cross_attention.out.weight": weights[f"{theirs}.EncDecAttention.o.weight"],
    }


def _feed_forward(weights: dict[str, Tensor], stack: str, layer: int, sublayer: int) -> dict[str, Tensor]:
    theirs, ours = f"{stack}.block.{layer}.layer.{sublayer}", f"{stack}.{layer}"
    maps = [weights[f"{theirs}.DenseReluDense.{name}.weight"] for name in ("wi_0", "wi_1")]
    return {
        f"{ours}.feed_forward_norm.weight": weights[f"{theirs}.layer_norm.weight"],
        f"{ours}.feed_forward.gate_up.weight": torch.cat(maps),
        f"{ours}.feed_forward.out.weight": weights[f"{theirs}.DenseReluDense.wo.weight"],
    }
