"""The tiny models of the Gemma families."""

from __future__ import annotations

from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import processor_class
from tools.tiny_models.parts import (
    HEADS,
    HIDDEN,
    INITIALIZER_RANGE,
    LAYERS,
    Tiny,
    character_tokenizer,
    special_ids,
    text_shape,
    token_ids,
    video_processor,
    with_ends,
)

TEMPLATE = """\
{{ bos_token }}
{%- for message in messages -%}
<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}
{% if message.content is string %}{{ message.content }}{% else -%}
{%- for item in message.content -%}
{%- if item.type == 'image' -%}<start_of_image>
{%- elif item.type == 'text' -%}{{ item.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}<end_of_turn>
{% endfor -%}
{%- if add_generation_prompt -%}<start_of_turn>model
{% endif -%}
"""

# As in the published one, marks and roles of Gemma 4 are others.
GEMMA4_TEMPLATE = (
    TEMPLATE.replace("<start_of_turn>", "<|turn>")
    .replace("<end_of_turn>", "<turn|>")
    .replace("<start_of_image>", "<|image|>")
)
SPECIALS = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
VISION = {
    "hidden_size": HIDDEN,
    "intermediate_size": 2 * HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
}


def gemma3() -> Tiny:
    """Make a tiny Gemma 3."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil

    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    turns = {"sot_token": "<start_of_turn>", "eot_token": "<end_of_turn>"}
    tokenizer = character_tokenizer(SPECIALS, {**named, **turns})
    tokens = 25  # the image is squashed to a square of 5x5 patches of 8 pixels
    images = Gemma3ImageProcessorPil(size={"height": 40, "width": 40}, do_pan_and_scan=False)
    cls = processor_class(FAMILIES["gemma3"])
    processor = cls(images, tokenizer, chat_template=TEMPLATE, image_seq_length=tokens)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in named.items()}
    config = Gemma3Config(
        text_config={
            **text_shape(len(tokenizer)),
            "query_pre_attn_scalar": HIDDEN // HEADS,
            "sliding_window": 512,
            **special_ids(tokenizer),
        },
        vision_config={
            "model_type": "siglip_vision_model",
            **VISION,
            "image_size": 40,
            "patch_size": 8,
            "vision_use_head": False,
        },
        mm_tokens_per_image=tokens,
        boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"],
        image_token_index=ids["image_token"],
        initializer_range=INITIALIZER_RANGE,
    )
    model = Gemma3ForConditionalGeneration(config)
    projector = model.model.multi_modal_projector.mm_input_projection_weight
    with torch.no_grad():  # transformers leaves it zero, which would hide the image
        projector.normal_(0.0, INITIALIZER_RANGE)
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]
    return Tiny(with_ends(model, tokenizer, ends), processor)


def gemma4() -> Tiny:
    """Make a tiny Gemma 4, like the small ones: each layer has inputs of its own, and the last two take keys and values
    from the two before. A picture has at most 70 tokens, the fewest that are allowed, of 2 x 2 patches of 24 pixels."""
    import transformers

    named = {
        "boi_token": "<|image>", "image_token": "<|image|>", "eoi_token": "<image|>",
        "boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>",
        "video_token": "<|video|>", "sot_token": "<|turn>", "eot_token": "<turn|>",
    }  # fmt: skip
    tokenizer = character_tokenizer(SPECIALS, named)
    budget = min(FAMILIES["gemma4"].budgets)
    processor = processor_class(FAMILIES["gemma4"])(
        transformers.Gemma4AudioFeatureExtractor(),
        transformers.Gemma4ImageProcessorPil(max_soft_tokens=budget, patch_size=24, pooling_kernel_size=2),
        tokenizer,
        video_processor("Gemma4VideoProcessor"),
        chat_template=GEMMA4_TEMPLATE,
        image_seq_length=budget,
    )
    ids = token_ids(tokenizer, named)
    config = transformers.Gemma4Config(
        text_config={
            **text_shape(len(tokenizer)),
            "num_hidden_layers": 2 * LAYERS,
            "layer_types": ["sliding_attention", "full_attention"] * LAYERS,
            "num_kv_shared_layers": LAYERS,
            "global_head_dim": 2 * HIDDEN // HEADS,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": len(tokenizer),
            "final_logit_softcapping": 30.0,
            **special_ids(tokenizer),
        },
        vision_config={
            **VISION,
            "num_key_value_heads": HEADS,
            "head_dim": HIDDEN // HEADS,
            "position_embedding_size": 256,
            "patch_size": 24,
            "pooling_kernel_size": 2,
            "initializer_range": INITIALIZER_RANGE,
        },
        audio_config=None,
        **{name: ids[name] for name in ids if name not in ("sot_token_id", "eot_token_id", "eoa_token_id")},
        eoa_token_index=ids["eoa_token_id"],
        initializer_range=INITIALIZER_RANGE,
    )
    ends = [tokenizer.eos_token_id, ids["eot_token_id"]]
    return Tiny(with_ends(transformers.Gemma4ForConditionalGeneration(config), tokenizer, ends), processor)
